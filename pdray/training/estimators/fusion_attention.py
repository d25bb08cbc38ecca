"""Learns the attention over the modalities of a fusion, from out-of-fold predictions."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.errors import DivergedError
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.models.estimators.modality_attention import ModalityAttention, packed
from pdray.training.estimators.feature_head import stack_features
from pdray.training.estimators.network_in_memory import (
    draw_network,
    network_logits,
    train_network,
)

Floats = NDArray[np.float64]
_LEAST = 1e-6  # smallest probability, so that logarithms are finite
_COMPONENTS = 32  # principal components of the numbers of a modality, at most


class AttentionJoint:
    """Attention over modalities: see :mod:`pdray.models.estimators.modality_attention`.

    The numbers of a modality are those of its description, of frames their mean. They are imputed
    (median), standardised and reduced to 32 principal components, all learnt from the recordings
    that have the modality.

    Args:
        config: Settings of the fusion.
        num_classes: Classes K, at least 2.
        seed: Seed of the weights, of the order of the recordings and of dropout.
    """

    def __init__(self, config: FusionConfig, *, num_classes: int, seed: int) -> None:
        self.names, self.num_classes, self.seed = config.modalities, num_classes, seed
        self.config = config.attention
        # Read by train_network; each part of a fusion is trained by the same loss.
        self.training = config.model_copy(
            update={
                name: getattr(config.attention, name)
                for name in ("learning_rate", "batch_size", "num_epochs")
            }
        )

    def fit(self, x: Sequence[Mapping[str, Any]], logits: Floats, y: NDArray[np.int64]) -> Self:
        """Learn from recordings.

        Args:
            x: Descriptions of N recordings, by modality.
            logits: (M, N, K) out-of-fold logits of the branches, NaN where absent.
            y: (N,) class, 0 to K-1.

        Raises:
            DivergedError: If the loss is not finite.
        """
        self.scaled: dict[str, Pipeline] = {}
        self.columns: dict[str, tuple[str, ...]] = {}
        for name in self.names:
            known = [one[name] for one in x if name in one]
            self.columns[name] = getattr(known[0], "names", ())
            rows = self._rows(name, known)
            self.scaled[name] = _preparation(min(_COMPONENTS, *rows.shape)).fit(rows)
        inputs = self._packed(x, logits)
        self.network = draw_network(self._build, self.seed)
        try:
            for _ in train_network(self.network, inputs, y, self.training, seed=self.seed):
                pass
        except DivergedError as error:
            raise DivergedError(f"attention, {error}") from error
        return self

    def logits(self, x: Sequence[Mapping[str, Any]], logits: Floats) -> Floats:
        """Return (N, K) fused logits; arguments as of :meth:`fit`."""
        return network_logits(self.network, self._packed(x, logits))

    @torch.inference_mode()
    def contributions(self, x: Sequence[Mapping[str, Any]], logits: Floats) -> Floats:
        """Return the (M, N, K) part of each modality in the fused logits; 0 where absent."""
        inputs = torch.from_numpy(self._packed(x, logits)).float()
        found: Floats = self.network.eval().parts(inputs).transpose(0, 1).double().numpy()
        return found

    def _build(self) -> ModalityAttention:
        return ModalityAttention(
            [one[-1].n_components_ for one in self.scaled.values()],
            self.num_classes,
            num_hidden=self.config.num_hidden,
            uncertainty=self.config.uncertainty,
            dropout=self.config.dropout,
        )

    def _rows(self, name: str, described: Sequence[Any]) -> Floats:
        """Return the (N, D) numbers of a modality; of frames their mean."""
        if self.columns[name]:
            return stack_features(described, self.columns[name])
        values = np.stack([np.asarray(one, np.float64) for one in described])
        return values if values.ndim == 2 else values.mean(axis=1).reshape(len(values), -1)

    def _packed(self, x: Sequence[Mapping[str, Any]], logits: Floats) -> Floats:
        present = np.asarray(np.isfinite(logits).all(axis=2), np.bool_)
        logs = log_softmax(np.where(present[:, :, None], logits, 0.0), axis=2)
        numbers = []
        for name, has in zip(self.names, present, strict=True):
            pipeline = self.scaled[name]
            found = np.zeros((len(x), pipeline[-1].n_components_))
            if has.any():
                known_rows = [x[number][name] for number in np.flatnonzero(has).tolist()]
                found[has] = pipeline.transform(self._rows(name, known_rows))
            numbers.append(torch.from_numpy(found))
        known = torch.from_numpy(np.maximum(logs, np.log(_LEAST)))
        joined: Floats = packed(numbers, known, torch.from_numpy(present)).numpy()
        return joined


def _preparation(num_components: int) -> Pipeline:
    return make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        PCA(num_components, svd_solver="full"),
    )
