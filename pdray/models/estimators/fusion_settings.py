"""Settings, rules and registry entry of the fusion of several modalities."""

from typing import Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from pdray.models.entry import ModelEntry, ModelSettings
from pdray.models.networks.frame_resnet_settings import FrameResNetConfig, frame_resnet_faults

Branch = Literal["rgb", "landmarks", "mfcc", "log_mel", "waveform"]
BRANCHES: tuple[Branch, ...] = get_args(Branch)
Rule = Literal["l1", "mean", "stacking"]


class FusionConfig(ModelSettings):
    """Settings of the branches, of their training and of their fusion."""

    name: Literal["fusion"] = Field("fusion", description="architecture")
    branches: str = Field(
        "rgb+landmarks+mfcc", description=f"modalities joined by +, of {', '.join(BRANCHES)}"
    )
    rule: Rule = Field(
        "l1",
        description="l1: L1-normalised logits summed, as YouTubePD; mean: of probabilities; "
        "stacking: a regression on out-of-fold predictions",
    )
    frames: Literal["fv", "fc"] = Field(
        "fv", description="of rgb and landmarks; fv: each frame votes; fc: frames concatenated"
    )
    told: Literal["frame", "recording"] = Field(
        "frame", description="what learns the class with fv: each frame, or the sum of the frames"
    )
    num_frames: int = Field(
        10, ge=1, le=1024, description="frames of a recording; YouTubePD: 10 or 8"
    )
    backbone: FrameResNetConfig = Field(
        FrameResNetConfig(layout="vggface2"),
        description="frozen network of rgb; its weights are those of pretrained",
    )
    unit: Literal["pixels", "eyes"] = Field(
        "pixels", description="of landmarks: 256 pixels, or the distance between the eyes"
    )
    num_hidden: int = Field(128, ge=1, le=65536, description="hidden units of landmarks")
    num_hidden_sound: int = Field(
        1024, ge=1, le=65536, description="hidden units of sound; YouTubePD: 1024"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability before each output layer")
    learning_rate: float = Field(0.02, gt=0, description="of Adam; YouTubePD: 0.02")
    batch_size: int = Field(
        16, ge=1, description="recordings of a step; YouTubePD: 16 [recordings]"
    )
    num_epochs: int = Field(50, ge=1, description="of each branch; YouTubePD: 50 [epochs]")
    hierarchy_lambda: float = Field(0.5, ge=0, le=1, description="weight of ill or not in the loss")
    num_folds: int = Field(
        3, ge=2, description="stacking: inner folds, of subjects, inside the training side [folds]"
    )
    stack_strength: float = Field(
        1.0, gt=0, description="stacking: C, the inverse of the penalty on the weights"
    )

    @field_validator("branches")
    @classmethod
    def _are_branches(cls, branches: str) -> str:
        names = branches.split("+")
        for name in names:
            if name not in BRANCHES:
                raise ValueError(f"'{name}' is no branch; branches are {', '.join(BRANCHES)}")
            if names.count(name) > 1:
                raise ValueError(f"{name} stands there twice")
        return branches

    @model_validator(mode="after")
    def _nothing_concatenated_votes(self) -> Self:
        if self.frames == "fc" and self.told != "frame":
            raise ValueError(f"told {self.told} needs frames fv; concatenated frames have no vote")
        return self

    @property
    def modalities(self) -> tuple[Branch, ...]:
        """The modalities of the branches, in the order of ``BRANCHES``."""
        chosen = self.branches.split("+")
        return tuple(name for name in BRANCHES if name in chosen)

    @property
    def has_votes(self) -> bool:
        """Whether every frame is told the class of its recording."""
        return self.frames == "fv" and self.told == "frame"


def fusion_checks(fit: Any) -> list[str]:
    """List what is wrong with the pictures that the frozen network of a fusion sees."""
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
    description="face, landmarks and sound, each judged by a model of its own, then joined",
    sees=("several",),
    branches=BRANCHES,
    sections=("pretrained", "optim.epochs=1"),
    network=None,
    checks=fusion_checks,
    loop="once",
    learner="pdray.training.estimators.fusion:PARTS",
)
