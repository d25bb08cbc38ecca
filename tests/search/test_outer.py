from pathlib import Path

import pytest

from pdray.errors import StudyError
from pdray.search.outer import read_pooled
from pdray.tracking.run_log import StudyLog


def test_outer_studies_come_in_the_order_of_repeats_and_folds(tmp_path: Path) -> None:
    study = StudyLog(tmp_path / "demo")
    for key in ("10-01", "2-10", "2-09"):
        study.outer(key).start(name=key, settings={}, tags={})
    assert [one.name for one in study.outer_studies()] == [
        "demo-outer-2-09",
        "demo-outer-2-10",
        "demo-outer-10-01",
    ]
    with pytest.raises(StudyError, match="0 of them are complete"):
        read_pooled(study)
