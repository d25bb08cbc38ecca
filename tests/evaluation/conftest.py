from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.predictions import Origin, predictions_table

TableMaker = Callable[..., pd.DataFrame]


@pytest.fixture
def make_table() -> TableMaker:
    """Build a table of random predictions that lean towards the truth."""

    def make(
        *,
        num_subjects: int = 6,
        num_recordings: int = 4,
        num_snippets: int = 1,
        num_classes: int = 2,
        lean: float = 1.0,
        seed: int = 0,
    ) -> pd.DataFrame:
        draws = np.random.default_rng(seed)
        rows = [
            (f"s{s}_r{r}", snippet, f"s{s}", ("finger_tapping", "hand_opening")[r % 2], s, r)
            for s in range(num_subjects)
            for r in range(num_recordings)
            for snippet in range(num_snippets)
        ]
        target = [(s + r // 2) % num_classes for *_, s, r in rows]
        logits = draws.normal(size=(len(rows), num_classes))
        logits[np.arange(len(rows)), target] += lean
        columns = {
            "recording_id": [row[0] for row in rows],
            "snippet": [row[1] for row in rows],
            "subject_id": [row[2] for row in rows],
            "item": [row[3] for row in rows],
            "grade": [2 * k for k in target],
            "target": target,
        }
        origin = Origin(study="demo", trial=3, fold=1, epoch=5, seed=7)
        return predictions_table(origin, columns, logits)

    return make
