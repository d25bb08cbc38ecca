"""One step of training or evaluation, as a function of model, batch and loss."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pdray.data.batches.augment import Augmentation, central_view, draw_augmentation
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.reader import Batch
from pdray.data.batches.settings import AugmentConfig
from pdray.data.modalities import Modality
from pdray.errors import DivergedError
from pdray.training.objective import RegionTarget

Objective = Callable[[Tensor, Any], Tensor]
"""Takes (N, J) outputs of a network and (N, ...) targets; returns the (N,) loss in nats.

A target is a tensor, or a :class:`RegionTarget` if the batch has targets of regions.
"""

Network = Callable[..., Tensor]
"""Takes (N, C, T, H, W) normalised snippets or (N, T, H', W', D) cached maps, and the (N, T, R, 4)
boxes of regions if the batch has them; returns (N, J) outputs, or one row per recording.
"""


@dataclass(frozen=True)
class Precision:
    """The device and the number format of the computation.

    Attributes:
        device: Device of the batch.
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
        model: In training mode. Its input has the precision's dtype, to which autocast would
            convert it anyway. The S snippets of a recording follow each other; a model that joins
            them returns one row per recording.
        batch: S snippets of each of B recordings; each snippet has the target of its recording.
        objective: The loss of each row.
        precision: Device and number format.
        scale: Factor of the summed loss before the gradient; 1 / (rows of the global batch) gives
            the gradient of the global mean.
        augment: Settings, and the CPU generator of this batch's random numbers.

    Returns:
        () float64 on the CPU, the sum of the rows' losses, in nats.

    Raises:
        DivergedError: If the loss is not finite; no gradient is computed then.
        SettingsError: If ``crop_size`` is larger than the pictures.
        ValueError: If the batch has further modalities, which would not be cropped and flipped.
    """
    parts = {
        modality: values.flatten(0, 1).to(precision.device, non_blocking=True)
        for modality, values in batch.inputs.items()
    }
    settings, generator = augment
    if batch.moved is None:
        drawn = draw_augmentation(parts[batch.modality], settings, generator)
    else:
        drawn = batch.moved.augmentation
    inputs = _inputs(parts, batch, drawn, precision.dtype)
    with precision.autocast():
        outputs = model(*inputs).float()
    loss = objective(outputs, _targets(batch, len(outputs), drawn, precision.device)).sum()
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
    """Compute the outputs and losses of one batch, a limited number of snippets at once.

    Args:
        model: See :func:`train_step`; in evaluation mode.
        batch: S snippets of each of B recordings.
        objective: The loss of each snippet.
        precision: Device and number format.
        augment: Its ``crop_size`` chooses the part of the picture; None: the whole picture.
        max_snippets: Most snippets on the device at once, at least 1; None: B, so that many views
            of a recording need no more memory than one.

    Returns:
        (B, S, J) float32 outputs and (B, S) float32 losses in nats, on the CPU.

    Raises:
        SettingsError: If ``crop_size`` is larger than the pictures.
        ValueError: If ``max_snippets`` is less than 1.
    """
    num_recordings, num_snippets = batch.frames.shape[:2]
    at_once = num_recordings if max_snippets is None else max_snippets
    if at_once < 1:
        raise ValueError(f"expected max_snippets of at least 1, got {at_once}")
    settings, device = augment or AugmentConfig(), precision.device
    scores, losses = [], []
    flat = {modality: values.flatten(0, 1) for modality, values in batch.inputs.items()}
    targets = _targets(batch, num_recordings * num_snippets, None, device)
    for first in range(0, num_recordings * num_snippets, at_once):
        some = slice(first, first + at_once)
        parts = {
            modality: values[some].to(device, non_blocking=True)
            for modality, values in flat.items()
        }
        seen = _evaluated_view(parts[batch.modality], batch, settings)
        inputs = _inputs(parts, batch, seen, precision.dtype)
        with precision.autocast():
            outputs = model(*inputs).float()
        scores.append(outputs)
        losses.append(objective(outputs, _some(targets, some)))
    shape = (num_recordings, num_snippets)
    return torch.cat(scores).cpu().view(*shape, -1), torch.cat(losses).cpu().view(shape)


def _inputs(
    parts: Mapping[Modality, Tensor],
    batch: Batch,
    augmentation: Augmentation | None,
    dtype: torch.dtype,
) -> tuple[Tensor, ...]:
    """Return the inputs of the network from snippets (N, T, ...) by modality."""
    seen = parts[batch.modality]
    beside = [modality for modality in parts if modality not in (batch.modality, "regions")]
    if beside:
        raise ValueError(
            f"only {batch.modality} and regions can be augmented; got {', '.join(beside)}"
        )
    if batch.moved is None:
        size = (seen.shape[2], seen.shape[3])
        x = normalise_frames(seen, dtype, augmentation=augmentation, modality=batch.modality)
    else:
        size, x = batch.moved.size, seen.to(dtype)
    if "regions" not in parts:
        return (x,)
    from pdray.data.batches.boxes import region_boxes

    return x, region_boxes(parts["regions"], augmentation, size)


def _evaluated_view(seen: Tensor, batch: Batch, settings: AugmentConfig) -> Augmentation | None:
    """Return the part of the pictures that evaluation uses, or that cached maps were made from."""
    if batch.moved is None:
        return central_view(seen, settings)
    shape = (*seen.shape[:2], *batch.moved.size, 3)
    return central_view(torch.empty(shape, dtype=torch.uint8, device="meta"), settings)


def _targets(
    batch: Batch, num_rows: int, augmentation: Augmentation | None, device: torch.device
) -> Tensor | RegionTarget:
    """Return the targets of ``num_rows`` rows; flipped pictures swap left and right regions."""
    target = batch.target.to(device, non_blocking=True)
    target = target.repeat_interleave(num_rows // len(target), dim=0)
    if batch.region_target is None:
        return target
    from pdray.data.batches.boxes import mirrored_regions

    regions = batch.region_target.to(device, non_blocking=True)
    regions = regions.repeat_interleave(num_rows // len(regions), dim=0)
    return RegionTarget(target, mirrored_regions(regions, augmentation))


def _some(targets: Tensor | RegionTarget, rows: slice) -> Tensor | RegionTarget:
    if isinstance(targets, RegionTarget):
        return RegionTarget(targets.classes[rows], targets.regions[rows])
    return targets[rows]
