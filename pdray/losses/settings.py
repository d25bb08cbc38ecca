"""Table of losses and settings of a fit's loss; imports no torch."""

from typing import TYPE_CHECKING, Literal, Self

from pydantic import Field, model_validator

from pdray.config import Settings
from pdray.losses.entry import LossEntry
from pdray.plugins import parts

Unmarked = Literal["normal", "unknown"]


_LOSSES = {
    "class_balanced_focal": LossEntry(
        "pdray.losses.focal:class_balanced_focal_loss", ("gamma",), weighs_classes=True
    ),
    "focal": LossEntry("pdray.losses.softmax_focal:softmax_focal_loss", ("gamma", "alpha")),
    "cross_entropy": LossEntry(
        "pdray.losses.softmax_focal:softmax_focal_loss", ("label_smoothing",)
    ),
    "hierarchy": LossEntry("pdray.losses.hierarchy:hierarchy_loss", ("hierarchy_lambda",)),
    "coral": LossEntry("pdray.losses.ordinal:coral_loss", is_ordered=True),
    "cumulative_link": LossEntry("pdray.losses.ordinal:cumulative_link_loss", is_ordered=True),
}
LOSSES = _LOSSES | parts("pdray.losses", LossEntry, _LOSSES)
"""Every loss under its short key; those of plug-ins last."""

# A type checker cannot follow a type that is built at run time.
if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(LOSSES)]


class LossConfig(Settings):
    """Settings of the loss."""

    kind: Kind = Field(
        "class_balanced_focal",
        description="class_balanced_focal: TSA, eq. 1; focal: motion boundary paper, eq. 4; "
        "cross_entropy; hierarchy: YouTubePD, eq. 2, ill or healthy and the class; coral, "
        "cumulative_link: ordered grades, by thresholds on one score",
    )
    gamma: float = Field(
        2.0,
        ge=0,
        description="exponent of both focal losses: the larger, the less easy examples count; 0 "
        "is cross-entropy (the TSA paper names no value)",
    )
    alpha: float = Field(0.5, gt=0, le=1, description="focal: constant factor of the loss")
    hierarchy_lambda: float = Field(
        0.9,
        ge=0,
        le=1,
        description="hierarchy: weight of ill or healthy; 1 minus it is the weight of the class. "
        "YouTubePD: 0.9 for video, 0.5 for landmarks and sound",
    )
    label_smoothing: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="cross_entropy: share of each label that is spread evenly over the classes",
    )
    region_weight: float = Field(
        1.0,
        ge=0,
        description="networks on regions: factor of the mean loss of labelled regions, which is "
        "added to the loss of the recording; YouTubePD, eq. 2: 1",
    )
    unmarked: Unmarked = Field(
        "normal",
        description="networks on regions: label of an unmarked region of an ill recording with "
        "other marks; normal: it does not show the disease; unknown: it has no label",
    )
    normalize: bool = Field(
        True,
        description="class_balanced_focal: scale the class weights to sum to the number of classes "
        "(Cui et al. 2019); false: the weights of the TSA paper, which shrink with the counts",
    )
    soft_targets: bool = Field(
        False, description="learn the shares of the raters' grades instead of the consensus grade"
    )

    @property
    def entry(self) -> LossEntry:
        """Entry of the loss in the table."""
        return LOSSES[self.kind]

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        idle = []
        for name, field in LossConfig.model_fields.items():
            right = " or ".join(kind for kind, one in LOSSES.items() if name in one.settings)
            value, default = getattr(self, name), field.default
            if not right or value == default or name in self.entry.settings:
                continue
            idle.append(
                f"{name} {_shown(value)} needs kind {right}; with kind {self.kind} leave it at "
                f"{_shown(default)}"
            )
        if idle:
            raise ValueError("; ".join(idle))
        return self

    @property
    def region_settings(self) -> list[str]:
        """Changed settings that need a network on regions."""
        fields = LossConfig.model_fields
        names = ("region_weight", "unmarked")
        return [name for name in names if getattr(self, name) != fields[name].default]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
