"""Contract of a translator: its networks, one optimisation step, and translation.

A translator learns from unpaired pictures to change a picture of class 0 into one of another class.
Each method is a file beside this one with a function ``build`` of the type :data:`Build`; the loop
(:mod:`pdray.training.loop.translate`) does the rest: epochs, batches, several workers, states.
Pictures are (B, 3, S, S) float32 in -1..1, of any square side S of 64 to 512 px.
Letters: B pictures per worker, S side, K classes.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from pdray.training.settings import FitConfig

Average = Callable[[Sequence[Tensor]], None]


def alone(tensors: Sequence[Tensor]) -> None:
    """Leave the gradients and losses of a single worker as they are."""


class Method(Protocol):
    """A translator that is being trained.

    The same weights, state, pictures and generator give the same step. Several workers hold the
    same weights and step together; networks are not wrapped, since their gradients are averaged
    before each optimiser moves. The loop calls ``step`` and ``translate`` under the autocast of the
    fit; what needs float32 switches it off.

    Attributes:
        networks: Everything with weights, by name; to move to the device and to save. The guide is
            not among them.
        average: Called in each step of each optimiser with the gradients of its weights and its
            losses, on the device: replaces them by their means over the workers. Does nothing
            unless it is set.
        blends: Whether a strength between 0 and 1 mixes the source with its translation, pixel by
            pixel, since the method has no weaker edit.
        matches_histograms: Whether pictures that are shown or scored get the histograms of their
            sources (:mod:`pdray.predict.histograms`). ``translate`` does not match them, so that
            the numbers of a trial are of pictures before it.
    """

    networks: nn.ModuleDict
    average: Average
    blends: bool
    matches_histograms: bool

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """Optimisers of these weights, by name; to save."""

    def begin_epoch(self, epoch: int, num_epochs: int) -> None:
        """Set the learning rates of an epoch.

        Args:
            epoch: From 0.
            num_epochs: Epochs of the whole fit, at least 1.
        """

    def step(
        self, source: Tensor, target: Tensor, target_class: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """Take one step of every optimiser.

        Args:
            source: (B, 3, S, S) pictures of class 0, on the device of the networks.
            target: (B, 3, S, S) real pictures of other classes.
            target_class: (B,) int64 class of each picture of ``target``, 1 to K-1; also the class
                that the source at the same place is translated to.
            generator: On the CPU; all random numbers of the step come from it.

        Returns:
            Losses by name, unweighted, mean over the pictures of all workers; all are finite.

        Raises:
            DivergedError: If a loss of any worker is not finite, on every worker; names it. Its
                optimiser does not move.
        """

    def translate(self, source: Tensor, target_class: Tensor, strength: Tensor) -> Tensor:
        """Translate pictures, without gradients; weights and state stay as they are.

        Args:
            source: (B, 3, S, S) pictures.
            target_class: (B,) int64 class to translate to, 1 to K-1.
            strength: (B,) float strength of the edit, 0 to 1.

        Returns:
            (B, 3, S, S) float32 pictures in -1..1.
        """

    def state(self) -> dict[str, Any]:
        """Return what a step depends on beside weights and optimisers: tensors and numbers."""

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state` returned."""


class Build(Protocol):
    """The function ``build`` of a method."""

    def __call__(
        self, config: FitConfig, num_classes: int, guide: nn.Module | None = None
    ) -> Method:
        """Build a translator on the CPU; its weights are drawn from torch's global generator.

        Args:
            config: Settings of the fit; ``config.model`` are those of the method.
            num_classes: Classes K, at least 2.
            guide: Classifier that maps (B, 3, S, S) pictures in -1..1 to (B, K) logits, on the
                device of the training. Only ``hrfae`` takes one, and needs it. Its weights are
                frozen.

        Raises:
            SettingsError: If the guide is absent or one too many.
        """
