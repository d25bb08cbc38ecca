"""Fusion of several modalities: one branch per modality, and the rule that joins their logits.

Every branch learns from the recordings that have its modality. A recording is classified from the
modalities that it has; ``model.rule`` chooses how (:mod:`pdray.models.estimators.fusion`,
:mod:`pdray.training.estimators.fusion_stack`,
:mod:`pdray.training.estimators.fusion_attention`).
"""

from collections.abc import Mapping, Sequence
from typing import Self, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from pdray.data.batches.plan import derive_seed
from pdray.models.estimators.fusion import contributions, fuse
from pdray.models.estimators.fusion_settings import FusionConfig
from pdray.training.estimators.abstention import withheld_below
from pdray.training.estimators.fit import WITHHELD, Parts
from pdray.training.estimators.fusion_attention import AttentionJoint
from pdray.training.estimators.fusion_branch import (
    Branch,
    Seen,
    build_branch,
    describe_fusion,
    describe_fusion_start,
)
from pdray.training.estimators.fusion_stack import Stack
from pdray.training.estimators.inner_folds import Fold, folds_of_subjects
from pdray.training.settings import FitConfig

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Joint = Stack | AttentionJoint | None


class FusionEstimator:
    """The branches of a fusion and the rule that joins them.

    Args:
        config: Settings of a fit whose model is ``fusion``.
        num_classes: Classes K, at least 2; 0 is healthy.
        seed: Seed of all random numbers.

    Attributes:
        told: ``fit/lacks_<modality>``, the number of training recordings without it,
            ``fit/weight_<modality>``, see :func:`weights`, and with ``abstain_risk``
            :data:`~pdray.training.estimators.fit.WITHHELD`.
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
            subjects: Subject of each recording, for the inner folds of out-of-fold predictions.

        Raises:
            FoldsError: If no recording has a modality, or there are too few recordings or subjects
                for stacking, attention or ``abstain_risk``.
            DivergedError: If a loss is not finite; names the branch.
        """
        seen = list(x)
        self.branches = self._learnt(seen, y, subjects, self.seed)
        learns, risk = self.config.rule in ("stacking", "attention"), self.config.abstain_risk
        if learns or risk is not None:
            folds = self._inner_folds(y, subjects)
            logits = self._out_of_fold(seen, y, subjects, folds)
        else:
            logits = self._logits(self.branches, seen)
        self.joint = self._joint(seen, logits, y)
        seen_logits = logits if learns or risk is None else self._logits(self.branches, seen)
        self.told = self._facts(seen, seen_logits)
        if risk is not None:
            shares = self._held_shares(seen, logits, y, folds)
            people = np.asarray(subjects)
            self.told[WITHHELD] = withheld_below(shares, y, people, risk=risk)
        return self

    def predict_proba(self, x: Sequence[Seen]) -> Floats:
        """Return (N, K) softmax of the fused logits of N recordings.

        With ``l1`` these rank the classes, but are not calibrated probabilities.
        """
        return self._shares(self.joint, list(x), self._logits(self.branches, list(x)))

    def _learnt(self, x: list[Seen], y: Labels, subjects: Sequence[str], seed: int) -> list[Branch]:
        given = {"num_classes": self.num_classes, "seed": seed}
        return [build_branch(name, self.config, **given).fit(x, y, subjects) for name in self.names]

    def _logits(self, branches: Sequence[Branch], x: list[Seen]) -> Floats:
        """Return (M, N, K) logits, NaN where a recording lacks the modality."""
        return np.stack([branch.logits(x) for branch in branches])

    def _out_of_fold(
        self, x: list[Seen], y: Labels, subjects: Sequence[str], folds: Sequence[Fold]
    ) -> Floats:
        """Return (M, N, K) logits from branches that did not learn from the recording's subject."""
        found = np.full((len(self.names), len(x), self.num_classes), np.nan)
        for number, (learnt, held) in enumerate(folds):
            seed = derive_seed(self.seed, "inner", number)
            people = [subjects[i] for i in learnt]
            branches = self._learnt([x[i] for i in learnt], y[learnt], people, seed)
            found[:, held] = self._logits(branches, [x[i] for i in held])
        return found

    def _inner_folds(self, y: Labels, subjects: Sequence[str]) -> list[Fold]:
        asks = self.config.rule if self.config.abstain_risk is None else "abstain_risk"
        count, drawn = self.config.num_folds, derive_seed(self.seed, "inner")
        needs = (
            f"{asks} needs one for each of its {count} folds; lower model.num_folds, or set "
            "model.rule=mean without model.abstain_risk"
        )
        return folds_of_subjects(y, subjects, count=count, seed=drawn, needs=needs)

    def _joint(self, x: list[Seen], logits: Floats, y: Labels) -> Joint:
        """Return what is learnt from (M, N, K) logits by the rule; None if nothing is."""
        if self.config.rule == "stacking":
            strength = self.config.stack_strength
            stack = Stack(self.names, num_classes=self.num_classes, strength=strength)
            return stack.fit(logits, y)
        if self.config.rule == "attention":
            joint = AttentionJoint(self.config, num_classes=self.num_classes, seed=self.seed)
            return joint.fit(x, logits, y)
        return None

    def _shares(self, joint: Joint, x: list[Seen], logits: Floats) -> Floats:
        """Return the (N, K) probabilities that (M, N, K) logits are joined to."""
        if isinstance(joint, Stack):
            fused = joint.logits(logits)
        elif joint is not None:
            fused = joint.logits(x, logits)
        else:
            fused = fuse(torch.from_numpy(logits), _present(logits), self.config.rule).numpy()
        shares: Floats = softmax(fused, axis=1)
        return shares

    def _held_shares(
        self, x: list[Seen], logits: Floats, y: Labels, folds: Sequence[Fold]
    ) -> Floats:
        """Return (N, K) probabilities from a rule that did not learn from the subject either."""
        found = np.zeros((len(x), self.num_classes))
        for learnt, held in folds:
            joint = self._joint([x[i] for i in learnt], logits[:, learnt], y[learnt])
            found[held] = self._shares(joint, [x[i] for i in held], logits[:, held])
        return found

    def _facts(self, x: list[Seen], logits: Floats) -> dict[str, float]:
        if isinstance(self.joint, Stack):
            parts: Mapping[str, Floats] = self.joint.contributions()
        else:
            made = (
                contributions(torch.from_numpy(logits), _present(logits), self.config.rule).numpy()
                if self.joint is None
                else self.joint.contributions(x, logits)
            )
            has = _present(logits).numpy()
            parts = {name: made[m][has[m]] for m, name in enumerate(self.names)}
        lacks = {name: sum(name not in one for one in x) for name in self.names}
        told = {f"fit/lacks_{name}": float(count) for name, count in lacks.items()}
        return told | {f"fit/weight_{name}": value for name, value in weights(parts).items()}


def _present(logits: Floats) -> torch.Tensor:
    """Return (M, N) bool, whether a recording has the modality."""
    return torch.from_numpy(np.isfinite(logits).all(axis=2))


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
