"""HRFAE in training: an editor that a frozen classifier guides.

Source: Yao et al. 2020 (arXiv:2005.04410), section 3, with the classifier of severity in place of
that of ages (YouTubePD, Zhou et al. 2023, section 5.3). Every picture, of class 0 or another, is
edited to the class of its partner in the batch, and is rebuilt at its own class. R1: Mescheder et
al. 2018 (arXiv:1801.04406). Adam's numbers and the weights of the losses are those of the official
implementation's settings; it also divides the learning rate by 10 after half of the epochs, which
is not done here, and weighs its gradient penalty with 1, whose definition was not checked.
Not published: ``class_discriminator`` gives the discriminator one score per class. The score of a
class is that of real pictures of this class against pictures edited to it, and against real
pictures of the partner's class, after Reed et al. 2016 (arXiv:1605.05396), section 4.2, whose
discriminator also rejects real pictures with a wrong description. The adversarial loss then asks
for pictures of the target class, not for any real picture. ``change_weight`` adds the mean absolute
difference between edited pictures and their sources to the editor's losses.
``discriminator_rate``, ``learning_rate_falls`` and ``beta1`` change how it learns.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, l1_loss

from pdray.errors import SettingsError
from pdray.losses.adversarial import least_squares, r1_penalty
from pdray.models.networks.face_editor import build_editor
from pdray.models.networks.face_editor_settings import HRFAEConfig
from pdray.models.networks.translator import build_discriminator
from pdray.training.settings import FitConfig
from pdray.training.translators.method import Average, alone
from pdray.training.translators.optimise import descend, make_adam, set_linear_decay

WEIGHT_DECAY = 5e-4


class HRFAE:
    """HRFAE in training (:class:`pdray.training.translators.method.Method`)."""

    blends = False
    matches_histograms = True

    def __init__(self, config: HRFAEConfig, num_classes: int, guide: nn.Module) -> None:
        """Build the networks and their optimisers; freeze the guide."""
        self.config = config
        self.average: Average = alone
        self.guide = guide.eval().requires_grad_(False)
        self.editor = build_editor(config, num_classes)
        self.discriminator = build_discriminator(
            config.width_factor,
            config.discriminator_layers,
            num_classes if config.class_discriminator else 1,
        )
        self.networks = nn.ModuleDict({"editor": self.editor, "discriminator": self.discriminator})
        self.rates = {
            "editor": config.learning_rate,
            "discriminator": config.learning_rate * config.discriminator_rate,
        }
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            name: make_adam(
                [network], self.rates[name], beta1=config.beta1, weight_decay=WEIGHT_DECAY
            )
            for name, network in self.networks.items()
        }

    def begin_epoch(self, epoch: int, num_epochs: int) -> None:
        """Leave the learning rates as they are, or set them as those of CycleGAN."""
        if not self.config.learning_rate_falls:
            return
        for name, optimizer in self.optimizers.items():
            set_linear_decay([optimizer], self.rates[name], epoch=epoch, num_epochs=num_epochs)

    def step(
        self, source: Tensor, target: Tensor, target_class: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """Take a step of the discriminator, then one of the editor."""
        pictures = torch.cat([source, target])
        own = torch.cat([torch.zeros_like(target_class), target_class])
        wanted = own.roll(len(source))
        full = torch.ones(len(own), device=own.device)
        encoded = self.editor.encode(pictures)
        edited = self.editor.decode(encoded, self.editor.vector(wanted, full))
        rebuilt = self.editor.decode(encoded, self.editor.vector(own, full))
        told = self._step_discriminator(pictures, edited.detach(), own, wanted)
        score, logits = self._scores(edited, wanted), self.guide(edited)
        losses = {
            "reconstruction": (
                self.config.reconstruction_weight,
                l1_loss(rebuilt.float(), pictures),
            ),
            "class": (self.config.class_weight, cross_entropy(logits.float(), wanted)),
            "adversarial": (self.config.adversarial_weight, least_squares(score, is_real=True)),
        }
        if self.config.change_weight > 0:
            losses["change"] = self.config.change_weight, l1_loss(edited.float(), pictures)
        return told | descend(self.optimizers["editor"], losses, self.average)

    def _scores(self, pictures: Tensor, classes: Tensor) -> Tensor:
        return self._of_classes(self.discriminator(pictures), classes)

    def _of_classes(self, scores: Tensor, classes: Tensor) -> Tensor:
        """Return each picture's scores of its class, if classes have scores of their own."""
        if not self.config.class_discriminator:
            return scores
        return scores[torch.arange(len(classes), device=classes.device), classes]

    def _step_discriminator(
        self, pictures: Tensor, edited: Tensor, own: Tensor, wanted: Tensor
    ) -> dict[str, float]:
        real, fake = self.discriminator(torch.cat([pictures, edited])).chunk(2)
        loss = least_squares(self._of_classes(real, own), is_real=True)
        loss = loss + least_squares(self._of_classes(fake, wanted), is_real=False)
        losses = {"discriminator": (1.0, loss)}
        if self.config.class_discriminator:
            other = least_squares(self._of_classes(real, wanted), is_real=False)
            losses["other_class"] = 1.0, other
        if self.config.r1_weight > 0:
            penalty = r1_penalty(lambda some: self._scores(some, own), pictures)
            losses["r1"] = self.config.r1_weight / 2, penalty
        return descend(self.optimizers["discriminator"], losses, self.average)

    @torch.no_grad()
    def translate(self, source: Tensor, target_class: Tensor, strength: Tensor) -> Tensor:
        """Translate pictures; a strength of 0 rebuilds them as class 0."""
        edited: Tensor = self.editor(source, target_class, strength)
        return edited.float()

    def state(self) -> dict[str, Any]:
        """Return nothing: a step depends on weights and optimisers alone."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state` returned."""


def build(config: FitConfig, num_classes: int, guide: nn.Module | None = None) -> HRFAE:
    """Build HRFAE (:class:`pdray.training.translators.method.Build`).

    Raises:
        SettingsError: If there is no guide.
    """
    if guide is None:
        raise SettingsError(
            "synthesis.guide: hrfae learns from a classifier of pictures; name the folder of a "
            "finished study"
        )
    return HRFAE(cast(HRFAEConfig, config.model), num_classes, guide)
