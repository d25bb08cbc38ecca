"""Entry of a loss in the table of losses."""

from dataclasses import dataclass

ARGUMENTS = ("gamma", "alpha", "hierarchy_lambda", "label_smoothing")
"""Settings of :class:`pdray.losses.settings.LossConfig` that a loss may take."""


@dataclass(frozen=True)
class LossEntry:
    """Declaration of one loss.

    Attributes:
        function: ``module:function``, imported when used. It maps (B, J) outputs and a target
            ((B,) int64 classes or (B, K) float shares) to (B,) losses in nats.
        arguments: Settings that the function takes by name.
        weighs_classes: Whether it also takes ``weights_K``, the weights of the classes (setting
            ``normalize``).
        is_ordered: Whether it takes logits of ordered thresholds, not one logit per class.
    """

    function: str
    arguments: tuple[str, ...] = ()
    weighs_classes: bool = False
    is_ordered: bool = False

    def __post_init__(self) -> None:
        if wrong := set(self.arguments) - set(ARGUMENTS):
            raise ValueError(
                f"no loss takes {', '.join(wrong)}; use some of {', '.join(ARGUMENTS)}"
            )

    @property
    def settings(self) -> tuple[str, ...]:
        """Settings that change the loss."""
        return (*self.arguments, *(("normalize",) if self.weighs_classes else ()))
