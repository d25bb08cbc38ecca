"""One step of training or evaluation: a plain function of model, batch and loss."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pdray.data.augment import AugmentConfig, draw_augmentation, normalise_frames
from pdray.data.reader import Batch
from pdray.errors import DivergedError

Objective = Callable[[Tensor, Tensor], Tensor]
"""(B, K) logits and (B,) int64 classes to (B,) loss in nats."""


@dataclass(frozen=True)
class Precision:
    """Where and in which number format the network computes.

    Attributes:
        device: Where the batch goes.
        dtype: float32, or bfloat16 for autocast; the weights stay float32.
    """

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """Return the autocast context; it does nothing in float32."""
        return torch.autocast(
            self.device.type, dtype=self.dtype, enabled=self.dtype != torch.float32
        )


def train_step(
    model: nn.Module,
    batch: Batch,
    *,
    objective: Objective,
    precision: Precision,
    scale: float,
    augment: tuple[AugmentConfig, torch.Generator],
) -> Tensor:
    """Add the gradient of one batch to the model's parameters.

    Args:
        model: Maps (N, 3, T, H, W) to (N, K) logits; in training mode.
        batch: S snippets of each of B recordings; a snippet has the class of its recording.
        objective: The loss of each snippet.
        precision: Device and number format.
        scale: What the summed loss is multiplied with before the gradient; 1 / (snippets of the
            global batch) makes the gradient that of the global mean.
        augment: Settings and the CPU generator of this batch's draws.

    Returns:
        () float64 on the CPU, the sum of the snippets' losses, in nats.

    Raises:
        DivergedError: If the loss is not finite; no gradient has been computed then.
    """
    snippets, classes = _flatten(batch, precision.device)
    settings, generator = augment
    drawn = draw_augmentation(snippets, settings, generator)
    x = normalise_frames(snippets, augmentation=drawn)
    with precision.autocast():
        logits = model(x)
    loss = objective(logits.float(), classes).sum()
    if not bool(torch.isfinite(loss)):
        raise DivergedError(f"the training loss became {loss.item()}")
    (loss * scale).backward()  # type: ignore[no-untyped-call]
    return loss.detach().double().cpu()


@torch.inference_mode()
def evaluate_step(
    model: nn.Module, batch: Batch, *, objective: Objective, precision: Precision
) -> tuple[Tensor, Tensor]:
    """Compute the logits and losses of one batch.

    Args:
        model: As in :func:`train_step`, in evaluation mode.
        batch: S snippets of each of B recordings.
        objective: The loss of each snippet.
        precision: Device and number format.

    Returns:
        (B, S, K) float32 logits and (B, S) float32 losses in nats, on the CPU.
    """
    snippets, classes = _flatten(batch, precision.device)
    with precision.autocast():
        logits = model(normalise_frames(snippets)).float()
    loss = objective(logits, classes)
    shape = batch.frames.shape[:2]
    return logits.cpu().view(*shape, -1), loss.cpu().view(shape)


def _flatten(batch: Batch, device: torch.device) -> tuple[Tensor, Tensor]:
    """Move a batch to the device as (B*S, T, H, W, 3) uint8 snippets and (B*S,) classes."""
    num_snippets = batch.frames.shape[1]
    snippets = batch.frames.to(device, non_blocking=True).flatten(0, 1)
    return snippets, batch.target.to(device, non_blocking=True).repeat_interleave(num_snippets)
