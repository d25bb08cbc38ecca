"""Recordings of a manifest as a data frame, a row each."""

from collections.abc import Sequence

import pandas as pd

from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rows import COLUMNS, CROP


def recordings_table(recordings: Sequence[Recording]) -> pd.DataFrame:
    """Return recordings as :meth:`pdray.data.cohort.manifest.Manifest.table` describes it."""
    rows = []
    for one in recordings:
        row = {name: getattr(one, name) for name in COLUMNS}
        row |= {name: str(file) for name, file in one.files.items()}
        row[CROP] = None if one.crop is None else " ".join(map(str, one.crop))
        rows.append(row | {f"rater_{n}": grade for n, grade in enumerate(one.raters, start=1)})
    return pd.DataFrame(rows).convert_dtypes()
