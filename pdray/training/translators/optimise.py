"""Steps of a translator's optimisers, and their learning rates."""

from collections.abc import Iterable, Mapping
from math import isfinite

import torch
from torch import Tensor, nn

from pdray.errors import DivergedError
from pdray.training.translators.method import Average

BETAS = (0.5, 0.999)  # of Adam, in CycleGAN and CUT


def make_adam(
    networks: Iterable[nn.Module],
    learning_rate: float,
    *,
    beta1: float = BETAS[0],
    weight_decay: float = 0.0,
) -> torch.optim.Adam:
    """Return Adam of all weights of some networks.

    Source: Zhu et al. 2017 (arXiv:1703.10593), appendix 7.1, for the learning rate; the default
    of beta1 is that of Isola et al. 2017 (arXiv:1611.07004), section 3.3.
    """
    weights = [weight for network in networks for weight in network.parameters()]
    return torch.optim.Adam(
        weights, lr=learning_rate, betas=(beta1, BETAS[1]), weight_decay=weight_decay
    )


def set_linear_decay(
    optimizers: Iterable[torch.optim.Optimizer],
    learning_rate: float,
    *,
    epoch: int,
    num_epochs: int,
) -> None:
    """Set the learning rate of an epoch: constant in the first half, then linear towards zero.

    Source: Zhu et al. 2017 (arXiv:1703.10593), appendix 7.1: 100 and 100 epochs; Park et al. 2020
    (arXiv:2007.15651): 200 and 200. The rate would be zero one epoch after the last.

    Args:
        optimizers: To change.
        learning_rate: Of the first half.
        epoch: From 0.
        num_epochs: Epochs of the fit.
    """
    num_falling = num_epochs // 2
    left = min(num_falling + 1, num_epochs - epoch)
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate * (left / (num_falling + 1))


def descend(
    optimizer: torch.optim.Optimizer,
    losses: Mapping[str, tuple[float, Tensor]],
    average: Average,
) -> dict[str, float]:
    """Take one step down the weighted sum of losses; other weights get no gradient.

    Args:
        optimizer: All its weights take part in the losses.
        losses: Weight and () value of each loss, by name.
        average: Replaces gradients and losses by their means over the workers.

    Returns:
        The unweighted losses by name, mean over the workers.

    Raises:
        DivergedError: If a loss of any worker is not finite; names it. Nothing has moved then.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    values = torch.stack([value for _, value in losses.values()])
    total = (values * values.new_tensor([weight for weight, _ in losses.values()])).sum()
    with torch.autocast(values.device.type, enabled=False):  # as torch asks
        total.backward(inputs=weights)  # type: ignore[no-untyped-call]
    values = values.detach()
    average([*(weight.grad for weight in weights), values])
    told = dict(zip(losses, values.tolist(), strict=True))
    wrong = [f"{name} loss became {value}" for name, value in told.items() if not isfinite(value)]
    if wrong:
        raise DivergedError(f"the {', the '.join(wrong)}")
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    torch.clear_autocast_cache()  # it holds the weights from before the step
    return told
