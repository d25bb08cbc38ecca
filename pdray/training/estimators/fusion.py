"""Fusion of several modalities: one branch per modality, and the rule that joins their logits.

Every branch learns from the recordings that have its modality. A recording is classified from the
modalities that it has; ``model.rule`` chooses how (:mod:`pdray.models.estimators.fusion`,
:mod:`pdray.training.estimators.fusion_stack`).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.model_selection import StratifiedGroupKFold

from pdray.data.batches.plan import derive_seed
from pdray.errors import FoldsError
from pdray.models.estimators.fusion import contributions, fuse
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.training.estimators.fit import Parts
from pdray.training.estimators.fusion_branch import (
    BranchNetwork,
    Seen,
    describe_fusion,
    describe_fusion_start,
)
from pdray.training.estimators.fusion_stack import Stack
from pdray.training.settings import FitConfig

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


class FusionEstimator:
    """The branches of a fusion and the rule that joins them.

    Args:
        config: Settings of a fit whose model is ``fusion``.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Seed of all random numbers.

    Attributes:
        told: ``fit/lacks_<modality>``, the number of training recordings without it, and
            ``fit/weight_<modality>``, see :func:`weights`.
    """

    def __init__(self, config: FitConfig, *, num_classes: int, seed: int) -> None:
        self.config = cast(FusionConfig, config.model)
        self.num_classes, self.seed = num_classes, seed
        self.names = self.config.modalities
        self.told: dict[str, float] = {}

    def fit(self, x: Sequence[Seen], y: Labels, subjects: Sequence[str]) -> Self:
        """Learn from recordings.

        Args:
            x: Descriptions of N recordings, by modality.
            y: (N,) class, 0 to K-1.
            subjects: Subject of each recording, for the inner folds of stacking.

        Raises:
            FoldsError: If no recording has a modality, or stacking has too few recordings.
            DivergedError: If a branch's loss is not finite; names the branch.
        """
        seen = list(x)
        self.branches = self._learnt(seen, y, self.seed)
        if self.config.rule == "stacking":
            self.stack = Stack(
                self.names, num_classes=self.num_classes, strength=self.config.stack_strength
            ).fit(self._out_of_fold(seen, y, subjects), y)
            parts: Mapping[str, Floats] = self.stack.contributions()
        else:
            parts = self._parts(self._logits(self.branches, seen))
        lacks = {name: sum(name not in one for one in seen) for name in self.names}
        self.told = {f"fit/lacks_{name}": float(count) for name, count in lacks.items()}
        self.told |= {f"fit/weight_{name}": value for name, value in weights(parts).items()}
        return self

    def predict_proba(self, x: Sequence[Seen]) -> Floats:
        """Return (N, K) softmax of the fused logits of N recordings.

        With ``l1`` these rank the classes, but are not calibrated probabilities.
        """
        logits = self._logits(self.branches, list(x))
        if self.config.rule == "stacking":
            fused = self.stack.logits(logits)
        else:
            present = torch.from_numpy(np.isfinite(logits).all(axis=2))
            fused = fuse(torch.from_numpy(logits), present, self.config.rule).numpy()
        shares: Floats = softmax(fused, axis=1)
        return shares

    def _learnt(self, x: list[Seen], y: Labels, seed: int) -> list[BranchNetwork]:
        given = {"num_classes": self.num_classes, "seed": seed}
        return [BranchNetwork(name, self.config, **given).fit(x, y) for name in self.names]

    def _logits(self, branches: Sequence[BranchNetwork], x: list[Seen]) -> Floats:
        """Return (M, N, K) logits, NaN where a recording lacks the modality."""
        return np.stack([branch.logits(x) for branch in branches])

    def _out_of_fold(self, x: list[Seen], y: Labels, subjects: Sequence[str]) -> Floats:
        """Return (M, N, K) logits from branches that did not learn from the recording's subject."""
        found = np.full((len(self.names), len(x), self.num_classes), np.nan)
        for number, (learnt, held) in enumerate(self._inner_folds(y, subjects)):
            seed = derive_seed(self.seed, "inner", number)
            branches = self._learnt([x[i] for i in learnt], y[learnt], seed)
            found[:, held] = self._logits(branches, [x[i] for i in held])
        return found

    def _inner_folds(self, y: Labels, subjects: Sequence[str]) -> Iterator[tuple[Labels, Labels]]:
        people, count = np.asarray(subjects), self.config.num_folds
        for told, members in (("ill", people[y > 0]), ("healthy", people[y == 0])):
            if len(set(members)) < count:
                raise FoldsError(
                    f"only {len(set(members))} training subjects are {told}, but stacking needs "
                    f"one for each of its {count} folds; lower model.num_folds, or set "
                    "model.rule=mean"
                )
        drawn = derive_seed(self.seed, "inner") % 2**32
        folds = StratifiedGroupKFold(count, shuffle=True, random_state=drawn)
        yield from folds.split(y, y > 0, people)

    def _parts(self, logits: Floats) -> dict[str, Floats]:
        present = np.asarray(np.isfinite(logits).all(axis=2), np.bool_)
        rule = self.config.rule
        found = contributions(torch.from_numpy(logits), torch.from_numpy(present), rule).numpy()
        return {name: found[m][present[m]] for m, name in enumerate(self.names)}


def weights(parts: Mapping[str, Floats]) -> dict[str, float]:
    """Return the share of each modality in the variation of the fused result.

    The size of a contribution means nothing if all recordings have the same one (as with
    L1-normalised logits). So the measure is the mean absolute distance of the contribution from
    its mean over recordings, divided by the sum over all modalities.

    Args:
        parts: (N, k) contributions of each modality, from the recordings that have it.

    Returns:
        Shares that sum to 1; empty if no contribution varies.
    """
    moves = {name: float(np.abs(part - part.mean(axis=0)).mean()) for name, part in parts.items()}
    total = sum(moves.values())
    return {name: move / total for name, move in moves.items()} if total > 0 else {}


PARTS = Parts(describe_fusion, FusionEstimator, describe_fusion_start)
