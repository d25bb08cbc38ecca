"""HRFAE in training: an editor that a frozen classifier guides.

Source: Yao et al. 2020 (arXiv:2005.04410), section 3, with the classifier of severity in place of
that of ages (YouTubePD, Zhou et al. 2023, section 5.3). Every picture, of class 0 or another, is
edited to the class of its partner in the batch, and is rebuilt at its own class. R1: Mescheder et
al. 2018 (arXiv:1801.04406). Silent: Adam's betas; they are Adam's own.
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
from pdray.training.translators.optimise import descend

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
        self.discriminator = build_discriminator(config.width_factor, config.discriminator_layers)
        self.networks = nn.ModuleDict({"editor": self.editor, "discriminator": self.discriminator})
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            name: torch.optim.Adam(
                network.parameters(), lr=config.learning_rate, weight_decay=WEIGHT_DECAY
            )
            for name, network in self.networks.items()
        }

    def begin_epoch(self, epoch: int, num_epochs: int) -> None:
        """Leave the learning rate as it is."""

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
        told = self._step_discriminator(pictures, edited.detach())
        score, logits = self.discriminator(edited), self.guide(edited)
        losses = {
            "reconstruction": (
                self.config.reconstruction_weight,
                l1_loss(rebuilt.float(), pictures),
            ),
            "class": (self.config.class_weight, cross_entropy(logits.float(), wanted)),
            "adversarial": (self.config.adversarial_weight, least_squares(score, is_real=True)),
        }
        return told | descend(self.optimizers["editor"], losses, self.average)

    def _step_discriminator(self, pictures: Tensor, edited: Tensor) -> dict[str, float]:
        real, fake = self.discriminator(torch.cat([pictures, edited])).chunk(2)
        loss = least_squares(real, is_real=True) + least_squares(fake, is_real=False)
        losses = {"discriminator": (1.0, loss)}
        if self.config.r1_weight > 0:
            penalty = r1_penalty(self.discriminator, pictures)
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
