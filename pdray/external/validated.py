"""Recordings from elsewhere that the models of a study have graded, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd

from pdray.data.cohort.manifest import Manifest
from pdray.data.cohort.rated import table_rows
from pdray.evaluation.predictions import Origin, by_recording, predictions_table
from pdray.evaluation.settings import EvaluationSettings
from pdray.predict.models import Model
from pdray.predict.new_recordings import New
from pdray.predict.run import Graded
from pdray.predict.studied import Studied
from pdray.search.recordings import parts_table

_LEAST = 1e-12  # a probability of 0 has no logarithm


@dataclass(frozen=True)
class Validated:
    """An external validation before its scores are computed.

    Attributes:
        studied: The study.
        models: Its models that graded the recordings.
        manifest: Of the recordings.
        graded: What the models say of those that were read.
        reasons: Why the others are not scored, by id.
        how: How they are evaluated.
        other_people: Whether equal ids were said to be of other people.
    """

    studied: Studied
    models: tuple[Model, ...]
    manifest: Manifest
    graded: Graded
    reasons: Mapping[str, str]
    how: EvaluationSettings
    other_people: bool

    @property
    def scored(self) -> tuple[New, ...]:
        """Recordings that are scored."""
        return tuple(one for one in self.graded.found if one.row.recording_id not in self.reasons)

    @property
    def graded_by(self) -> str:
        """What graded them, in words."""
        if len(self.models) > 1:
            return f"the mean of the models of {len(self.models)} folds"
        name = self.models[0].name
        return "the refit" if name == "refit" else f"the model {name}"

    @cached_property
    def table(self) -> pd.DataFrame:
        """The predictions table, one row per recording: the mean over snippets and models."""
        studied = self.studied
        rated = [replace(one.rated, subject_id=one.row.subject_id) for one in self.scored]
        origin = Origin(
            study=studied.name,
            trial=int(studied.trial["number"]),
            fold=-1,
            epoch=int(studied.trial["chosen_epoch"] or 0),
            seed=studied.seed,
            split="test",
        )
        shares = self._numbers("probability")
        return predictions_table(
            origin, table_rows(rated), np.log(np.maximum(shares, _LEAST)), shares
        )

    @cached_property
    def calibrated(self) -> pd.DataFrame | None:
        """One row per recording with the study's calibrated probabilities; None: it has none."""
        if self.how.decision.calibration == "none":
            return None
        shares = self._numbers("calibrated")
        columns = {f"probability_{k}": share for k, share in enumerate(shares.T)}
        return by_recording(self.table.assign(**columns))

    def parts(self) -> pd.DataFrame:
        """Return one row per recording of the manifest, with its part and why it is left out."""
        seconds = {one.row.recording_id: one.seconds for one in self.graded.found}
        cuts = self.studied.data.grade_cuts
        return parts_table(self.manifest.recordings, cuts, self.reasons, seconds)

    def _numbers(self, kind: str) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
        rows = {str(row["recording_id"]): row for row in self.graded.rows}
        names = [f"{kind}_{k}" for k in range(self.studied.num_classes)]
        return np.array(
            [[rows[one.row.recording_id][name] for name in names] for one in self.scored],
            dtype=np.float64,
        )
