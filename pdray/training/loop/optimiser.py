"""The optimiser of a fit and its learning rates."""

import math
from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import nn

from pdray.training.settings import OptimConfig


def make_optimizer(
    config: OptimConfig, model: nn.Module
) -> tuple[torch.optim.Optimizer, tuple[float, ...]]:
    """Make the optimiser of all weights that are trained.

    A network may learn its parts at rates of their own: ``learning_rates`` of its module names a
    part (a submodule or a parameter) and its highest rate. Everything else has that of the
    settings.

    Args:
        config: Settings.
        model: The network, alone or inside others.

    Returns:
        The optimiser, and the highest learning rate of each of its groups; that of the settings
        comes first.
    """
    kinds: Mapping[str, Callable[..., torch.optim.Optimizer]] = {
        "sgd": partial(torch.optim.SGD, momentum=0.9),
        "adam": torch.optim.Adam,
        "adamw": torch.optim.AdamW,
    }
    rates = _own_rates(model)
    groups: dict[tuple[str, float], list[nn.Parameter]] = {("", config.learning_rate): []}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = rates.get(id(parameter), ("", config.learning_rate))
            groups.setdefault(key, []).append(parameter)
    optimizer = kinds[config.optimizer](
        [{"params": parameters} for parameters in groups.values()],
        lr=config.learning_rate,
        weight_decay=config.weight_decay,
    )
    return optimizer, tuple(rate for _, rate in groups)


def _own_rates(model: nn.Module) -> dict[int, tuple[str, float]]:
    """Return the part and the rate of each parameter that has a rate of its own, by identity."""
    found: dict[int, tuple[str, float]] = {}
    for module in model.modules():
        for part, rate in getattr(module, "learning_rates", {}).items():
            for name, parameter in module.named_parameters():
                if name == part or name.startswith(f"{part}."):
                    found[id(parameter)] = (part, rate)
    return found


def learning_rate_factor(config: OptimConfig, epochs_done: float) -> float:
    """Return the factor of the highest learning rate after a (fractional) number of epochs."""
    if epochs_done < config.warmup_epochs:
        return epochs_done / config.warmup_epochs
    if config.schedule == "constant":
        return 1.0
    left = (config.epochs - epochs_done) / max(config.epochs - config.warmup_epochs, 1e-9)
    return 0.5 * (1 - math.cos(math.pi * min(1.0, max(0.0, left))))
