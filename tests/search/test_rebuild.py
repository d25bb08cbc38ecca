import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from pdray.search.proposals import StudySearch
from pdray.search.rebuild import ASIDE, open_search
from pdray.tracking.run_log import StudyLog, TrialLog
from tests.search.test_proposals import make_plan, report, stored

PLAN = make_plan(start="default")
TRIALS = 5


def quiet(line: str) -> None:
    pytest.fail(f"nothing is to be said: {line}")


def end(search: StudySearch, name: str, log: TrialLog, params: dict[str, Any], number: int) -> None:
    """Run a trial of one fold and two epochs: log it, and report it as Tune does."""
    log.start(number=number, num_epochs=2, params=params, settings={})
    for epoch in range(2):
        value = params["loss.gamma"] + epoch / 10 - params["optim.weight_decay"]
        log.write_epoch(fold=0, epoch=epoch, metrics={"val/mcc": value})
        state = ("pruned" if number % 3 == 2 else "complete") if epoch else "running"
        if state != "running":
            log.finish(state=state, value=value, chosen_epoch=None if number % 3 == 2 else 1)
            search.on_trial_complete(name, report(state, value, epoch))
        else:
            search.on_trial_result(name, report(state, value, epoch))


def run(study: StudyLog, until: int = TRIALS, say: Callable[[str], None] = quiet) -> None:
    """Run the trials of a study up to a number, which is proposed and does not begin."""
    search = open_search(PLAN, study, mode="max", say=say)
    while search.num_left(TRIALS):
        suggested = search.suggest(f"t{search.num_ended()}")
        if suggested["number"] == until:
            return
        end(search, f"t{search.num_ended()}", study.trial(suggested["number"]), **suggested)


def outcome(study: StudyLog) -> list[Any]:
    trials = [log.read() for log in study.trials()]
    optuna = [
        (one.state, one.value, one.params, one.intermediate_values) for one in stored(study.folder)
    ]
    return [[(one["params"], one["state"], one["value"]) for one in trials], optuna]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    study = StudyLog(tmp_path_factory.mktemp("whole") / "study")
    study.start(name="study", settings={}, tags={})
    run(study)
    return outcome(study)


def put_another(study: StudyLog) -> None:
    """Put the database of another study, which has the same name, in the place of this one."""
    other = StudyLog(study.folder.parent / "other" / "study")
    other.start(name="study", settings={}, tags={})
    search = StudySearch(
        make_plan(), storage=f"sqlite:///{other.optuna_path}", name="study", mode="max"
    )
    for number in range(2):
        end(search, f"{number}", other.trial(number), **search.suggest(f"{number}"))
    other.optuna_path.replace(study.optuna_path)


def cut(study: StudyLog) -> None:
    with study.optuna_path.open("r+b") as file:
        file.truncate(5000)


def delete_log(study: StudyLog) -> None:
    shutil.rmtree(study.trial(2).folder)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda study: study.optuna_path.unlink(), "is missing"),
        (lambda study: study.optuna_path.write_bytes(b"no database at all"), "is damaged"),
        (cut, "is damaged"),
        (put_another, "has other values for trial 0 than its log"),
        (delete_log, "has trial 2, whose log is missing"),
    ],
)
def test_trials_are_made_again_from_the_logs_and_the_search_ends_the_same(
    damage: Callable[[StudyLog], None], told: str, whole: list[Any], tmp_path: Path
) -> None:
    study = StudyLog(tmp_path / "study")
    study.start(name="study", settings={}, tags={})
    run(study, until=3)
    damage(study)
    was_there = study.optuna_path.exists()
    said: list[str] = []
    run(study, say=said.append)
    assert outcome(study) == whole
    assert [told in line for line in said] == [True]
    assert (study.folder / ASIDE).exists() == was_there
    run(study)  # nothing is left to do or to say


def test_a_trial_whose_end_is_in_the_log_alone_keeps_it(tmp_path: Path, whole: list[Any]) -> None:
    study = StudyLog(tmp_path / "study")
    study.start(name="study", settings={}, tags={})
    search = open_search(PLAN, study, mode="max", say=quiet)
    suggested = search.suggest("a")
    log = study.trial(0)
    log.start(number=0, num_epochs=1, params=suggested["params"], settings={})
    log.write_epoch(fold=0, epoch=0, metrics={"val/mcc": 0.5})
    log.finish(state="complete", value=0.5, chosen_epoch=0)
    again = open_search(PLAN, study, mode="max", say=quiet)  # a kill before Optuna was told
    assert again.suggest("b") == suggested
    assert stored(study.folder)[0].state == TrialState.RUNNING
