import pytest

from benchmarks.tests_between_runs import main


def test_both_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cohorts=1", "seed=3"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("SYNTHETIC: share of 1 cohorts")
    rows = [line for line in told.splitlines() if line.startswith(("exchange", "corrected"))]
    assert len(rows) == 8
    assert {cell for row in rows for cell in row.split()[-3:]} <= {"0.0", "100.0"}


def test_a_mistake_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cohort=1"]) == 2
    assert "did you mean 'cohorts'" in capsys.readouterr().err
