"""CycleGAN in training: two generators, each of which undoes the other.

Source: Zhu et al. 2017 (arXiv:1703.10593), sections 3, 4 and 5.2, appendix 7.1. Letters there: X
class 0, Y the other class, G from X to Y, F back. Norms are means over pixels.
Differs: ``change_weight`` adds the mean absolute change of translated pictures, so that places
which tell nothing of the class stay as they are. Baumgartner et al. 2018 (arXiv:1711.08998) so
weigh the map that their generator adds to a picture. With ``other_weight`` a discriminator also
rejects real pictures of the other class; ``discriminator_rate`` changes its learning rate.
"""

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.functional import l1_loss

from pdray.losses.adversarial import discriminator_loss, least_squares
from pdray.models.networks.translator import build_discriminator, build_generator
from pdray.models.networks.translator_settings import CycleGANConfig
from pdray.training.settings import FitConfig
from pdray.training.translators.blend import blend
from pdray.training.translators.image_pool import ImagePool
from pdray.training.translators.method import Average, alone
from pdray.training.translators.optimise import descend, make_adam, set_linear_decay


class CycleGAN:
    """CycleGAN in training (:class:`pdray.training.translators.method.Method`)."""

    blends = True
    matches_histograms = False

    def __init__(self, config: CycleGANConfig) -> None:
        """Build the networks and their optimisers."""
        self.config = config
        self.average: Average = alone
        self.generator = build_generator(config, is_antialiased=False)
        self.back = build_generator(config, is_antialiased=False)
        self.discriminator = build_discriminator(config.width_factor, config.discriminator_layers)
        self.discriminator_back = build_discriminator(
            config.width_factor, config.discriminator_layers
        )
        self.networks = nn.ModuleDict(
            {
                "generator": self.generator,
                "back": self.back,
                "discriminator": self.discriminator,
                "discriminator_back": self.discriminator_back,
            }
        )
        self.rates = {
            "generators": config.learning_rate,
            "discriminators": config.learning_rate * config.discriminator_rate,
        }
        both: Mapping[str, Sequence[nn.Module]] = {
            "generators": [self.generator, self.back],
            "discriminators": [self.discriminator, self.discriminator_back],
        }
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            name: make_adam(networks, self.rates[name]) for name, networks in both.items()
        }
        self.pool, self.pool_back = ImagePool(config.pool_size), ImagePool(config.pool_size)

    def begin_epoch(self, epoch: int, num_epochs: int) -> None:
        """Set the learning rates: constant in the first half, then falling towards zero."""
        for name, optimizer in self.optimizers.items():
            set_linear_decay([optimizer], self.rates[name], epoch=epoch, num_epochs=num_epochs)

    def step(
        self, source: Tensor, target: Tensor, target_class: Tensor, generator: torch.Generator
    ) -> dict[str, float]:
        """Take a step of both generators, then one of both discriminators."""
        made, made_back, told = self._step_generators(source, target)
        earlier = self.pool.exchange(made, generator)
        earlier_back = self.pool_back.exchange(made_back, generator)
        return told | self._step_discriminators(source, target, earlier, earlier_back)

    def _step_generators(
        self, source: Tensor, target: Tensor
    ) -> tuple[Tensor, Tensor, dict[str, float]]:
        """Return G(x), F(y) and the losses."""
        # One pass of each generator translates and keeps: pictures of a batch do not mix.
        made, kept = self.generator(torch.cat([source, target])).chunk(2)
        made_back, kept_back = self.back(torch.cat([target, source])).chunk(2)
        cycled, cycled_back = self.back(made), self.generator(made_back)
        score, score_back = self.discriminator(made), self.discriminator_back(made_back)
        adversarial = least_squares(score, is_real=True) + least_squares(score_back, is_real=True)
        cycle = distance(cycled, source) + distance(cycled_back, target)
        identity = distance(kept, target) + distance(kept_back, source)
        weight = self.config.cycle_weight
        losses = {  # eq. 3: eq. 1 by least squares (section 4), eq. 2, and section 5.2
            "adversarial": (1.0, adversarial),
            "cycle": (weight, cycle),
            "identity": (weight * self.config.identity_weight, identity),
        }
        if self.config.change_weight > 0:
            change = distance(made, source) + distance(made_back, target)
            losses["change"] = (self.config.change_weight, change)
        told = descend(self.optimizers["generators"], losses, self.average)
        return made.detach(), made_back.detach(), told

    def _step_discriminators(
        self, source: Tensor, target: Tensor, made: Tensor, made_back: Tensor
    ) -> dict[str, float]:
        weight = self.config.other_weight
        here = discriminator_loss(
            self.discriminator, real=target, made=made, other=source, other_weight=weight
        )
        back = discriminator_loss(
            self.discriminator_back, real=source, made=made_back, other=target, other_weight=weight
        )
        # Halved, so that discriminators learn more slowly than generators (appendix 7.1).
        losses = {"discriminator": (0.5, here), "discriminator_back": (0.5, back)}
        return descend(self.optimizers["discriminators"], losses, self.average)

    @torch.no_grad()
    def translate(self, source: Tensor, target_class: Tensor, strength: Tensor) -> Tensor:
        """Translate pictures; see :func:`pdray.training.translators.blend.blend`."""
        return blend(self.generator, source, strength)

    def state(self) -> dict[str, Any]:
        """Return the pools of earlier translated pictures."""
        return {"pool": self.pool.state(), "pool_back": self.pool_back.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up a state that :meth:`state` returned."""
        self.pool.load(state["pool"])
        self.pool_back.load(state["pool_back"])


def distance(made: Tensor, real: Tensor) -> Tensor:
    """Return the mean absolute difference of two batches of pictures, () float32."""
    return l1_loss(made.float(), real)


def build(config: FitConfig, num_classes: int, guide: nn.Module | None = None) -> CycleGAN:
    """Build CycleGAN (:class:`pdray.training.translators.method.Build`); it needs no guide."""
    return CycleGAN(cast(CycleGANConfig, config.model))
