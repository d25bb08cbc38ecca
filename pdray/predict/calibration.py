"""Fits the calibration of predictions on those for people that the predicting models had not seen.

A mean of models is less sure than each of them, so a temperature that was fitted on single models
does not fit it. For models that learn in one step, the means of models that did not learn from the
subject are computed (:func:`~pdray.predict.learning.out_of_fold_means`). Networks would have to be
trained again for that, so the predictions of single models stand in for their means.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.config import dump
from pdray.display import step
from pdray.errors import FoldsError, StudyError
from pdray.evaluation.predictions import probabilities, targets
from pdray.evaluation.settings import Calibration
from pdray.evaluation.statistics.scaled import scaled
from pdray.evaluation.statistics.scaling import fit_scaling
from pdray.predict.learning import out_of_fold_means
from pdray.predict.models import Model
from pdray.predict.studied import Studied
from pdray.tracking.numbering import private_folder, writing_private

KEPT = "mean_calibration.json"
"""File in the private folder of a study: numbers of calibrations of its mean."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scaling:
    """A fitted calibration.

    Attributes:
        kind: Its kind.
        numbers: As of :func:`~pdray.evaluation.statistics.scaling.fit_scaling`.
        words: What it was fitted on; empty without a calibration.
    """

    kind: Calibration
    numbers: tuple[float, ...] = ()
    words: str = ""

    def apply(self, shares: Floats) -> Floats:
        """Return the (N, K) calibrated probabilities of (N, K) probabilities."""
        return scaled(self.kind, self.numbers, shares)


def fit_calibration(
    studied: Studied, models: Sequence[Model], asked: Calibration | None
) -> Scaling:
    """Fit a calibration for the models that predict.

    Args:
        studied: The study.
        models: One model, or several whose mean predicts.
        asked: Its kind; None: as the study's ``decision.calibration``.

    Raises:
        StudyError: If the kind does not fit the classes, or there are too few people for it.
        PdrayError: If models of one step cannot be learnt again.
    """
    kind: Calibration = asked or studied.setting("decision.calibration") or "none"
    if kind == "none":
        return Scaling("none")
    if kind in ("platt", "isotonic") and studied.num_classes != 2:
        raise StudyError(
            f"calibration: {kind} needs 2 classes, but there are {studied.num_classes}; use "
            "temperature"
        )
    why = ""
    if len(models) > 1:
        if studied.learns_at_once:
            try:
                return _of_mean(studied, kind)
            except FoldsError as error:
                why = f", not on means of models: {error}"
        else:
            why = ", not on means of models, for which networks would be trained again"
    words = f"{kind} fitted on the validation predictions of single models{why}"
    return Scaling(kind, _fit(kind, studied.inner), words)


def _of_mean(studied: Studied, kind: Calibration) -> Scaling:
    """Fit on means of models that did not learn from the subject; the study keeps the numbers."""
    words = f"{kind} fitted on means of models that did not learn from the subject"
    path, key = private_folder(studied.study) / KEPT, _key(studied)
    kept: dict[str, list[float]] = {}
    with suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(path.read_text(encoding="utf-8"))[key]
    if kind not in kept:
        with step("calibrating the mean of the models"):
            kept = {**kept, kind: [*_fit(kind, out_of_fold_means(studied))]}
        with suppress(OSError), writing_private(studied.study, KEPT) as temporary:
            temporary.write_text(json.dumps({key: kept}), encoding="utf-8")
    return Scaling(kind, tuple(kept[kind]), words)


def _key(studied: Studied) -> str:
    """Return a digest of what decides the models of a study."""
    facts = [
        studied.facts["tags"].get("manifest_digest"), studied.trial["number"], studied.seed,
        dump(studied.config), sorted(studied.entries or ()), dump(studied.data),
        studied.inner[["recording_id", "fold"]].to_numpy().tolist(),
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _fit(kind: Calibration, units: pd.DataFrame) -> tuple[float, ...]:
    subjects = units["subject_id"].to_numpy(dtype=object)
    return fit_scaling(kind, targets(units), probabilities(units), subjects)
