import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from pdray.checks.case import Case
from pdray.checks.default import gain_of, run
from pdray.evaluation.predictions import write_predictions
from pdray.tracking.run_log import StudyLog
from tests.checks.cases import cohort_of, make_case

TableMaker = Callable[..., pd.DataFrame]


def add(study: StudyLog, number: int, label: str | None, table: pd.DataFrame | None) -> None:
    """Log a trial with out-of-fold predictions; without any, it was pruned."""
    log = study.trial(number)
    log.start(number=number, num_epochs=1, params={}, settings={}, label=label)
    if table is None:
        log.finish(state="pruned", value=0.1, reason="it was worse")
        return
    log.finish(state="complete", value=0.5, chosen_epoch=0)
    fold = table["subject_id"].str.removeprefix("s").astype(int) % 3
    write_predictions(table.assign(trial=number, fold=fold), log.predictions_path)


@pytest.fixture
def case(tmp_path: Path, make_table: TableMaker) -> Case:
    """A search of which trial 2 won; trial 0, the default, is much worse."""
    case = make_case(tmp_path, cohort_of(8))
    add(case.study, 0, "default", make_table(num_subjects=30, lean=0.3))
    add(case.study, 1, None, None)
    add(case.study, 2, None, make_table(num_subjects=30, lean=3.0, seed=1))
    case.study.winner.start(number=2, num_epochs=1, params={}, settings={}, role="winner")
    return case


def test_a_winner_that_is_shown_to_be_better_passes(case: Case) -> None:
    found = run(case)
    assert found.state == "passed"
    gain = gain_of(case.study, "mcc")
    assert (gain.winner, gain.default) == (2, 0)
    assert found.numbers["low"] > 0
    assert gain.sentence.startswith(
        f"winner minus default: mcc +{found.numbers['difference']:.3f} (trial 2 minus trial 0), "
        "95% interval "
    )
    assert gain.sentence.endswith(
        "; out-of-fold predictions of 30 subjects; shown (p 0.0001); the winner was chosen on "
        "these predictions, so the difference is too good"
    )
    # Of an error, less is better: the same winner is shown to be better there, too.
    assert gain_of(case.study, "mae").is_shown


def test_a_worse_or_an_equal_winner_is_a_warning(case: Case, make_table: TableMaker) -> None:
    add(case.study, 2, None, make_table(num_subjects=30, lean=0.3, seed=1))
    assert run(case).state == "warning"
    assert "; not shown (p 0." in run(case).found
    # It is shown to be worse.
    add(case.study, 2, None, make_table(num_subjects=30, lean=-3.0, seed=1))
    assert run(case).state == "warning"
    assert not gain_of(case.study, "mae").is_shown


def test_a_default_that_won_is_named(case: Case) -> None:
    case.study.winner.start(number=0, num_epochs=1, params={}, settings={}, role="winner")
    found = run(replace(case, searches=(case.study,)))
    assert found.state == "warning"
    assert found.found == "none, the winner is the default itself (trial 0)"
    outer = StudyLog(case.study.folder / "outer" / "0")
    add(outer, 0, "default", None)
    outer.winner.start(number=0, num_epochs=1, params={}, settings={}, role="winner")
    both = run(replace(case, searches=(outer, case.study)))
    assert both.found.endswith("; the default won 1 of the 1 searches in outer folds")


def test_without_a_space_there_is_no_winner_to_doubt(case: Case) -> None:
    config = {**case.config, "space": {}}
    found = run(replace(case, config=config))
    assert (found.state, found.found) == ("passed", "nothing was searched: the space is empty")


def test_a_difference_that_cannot_be_known_says_why(case: Case, make_table: TableMaker) -> None:
    add(case.study, 0, "default", make_table(num_subjects=8, lean=0.3))
    add(case.study, 2, None, make_table(num_subjects=8, lean=3.0, seed=1))
    few = run(case)
    assert few.state == "unknown"
    assert few.found.endswith("not tested: too few subjects for an interval: 8, 12 are needed")
    case.study.trial(0).predictions_path.unlink()
    add(case.study, 0, "default", None)
    assert "trial 0, the default, is pruned" in run(case).found
    saved = case.study.trial(0).folder / "trial.json"
    saved.write_text(json.dumps(json.loads(saved.read_text()) | {"label": None}))
    assert run(case).found == "not known, since no trial has the default settings " \
        "(search.start=sampler)"  # fmt: skip
    assert run(case).state == "unknown"


def test_folds_that_were_drawn_anew_are_compared_on_the_same_rows(
    case: Case, make_table: TableMaker
) -> None:
    table = make_table(num_subjects=30, lean=3.0, seed=1)
    fold = table["subject_id"].str.removeprefix("s").astype(int) // 10
    write_predictions(table.assign(trial=2, fold=fold), case.study.trial(2).predictions_path)
    assert run(case).state == "passed"
