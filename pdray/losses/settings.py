"""Settings of the loss, without the losses themselves."""

from typing import Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings

Unmarked = Literal["normal", "unknown"]
_GAMMA, _ALPHA, _LAMBDA, _REGION_WEIGHT = 2.0, 0.5, 0.9, 1.0
_FOCUSED = ("class_balanced_focal", "focal")


class LossConfig(Settings):
    """What is minimised."""

    kind: Literal[
        "class_balanced_focal", "focal", "cross_entropy", "hierarchy", "coral", "cumulative_link"
    ] = Field(
        "class_balanced_focal",
        description="class_balanced_focal: 002 eq. 1; focal: 004 eq. 4; cross_entropy; hierarchy: "
        "000 eq. 2, ill or not and the class; coral, cumulative_link: ordered grades, thresholds "
        "on one score",
    )
    gamma: float = Field(
        _GAMMA,
        ge=0,
        description="focusing exponent of both focal losses; 0 is cross-entropy (002 gives none)",
    )
    alpha: float = Field(_ALPHA, gt=0, le=1, description="factor of kind focal")
    hierarchy_lambda: float = Field(
        _LAMBDA,
        ge=0,
        le=1,
        description="hierarchy: weight of class 0, healthy, against all others; the rest is that "
        "of the class. 000: 0.9 for video, 0.5 for landmarks and sound",
    )
    region_weight: float = Field(
        _REGION_WEIGHT,
        ge=0,
        description="factor of the mean loss of the regions that have a label, beside the loss of "
        "the recording, of networks on regions; 1 in 000 eq. 2",
    )
    unmarked: Unmarked = Field(
        "normal",
        description="an unmarked region of an ill recording with marks on others; normal: the "
        "marks are all that showed the disease; unknown: it has no label",
    )
    normalize: bool = Field(
        True,
        description="class_balanced_focal: scale class weights to sum to the number of classes, as "
        "Cui 2019; false: the literal weights of 002, which shrink the gradient by the counts",
    )
    soft_targets: bool = Field(
        False, description="learn the shares of the raters' grades, not the consensus grade"
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        idle = []
        if self.gamma != _GAMMA and self.kind not in _FOCUSED:
            idle.append(
                f"gamma {self.gamma:g} needs kind class_balanced_focal or focal; with kind "
                f"{self.kind} leave it at {_GAMMA:g}"
            )
        if self.alpha != _ALPHA and self.kind != "focal":
            idle.append(
                f"alpha {self.alpha:g} needs kind focal; with kind {self.kind} leave it at "
                f"{_ALPHA:g}"
            )
        if self.hierarchy_lambda != _LAMBDA and self.kind != "hierarchy":
            idle.append(
                f"hierarchy_lambda {self.hierarchy_lambda:g} needs kind hierarchy; with kind "
                f"{self.kind} leave it at {_LAMBDA:g}"
            )
        if not self.normalize and self.kind != "class_balanced_focal":
            idle.append(
                f"normalize false needs kind class_balanced_focal; with kind {self.kind} leave it "
                "at true"
            )
        if idle:
            raise ValueError("; ".join(idle))
        return self

    @property
    def region_settings(self) -> list[str]:
        """Return the settings that were changed and need a network on regions."""
        fields = LossConfig.model_fields
        names = ("region_weight", "unmarked")
        return [name for name in names if getattr(self, name) != fields[name].default]
