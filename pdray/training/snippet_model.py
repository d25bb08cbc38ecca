"""Loads the winner of a study as MLflow keeps it: snippets in, probabilities of the classes out."""

import json
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pdray.config import build
from pdray.data.batches.augment import central_view
from pdray.data.batches.normalise import normalise_frames
from pdray.earlier import as_begun
from pdray.tracking.run_log import MODEL
from pdray.training.frozen.features import load_network
from pdray.training.objective import TrainingLoss
from pdray.training.settings import FitConfig


class SnippetModel:
    """A trained network on pictures, on the CPU, in evaluation mode.

    Args:
        config: Settings of the fit.
        network: From :func:`pdray.training.frozen.features.load_network`.
    """

    def __init__(self, config: FitConfig, network: nn.Module) -> None:
        self._config, self._network = config, network

    @torch.inference_mode()
    def predict(self, model_input: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the probabilities of the classes of each snippet.

        Args:
            model_input: (N, T, H, W, C) uint8 pictures, as the frame store keeps them: the whole
                stored picture, which is cropped here as in the evaluation of the study.

        Returns:
            (N, K) float32; rows sum to 1. The mean over the snippets of a recording is the
            probability of the recording.

        Raises:
            ValueError: If the pictures have another dtype or number of channels.
        """
        parts = torch.split(torch.tensor(model_input), self._config.optim.batch_size)
        return torch.cat([self._some(part) for part in parts]).numpy()

    def _some(self, frames: torch.Tensor) -> torch.Tensor:
        view = central_view(frames, self._config.augment)
        x = normalise_frames(frames, augmentation=view, modality=self._config.sees[0])
        return TrainingLoss(self._config.loss, None).log_probabilities(self._network(x)).exp()


def _load_pyfunc(path: str) -> SnippetModel:
    """Read the folder ``data`` of a registered model; MLflow calls this function by its name."""
    folder = Path(path)
    facts = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    settings = facts["settings"]
    config = build(FitConfig, as_begun(FitConfig, settings, settings))
    weights = torch.load(folder / MODEL, weights_only=True, map_location="cpu")
    return SnippetModel(config, load_network(config, facts["num_classes"], weights))
