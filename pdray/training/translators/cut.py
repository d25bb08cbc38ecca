"""CUT in training: a generator whose patches must resemble those of the source.

Source: Park et al. 2020 (arXiv:2007.15651), section 3 and appendix C. Letters there: X class 0, Y
the other class, G the generator, H its projections. Differs: weights, learning rate and halved
discriminator loss are those of CycleGAN; PatchNCE is a mean over layers, where eq. 4 has a sum;
its keys are constants; ``change_weight``, ``other_weight`` and ``discriminator_rate`` are those of
:mod:`pdray.training.translators.cyclegan`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from pdray.losses.adversarial import discriminator_loss, least_squares
from pdray.losses.patch_nce import patch_nce
from pdray.models.layers.patch_heads import PatchHeads, draw_places
from pdray.models.networks.translator import build_discriminator, build_generator, draw_weights
from pdray.models.networks.translator_settings import CUTConfig
from pdray.training.settings import FitConfig
from pdray.training.translators.blend import blend
from pdray.training.translators.method import Average, alone
from pdray.training.translators.optimise import descend, make_adam, set_linear_decay


class CUT:
    """CUT in training (:class:`pdray.training.translators.method.Method`)."""

    blends = True
    matches_histograms = False

    def __init__(self, config: CUTConfig) -> None:
        """Build the networks and their optimisers."""
        self.config = config
        self.average: Average = alone
        self.generator = build_generator(config, is_antialiased=True)
        self.heads = PatchHeads(self.generator.map_widths)
        draw_weights(self.heads)
        self.discriminator = build_discriminator(config.width_factor, config.discriminator_layers)
        self.networks = nn.ModuleDict(
            {
                "generator": self.generator,
                "heads": self.heads,
                "discriminator": self.discriminator,
            }
        )
        self.rates = {
            "generator": config.learning_rate,
            "discriminator": config.learning_rate * config.discriminator_rate,
        }
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            "generator": make_adam([self.generator, self.heads], self.rates["generator"]),
            "discriminator": make_adam([self.discriminator], self.rates["discriminator"]),
        }

    def begin_epoch(self, epoch: int, num_epochs: int) -> None:
        """Set the learning rates: constant in the first half, then falling towards zero."""
        for name, optimizer in self.optimizers.items():
            set_linear_decay([optimizer], self.rates[name], epoch=epoch, num_epochs=num_epochs)

    def step(
        self, source: Tensor, target: Tensor, target_class: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """Take a step of the discriminator, then one of the generator and its projections."""
        is_kept = self.config.identity_weight > 0
        pictures = torch.cat([source, target]) if is_kept else source
        made, maps = self.generator.with_maps(pictures)
        told = self._step_discriminator(source, target, made[: len(source)].detach())
        score = self.discriminator(made[: len(source)])
        of_pictures = self._compare(self.generator.maps(made), maps, generator)
        patches, *kept = (part.mean() for part in torch.split(of_pictures, len(source)))
        losses = {  # eq. 5
            "adversarial": (1.0, least_squares(score, is_real=True)),
            "patches": (self.config.patch_weight, patches),
        }
        if is_kept:
            losses["identity"] = (self.config.identity_weight, kept[0])
        if self.config.change_weight > 0:
            change = l1_loss(made[: len(source)].float(), source)
            losses["change"] = (self.config.change_weight, change)
        return told | descend(self.optimizers["generator"], losses, self.average)

    def _step_discriminator(self, source: Tensor, target: Tensor, made: Tensor) -> dict[str, float]:
        weight = self.config.other_weight
        loss = discriminator_loss(
            self.discriminator, real=target, made=made, other=source, other_weight=weight
        )
        # Halved, so that it learns more slowly than the generator, as in CycleGAN.
        losses = {"discriminator": (0.5, loss)}
        return descend(self.optimizers["discriminator"], losses, self.average)

    def _compare(
        self, made_maps: Sequence[Tensor], maps: Sequence[Tensor], generator: torch.Generator
    ) -> Tensor:
        """Return PatchNCE between maps of translated and given pictures, (B,), mean over maps."""
        places = draw_places(maps, self.config.num_patches, generator)
        queries = self.heads(made_maps, places)
        with torch.no_grad():
            keys = self.heads(maps, places)
        return torch.stack(
            [
                patch_nce(query, key, temperature=self.config.temperature)
                for query, key in zip(queries, keys, strict=True)
            ]
        ).mean(dim=0)

    @torch.no_grad()
    def translate(self, source: Tensor, target_class: Tensor, strength: Tensor) -> Tensor:
        """Translate pictures; see :func:`pdray.training.translators.blend.blend`."""
        return blend(self.generator, source, strength)

    def state(self) -> dict[str, Any]:
        """Return nothing: a step depends on weights and optimisers alone."""
        return {}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state` returned."""


def build(config: FitConfig, num_classes: int, guide: nn.Module | None = None) -> CUT:
    """Build CUT (:class:`pdray.training.translators.method.Build`); it needs no guide."""
    return CUT(cast(CUTConfig, config.model))
