"""Predicts with a trained network: the same reading, batches and steps as its evaluation."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.data.batches.plan import evaluation_batches
from pdray.data.batches.reader import Batch, BlankReader, SnippetReader
from pdray.data.batches.snippet import snippet_shape
from pdray.data.batches.stream import open_stream
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.errors import DivergedError
from pdray.models.layers.settings import NUM_REGIONS
from pdray.training.loop.step import Precision, evaluate_step
from pdray.training.objective import RegionTarget, TrainingLoss
from pdray.training.settings import FitConfig, OptimConfig
from pdray.training.task import evaluated_at_once

_CPU = torch.device("cpu")


class _NoLoss(TrainingLoss):
    """The objective of a fit without its loss, since nobody knows the classes."""

    def loss(self, outputs: Tensor, target: Tensor | RegionTarget) -> Tensor:
        return outputs.new_zeros(len(outputs))


def predict_network(
    network: nn.Module,
    recordings: Sequence[RatedRecording],
    config: FitConfig,
    *,
    num_classes: int,
    seed: int,
    device: torch.device = _CPU,
) -> NDArray[np.float32]:
    """Return the logits of recordings as the evaluation of a fit computes them.

    Args:
        network: Trained, on the CPU; it is moved to the device.
        recordings: N recordings, at least one; their classes are not looked at.
        config: Settings of the fit. Batches are read in this process.
        num_classes: Classes K.
        seed: Seed of the fit.
        device: Device of the network.

    Returns:
        (N, S, K) float32 logits of the S snippets of each recording, or log probabilities of
        ordered thresholds.

    Raises:
        DecodeError: If a recording cannot be read; names it.
        DivergedError: If a logit is not finite; names the recording.
    """
    network = network.to(device).eval()
    order_channels_last(network)
    batches = evaluation_batches(
        FoldSides((), tuple(range(len(recordings)))), (0, 0), evaluated_at_once(config), (0, 1)
    )
    reader = make_reader(tuple(recordings), config, seed)
    objective = _NoLoss(config.loss, None, NUM_REGIONS if config.beside else 0)
    precision = Precision(device, number_format(config.optim, device))
    with open_stream(batches, reader, config.stream, kind="local", device=device) as stream:
        parts = [
            score_batch(network, batch, config, objective, precision, num_classes)[0]
            for batch in stream
        ]
    logits: NDArray[np.float32] = torch.cat(parts).numpy()
    wild = ~np.isfinite(logits).all(axis=(1, 2))
    if wild.any():
        named = recordings[int(np.flatnonzero(wild)[0])].recording_id
        raise DivergedError(
            f"recording {named}: a logit is not finite; check the recording and the weights"
        )
    return logits


def score_batch(
    model: nn.Module,
    batch: Batch,
    config: FitConfig,
    objective: TrainingLoss,
    precision: Precision,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Return the (B, S, K) outputs for classes of one batch, and its (B, S) losses in nats.

    Args:
        model: In evaluation mode.
        batch: S snippets of each of B recordings.
        config: Settings of the fit.
        objective: Loss of the fit.
        precision: Device and number format.
        num_classes: Classes K.
    """
    outputs, losses = evaluate_step(
        model,
        batch,
        objective=objective.loss,
        precision=precision,
        augment=config.augment,
        max_snippets=config.optim.batch_size * snippet_shape(config.snippet)[0],
    )
    outputs = objective.class_outputs(outputs)
    if outputs.shape[-1] != num_classes:  # ordered thresholds, not classes
        flat = objective.log_probabilities(outputs.flatten(0, 1))
        outputs = flat.view(*outputs.shape[:2], -1)
    return outputs, losses


def make_reader(
    recordings: tuple[RatedRecording, ...], config: FitConfig, seed: int, *, blank: bool = False
) -> SnippetReader:
    """Return the reader of a fit's snippets; computes cached views that are missing.

    Args:
        recordings: To which the batches refer.
        config: Settings of the fit.
        seed: Seed of the fit.
        blank: Whether random pictures are read, which need no file.
    """
    if config.views is not None:
        from pdray.training.frozen.views import keep_views

        recordings = keep_views(recordings, config)
    height, width = config.picture_size
    return (BlankReader if blank else SnippetReader)(
        recordings,
        config.snippet,
        config.decode.model_copy(update={"height": height, "width": width}),
        seed,
        modality=config.sees[0],
        beside=config.beside,
        limits=config.limits,
        views=config.views,
    )


def order_channels_last(model: nn.Module) -> None:
    """Store the weights of convolutions in the memory order in which they are fastest."""
    orders = {4: torch.channels_last, 5: torch.channels_last_3d}  # 2D networks have the former
    for weight in model.parameters():
        if weight.ndim in orders:
            weight.data = weight.data.contiguous(memory_format=orders[weight.ndim])


def number_format(config: OptimConfig, device: torch.device) -> torch.dtype:
    """Return the number format of a network on a device."""
    if config.precision == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return torch.bfloat16 if config.precision == "bfloat16" else torch.float32
