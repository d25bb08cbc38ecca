"""True counterfactuals: SYNTHETIC recordings of grade 0, drawn again as if they were of another.

Person, visit, pose, light, camera and all chance are those of the source; only the grade differs,
in where the face rests and in how it moves. Gaze and movement of the head stay those of the source,
so that frames lie on each other: a head that turns less would differ more than the face does. A
generator that changes the picture of a healthy person can be compared with them.
They are for scoring only, and the table is made so that no training takes them by accident: it has
neither grade nor diagnosis, so there is nothing to learn, and no ``consent_synthesis``, so no
generator may learn from them or change them. ``subject_id`` is the source's, so that folds keep
both together if somebody joins the tables.
"""

import csv
import io
from dataclasses import replace

import numpy as np

from pdray.data.cohort.settings import ITEMS, SYNTHETIC_SITE
from pdray.demo.illness.severity import (
    FACES,
    GRADE_SHARES,
    DemoConfig,
    DemoRecording,
    Purpose,
    plan_cohort,
    stream,
)

ILL_FROM = 3  # the mildest grade of a counterfactual
USE = "SYNTHETIC counterfactual, for scoring only: train nothing on it"
# Columns that begin with x_ are the user's own: no job of pdray reads them.
COLUMNS = ("recording_id", "subject_id", "visit_id", "item", "side", "video", "audio", "landmarks",
           "regions", "site", "x_use", "x_counterfactual_of", "x_counterfactual_grade")  # fmt: skip


def plan_counterfactuals(config: DemoConfig) -> list[DemoRecording]:
    """Return the counterfactual of each face recording of grade 0, in the order of the cohort.

    The grade is drawn for each visit, by the shares of the grades from 3 on.

    Args:
        config: The cohort's settings.

    Returns:
        Recordings of another grade, with that of their source; none if the cohort has none.
    """
    if not config.counterfactual:
        return []
    sources = [one for one in plan_cohort(config) if one.item in FACES and one.grade == 0]
    return [replace(one, grade=_grade(one, config), source_grade=one.grade) for one in sources]


def counterfactual_text(config: DemoConfig) -> str:
    """Return the CSV table of a cohort's counterfactuals."""
    table = io.StringIO()
    writer = csv.DictWriter(table, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in plan_counterfactuals(config):
        source = replace(one, source_grade=None)
        subject_id, visit_id = source.recording_id.split("_")[:2]
        writer.writerow({
            "recording_id": one.recording_id, "subject_id": subject_id, "visit_id": visit_id,
            "item": one.item, "side": one.side, "video": one.video, "audio": one.video,
            "landmarks": one.track("landmarks"), "regions": one.track("regions"),
            "site": SYNTHETIC_SITE, "x_use": USE, "x_counterfactual_of": source.recording_id,
            "x_counterfactual_grade": one.grade,
        })  # fmt: skip
    return table.getvalue()


def _grade(source: DemoRecording, config: DemoConfig) -> int:
    rng = stream(config, Purpose.COUNTERFACTUAL, source.subject, source.visit)
    shares = np.array(GRADE_SHARES[ITEMS[source.item]][ILL_FROM:])
    ends = np.cumsum(shares / shares.sum())[:-1]
    return ILL_FROM + int(np.searchsorted(ends, rng.uniform()))
