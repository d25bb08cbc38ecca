"""Settings, checks and registry entry of the fusion of several modalities."""

import re
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings
from pdray.models.entry import ModelEntry, ModelSettings, settings_union
from pdray.models.estimators.feature_settings import (
    CHOICE,
    HEAD,
    FeatureChoiceConfig,
    FeatureHeadConfig,
)
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig, frame_resnet_faults

Branch = Literal["rgb", "landmarks", "mfcc", "log_mel", "waveform"]
BRANCHES: tuple[Branch, ...] = get_args(Branch)
FEATURES = "features"
_TABLE = re.compile(rf"{FEATURES}(\.[a-z][a-z0-9_]*)?")  # as pdray.data.modalities has it
Rule = Literal["l1", "mean", "stacking", "attention"]
_LEARNT = ("stacking", "attention")
if TYPE_CHECKING:
    HeadConfig = FeatureHeadConfig | FeatureChoiceConfig
else:
    HeadConfig = settings_union((HEAD, CHOICE), default=HEAD.name)


class AttentionConfig(Settings):
    """Settings of the attention over modalities, and of its training."""

    num_hidden: int = Field(
        16, ge=1, le=1024, description="hidden units of the tokens, queries and keys"
    )
    uncertainty: float = Field(
        2.0, ge=0, description="how much less uncertain predictions are attended to; 0: not less"
    )
    dropout: float = Field(0.3, ge=0, lt=1, description="dropout probability of tokens")
    learning_rate: float = Field(3e-3, gt=0, description="learning rate of Adam")
    batch_size: int = Field(64, ge=1, description="recordings per training step [recordings]")
    num_epochs: int = Field(
        10, ge=1, description="passes over the training recordings; few: it starts as the mean"
    )


class FusionConfig(ModelSettings):
    """Settings of the branches, of their training and of their fusion."""

    name: Literal["fusion"] = Field("fusion", description="name of the model")
    branches: str = Field(
        "rgb+landmarks+mfcc",
        description=f"modalities joined by +, from {', '.join(BRANCHES)}, {FEATURES} and "
        f"{FEATURES}.NAME",
    )
    rule: Rule = Field(
        "l1",
        description="l1: sum of L1-normalised logits, as YouTubePD; mean: mean of probabilities; "
        "stacking: regression on out-of-fold predictions; attention: attention over modalities, "
        "learnt on out-of-fold predictions, as UFNet",
    )
    frames: Literal["fv", "fc"] = Field(
        "fv", description="rgb and landmarks: fv: each frame votes; fc: frames are concatenated"
    )
    told: Literal["frame", "recording"] = Field(
        "frame",
        description="with fv: the loss compares the class with each frame's vote, or with the sum "
        "of the votes of a recording",
    )
    num_frames: int = Field(
        10, ge=1, le=1024, description="frames per recording; YouTubePD: 10 or 8"
    )
    backbone: FrameResNetConfig = Field(
        FrameResNetConfig(layout="vggface2"),
        description="frozen network on rgb; its weights come from pretrained",
    )
    unit: Literal["pixels", "eyes"] = Field(
        "pixels",
        description="unit of landmark coordinates: 256 pixels, or the distance between the eyes",
    )
    points: Literal["frames", "motion"] = Field(
        "frames",
        description="landmarks: frames: the network of YouTubePD; motion: named features of how "
        "the face moves, with the head",
    )
    head: HeadConfig = FeatureHeadConfig()
    num_hidden: int = Field(128, ge=1, le=65536, description="hidden units of the landmark network")
    num_hidden_sound: int = Field(
        1024, ge=1, le=65536, description="hidden units of the sound network; YouTubePD: 1024"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout probability before each output layer"
    )
    learning_rate: float = Field(0.02, gt=0, description="learning rate of Adam; YouTubePD: 0.02")
    batch_size: int = Field(
        16, ge=1, description="recordings per training step; YouTubePD: 16 [recordings]"
    )
    num_epochs: int = Field(
        50,
        ge=1,
        description="passes of each branch over the training recordings; YouTubePD: 50 [epochs]",
    )
    hierarchy_lambda: float = Field(
        0.5, ge=0, le=1, description="weight of ill or healthy in the loss"
    )
    num_folds: int = Field(
        3,
        ge=2,
        description="stacking, attention, abstain_risk: inner folds of the training subjects "
        "[folds]",
    )
    stack_strength: float = Field(
        1.0, gt=0, description="stacking: C of the regression, the inverse of the L2 penalty"
    )
    attention: AttentionConfig = AttentionConfig()
    abstain_risk: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="withhold predictions, so that at most this share of those given is wrong, "
        "with 95% confidence on the training side; null: give all",
    )

    @field_validator("branches")
    @classmethod
    def _are_branches(cls, branches: str) -> str:
        names = branches.split("+")
        for name in names:
            if name not in BRANCHES and not _is_table(name):
                raise ValueError(
                    f"'{name}' is not a branch; use some of {', '.join(BRANCHES)}, {FEATURES} and "
                    f"{FEATURES}.NAME"
                )
            if names.count(name) > 1:
                raise ValueError(f"{name} is listed {names.count(name)} times; list it once")
        return branches

    @model_validator(mode="after")
    def _nothing_concatenated_votes(self) -> Self:
        if self.frames == "fc" and self.told != "frame":
            raise ValueError(
                f"told {self.told} needs frames that vote, but frames is fc (concatenated); set "
                "frames=fv or told=frame"
            )
        return self

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities of the branches, in the order of ``BRANCHES``, then tables as they stand."""
        chosen = self.branches.split("+")
        known = [name for name in BRANCHES if name in chosen]
        return (*known, *(name for name in chosen if _is_table(name)))

    @property
    def idle(self) -> frozenset[str]:
        """Settings of other rules, and of branches that there are not."""
        inner = {"num_folds"} if self.rule in _LEARNT or self.abstain_risk is not None else set()
        rules = {"stacking": {"stack_strength"}, "attention": {"attention"}}
        has_heads = any(self.has_head(one) for one in self.modalities)
        used = inner | rules.get(self.rule, set()) | ({"head"} if has_heads else set())
        return frozenset(["num_folds", "stack_strength", "attention", "head"]) - used

    def has_head(self, branch: str) -> bool:
        """Whether ``head`` classifies a branch, which then has named features."""
        return _is_table(branch) or (branch == "landmarks" and self.points == "motion")

    @property
    def has_votes(self) -> bool:
        """Whether the loss compares each frame's vote with the class of its recording."""
        return self.frames == "fv" and self.told == "frame"


def _is_table(branch: str) -> bool:
    return _TABLE.fullmatch(branch) is not None


def fusion_checks(fit: Any) -> list[str]:
    """List settings of pictures that the frozen network of a fusion cannot take."""
    if "rgb" not in fit.sees:
        return []
    faults = frame_resnet_faults(
        fit.model.backbone,
        num_frames=fit.model.num_frames,
        height=fit.decode.height,
        width=fit.decode.width,
    )
    return [fault.replace("model.", "model.backbone.") for fault in faults]


ENTRY = ModelEntry(
    settings=FusionConfig,
    description="face, landmarks, sound, tables: each has its own model; predictions are joined",
    sees=("several",),
    branches=(*BRANCHES, FEATURES),
    sections=("pretrained", "optim.epochs=1"),
    network=None,
    checks=fusion_checks,
    loop="once",
    learner="pdray.training.estimators.fusion:PARTS",
)
