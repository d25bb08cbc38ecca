"""A finished search as a check sees it: its recordings, its splits and its predictions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pdray.data.cohort.members import Cohort
from pdray.data.cohort.rated import RatedRecording
from pdray.tracking.numbering import number_recordings
from pdray.tracking.run_log import StudyLog

if TYPE_CHECKING:
    import pandas as pd


class Split(NamedTuple):
    """Both sides of a split on which the printed score rests.

    Attributes:
        name: Such as "test set".
        training: Positions of the recordings that were learnt from, in :attr:`Case.recordings`.
        held: Positions of the recordings that were scored.
        made: Positions of the made recordings that were learnt from, in :attr:`Case.made`.
    """

    name: str
    training: tuple[int, ...]
    held: tuple[int, ...]
    made: tuple[int, ...] = ()


@dataclass(frozen=True)
class Case:
    """A finished search, as the checks see it.

    Attributes:
        study: Its log.
        config: All its settings, nested.
        cohort: Its manifest, recordings and folds.
        recordings: Recordings with their classes and store entries, in the cohort's order.
        splits: One split (holdout), or each outer fold.
        table: Predictions on which the printed score rests, one row per recording; None: there
            are none.
        searches: Logs of the searches: this study, or each outer one and the last.
        cache: Folder beside the frame store for features that use no grade, named by store entry.
        output: Output folder of the study.
        made: Made recordings that its splits may learn from; none is scored.
    """

    study: StudyLog
    config: Mapping[str, Any]
    cohort: Cohort
    recordings: tuple[RatedRecording, ...]
    splits: tuple[Split, ...]
    table: "pd.DataFrame | None"
    searches: tuple[StudyLog, ...]
    cache: Path
    output: Path
    made: tuple[RatedRecording, ...] = field(default=(), kw_only=True)

    def number_of(self, place: int) -> str:
        """Return the running number of a recording, which stands in the place of its id.

        Args:
            place: Its position in :attr:`recordings`.
        """
        one = self.recordings[place]
        numbers = number_recordings(self.study, {one.recording_id: one.subject_id})
        return numbers[one.recording_id]

    @property
    def metric(self) -> str:
        """The score that the search optimised, such as "mcc"."""
        return str(self.config["search"]["metric"])
