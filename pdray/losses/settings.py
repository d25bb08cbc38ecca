"""The table of losses and the settings of a fit's loss, without the losses themselves."""

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
    "cross_entropy": LossEntry("pdray.losses.softmax_focal:softmax_focal_loss"),
    "hierarchy": LossEntry("pdray.losses.hierarchy:hierarchy_loss", ("hierarchy_lambda",)),
    "coral": LossEntry("pdray.losses.ordinal:coral_loss", is_ordered=True),
    "cumulative_link": LossEntry("pdray.losses.ordinal:cumulative_link_loss", is_ordered=True),
}
LOSSES = _LOSSES | parts("pdray.losses", LossEntry, _LOSSES)
"""Every loss under its short key; those of plug-ins last."""

# A type that is made when this runs means nothing to a type checker.
if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(LOSSES)]


class LossConfig(Settings):
    """What is minimised."""

    kind: Kind = Field(
        "class_balanced_focal",
        description="class_balanced_focal: TSA eq. 1; focal: motion boundary paper eq. 4; "
        "cross_entropy; hierarchy: YouTubePD eq. 2, ill or not and the class; coral, "
        "cumulative_link: ordered grades, thresholds on one score",
    )
    gamma: float = Field(
        2.0,
        ge=0,
        description="focusing exponent of both focal losses; 0 is cross-entropy (TSA gives none)",
    )
    alpha: float = Field(0.5, gt=0, le=1, description="factor of kind focal")
    hierarchy_lambda: float = Field(
        0.9,
        ge=0,
        le=1,
        description="hierarchy: weight of class 0, healthy, against all others; the rest is that "
        "of the class. YouTubePD: 0.9 for video, 0.5 for landmarks and sound",
    )
    region_weight: float = Field(
        1.0,
        ge=0,
        description="factor of the mean loss of the regions that have a label, beside the loss of "
        "the recording, of networks on regions; 1 in YouTubePD eq. 2",
    )
    unmarked: Unmarked = Field(
        "normal",
        description="an unmarked region of an ill recording with marks on others; normal: the "
        "marks are all that showed the disease; unknown: it has no label",
    )
    normalize: bool = Field(
        True,
        description="class_balanced_focal: scale class weights to sum to the number of classes, as "
        "Cui 2019; false: the literal weights of TSA, which shrink the gradient by the counts",
    )
    soft_targets: bool = Field(
        False, description="learn the shares of the raters' grades, not the consensus grade"
    )

    @property
    def entry(self) -> LossEntry:
        """What the table says of the loss."""
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
        """Return the settings that were changed and need a network on regions."""
        fields = LossConfig.model_fields
        names = ("region_weight", "unmarked")
        return [name for name in names if getattr(self, name) != fields[name].default]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value).lower()
