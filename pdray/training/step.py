"""One step of training or evaluation: a plain function of model, batch and loss."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from pdray.data.augment import AugmentConfig, central_view, draw_augmentation
from pdray.data.normalise import normalise_frames
from pdray.data.reader import Batch
from pdray.errors import DivergedError

Objective = Callable[[Tensor, Tensor], Tensor]
"""(N, J) outputs of a network and their (N, ...) targets to (N,) loss in nats."""

Network = Callable[[Tensor], Tensor]
"""(N, C, T, H, W) normalised snippets to (N, J) outputs, or to one row for each recording."""


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
    model: Network,
    batch: Batch,
    *,
    objective: Objective,
    precision: Precision,
    scale: float,
    augment: tuple[AugmentConfig, torch.Generator],
) -> Tensor:
    """Add the gradient of one batch to the model's parameters.

    Args:
        model: In training mode. It gets the precision's dtype, to which autocast would convert its
            input anyway. The S snippets of a recording stand one after the other; one that joins
            them gives a row a recording.
        batch: S snippets of each of B recordings; a snippet has the target of its recording.
        objective: The loss of each row.
        precision: Device and number format.
        scale: What the summed loss is multiplied with before the gradient; 1 / (rows of the global
            batch) makes the gradient that of the global mean.
        augment: Settings and the CPU generator of this batch's draws.

    Returns:
        () float64 on the CPU, the sum of the rows' losses, in nats.

    Raises:
        DivergedError: If the loss is not finite; no gradient has been computed then.
        SettingsError: If ``crop_size`` does not fit into the pictures.
        ValueError: If the batch has modalities beside the one seen, which nothing here would crop
            and flip with it.
    """
    if set(batch.inputs) != {batch.modality}:
        raise ValueError(f"only {batch.modality} is augmented; got {', '.join(batch.inputs)}")
    device = precision.device
    snippets = batch.frames.flatten(0, 1).to(device, non_blocking=True)
    target = batch.target.to(device, non_blocking=True)
    settings, generator = augment
    drawn = draw_augmentation(snippets, settings, generator)
    x = normalise_frames(snippets, precision.dtype, augmentation=drawn, modality=batch.modality)
    with precision.autocast():
        outputs = model(x).float()
    loss = objective(outputs, target.repeat_interleave(len(outputs) // len(target), dim=0)).sum()
    if not bool(torch.isfinite(loss)):
        raise DivergedError(f"the training loss became {loss.item()}")
    (loss * scale).backward()  # type: ignore[no-untyped-call]
    return loss.detach().double().cpu()


@torch.inference_mode()
def evaluate_step(
    model: Network,
    batch: Batch,
    *,
    objective: Objective,
    precision: Precision,
    augment: AugmentConfig | None = None,
    max_snippets: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Compute the outputs and losses of one batch, a bounded number of snippets at once.

    Args:
        model: As in :func:`train_step`, in evaluation mode.
        batch: S snippets of each of B recordings.
        objective: The loss of each snippet.
        precision: Device and number format.
        augment: Its ``crop_size`` says what part of the picture is seen; None is all of it.
        max_snippets: Most snippets on the device at once, at least 1; None is B, so that many
            views of a recording need no more memory than one.

    Returns:
        (B, S, J) float32 outputs and (B, S) float32 losses in nats, on the CPU.

    Raises:
        SettingsError: If ``crop_size`` does not fit into the pictures.
        ValueError: If ``max_snippets`` is less than 1.
    """
    num_recordings, num_snippets = batch.frames.shape[:2]
    at_once = num_recordings if max_snippets is None else max_snippets
    if at_once < 1:
        raise ValueError(f"expected max_snippets of at least 1, got {at_once}")
    settings = augment or AugmentConfig()
    scores, losses = [], []
    flat = (batch.frames.flatten(0, 1), batch.target.repeat_interleave(num_snippets, dim=0))
    for part in zip(*(torch.split(values, at_once) for values in flat), strict=True):
        snippets, classes = (values.to(precision.device, non_blocking=True) for values in part)
        seen = central_view(snippets, settings)
        x = normalise_frames(snippets, precision.dtype, augmentation=seen, modality=batch.modality)
        with precision.autocast():
            outputs = model(x).float()
        scores.append(outputs)
        losses.append(objective(outputs, classes))
    shape = (num_recordings, num_snippets)
    return torch.cat(scores).cpu().view(*shape, -1), torch.cat(losses).cpu().view(shape)
