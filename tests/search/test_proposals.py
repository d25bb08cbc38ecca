import os
import sqlite3
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import TPESampler
from optuna.trial import TrialState
from ray.tune.error import TuneError
from ray.tune.search import Searcher
from sqlalchemy.pool import NullPool

from pdray.data.batches.plan import derive_seed
from pdray.errors import StudyError
from pdray.search.plan import StudyPlan, plan_study
from pdray.search.proposals import StudySearch, distribution, naming_database
from pdray.search.space import Choices, Range
from pdray.tracking.run_log import StudyLog

SPACE = {
    "optim.weight_decay": {"low": 1e-5, "high": 0.1, "log": True},
    "loss.gamma": {"low": 0.0, "high": 4.0, "step": 0.5},
    "model.attention_depth": {"choices": [0, 1]},
}


def make_plan(space: dict[str, Any] | None = None, start: object = "sampler") -> StudyPlan:
    small = {"depth": 10, "width_factor": 0.125, "temporal_stride": "221111", "num_heads": 2}
    return plan_study(
        {
            "data": {"manifest": "/x.csv"},
            "model": small,
            "search": {"startup_trials": 2, "seed": 5, "start": start},
            "space": SPACE if space is None else space,
        }
    )


def open_search(folder: Path) -> StudySearch:
    storage = f"sqlite:///{folder / 'optuna.db'}"
    return StudySearch(make_plan(), storage=storage, name="study", mode="max")


def report(state: str, value: float, step: int) -> dict[str, Any]:
    return {"state": state, "value": value, "step": step, "training_iteration": 99}


def load(folder: Path) -> optuna.Study:
    storage = optuna.storages.RDBStorage(
        f"sqlite:///{folder / 'optuna.db'}", engine_kwargs={"poolclass": NullPool}
    )
    return optuna.load_study(study_name="study", storage=storage)


def stored(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return load(folder).get_trials()


def test_a_pruned_trial_is_told_as_pruned_with_its_values_by_step(tmp_path: Path) -> None:
    search = open_search(tmp_path)
    search.suggest("a")
    search.on_trial_result("a", report("running", 0.1, 0))
    search.on_trial_result("a", report("running", 0.2, 1))
    search.on_trial_complete("a", report("pruned", 0.05, 2))
    (trial,) = stored(tmp_path)
    assert trial.state == TrialState.PRUNED
    assert trial.intermediate_values == {0: 0.1, 1: 0.2, 2: 0.05}


def test_a_complete_trial_has_its_final_value_and_a_failed_one_none(tmp_path: Path) -> None:
    search = open_search(tmp_path)
    for name in "abc":
        search.suggest(name)
    search.on_trial_complete("a", report("complete", 0.7, 5))
    search.on_trial_complete("a", report("complete", 0.9, 5))  # said again, as Tune may
    search.on_trial_complete("b", report("failed", 0.8, 5))
    search.on_trial_complete("c", None, error=True)
    ended = [(trial.state, trial.value) for trial in stored(tmp_path)]
    lost = (TrialState.RUNNING, None)  # another session goes on with it
    assert ended == [(TrialState.COMPLETE, 0.7), (TrialState.FAIL, None), lost]
    assert (search.num_ended(), search.num_running()) == (2, 1)
    log = StudyLog(tmp_path).trial(2)
    log.start(number=2, num_epochs=2, params={}, settings={})
    for state in (TrialState.RUNNING, TrialState.FAIL):
        search.end_failed(StudyLog(tmp_path).trial)
        assert stored(tmp_path)[2].state == state
        log.finish(state="failed")
    assert search.best().number == 0
    assert [trial.number for trial in search.completed()] == [0]


def test_of_equal_trials_the_first_is_best_in_whatever_order_they_end(tmp_path: Path) -> None:
    search = open_search(tmp_path)
    for name in "abc":
        search.suggest(name)
    for name, value in zip("cab", (0.7, 0.5, 0.7), strict=True):
        search.on_trial_complete(name, report("complete", value, 5))
    assert search.best().number == open_search(tmp_path).best().number == 1


def test_a_trial_stopped_between_epochs_stays_running_and_comes_first_next_time(
    tmp_path: Path,
) -> None:
    search = open_search(tmp_path)
    kept = [search.suggest(name) for name in "abc"]
    search.on_trial_complete("a", report("complete", 0.5, 5))
    search.on_trial_complete("b", report("running", 0.5, 2))
    again = open_search(tmp_path)
    assert again.num_ended() == 1
    assert [again.suggest(name) for name in "xy"] == kept[1:]
    again.on_trial_complete("x", report("complete", 0.6, 5))
    again.on_trial_complete("y", report("complete", 0.4, 5))
    states = [trial.state for trial in stored(tmp_path)]
    assert states == [TrialState.COMPLETE] * 3


def test_a_trial_that_an_earlier_version_proposed_in_half_gets_its_values(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    expected = open_search(tmp_path / "whole").suggest("a")
    open_search(tmp_path)
    load(tmp_path).ask()  # a number without values, as between two writes
    assert open_search(tmp_path).suggest("a") == expected
    assert stored(tmp_path)[0].params == expected["params"]


def test_a_reopened_study_proposes_what_an_unbroken_one_would(tmp_path: Path) -> None:
    def run(folder: Path, *, reopen: bool) -> list[dict[str, Any]]:
        folder.mkdir()
        search, proposed = open_search(folder), []
        for number in range(5):
            if reopen:
                search = open_search(folder)
            proposed.append(search.suggest(f"t{number}"))
            search.on_trial_complete(f"t{number}", report("complete", number / 10, 5))
        return proposed

    unbroken = run(tmp_path / "unbroken", reopen=False)
    assert run(tmp_path / "reopened", reopen=True) == unbroken
    assert len({str(proposal["params"]) for proposal in unbroken}) == 5


@pytest.mark.parametrize(("mode", "direction"), [("max", "maximize"), ("min", "minimize")])
def test_proposals_are_those_of_a_parzen_estimator_that_is_seeded_for_each_trial(
    tmp_path: Path, mode: str, direction: str
) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = StudySearch(make_plan(), storage=storage, name="study", mode=mode)
    assert (search.metric, search.mode) == ("value", mode)
    study = optuna.create_study(direction=direction)
    space = {key: distribution(entry) for key, entry in make_plan().space.items()}
    for number in range(6):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.sampler = TPESampler(
                n_startup_trials=2, n_ei_candidates=24, multivariate=True, group=True,
                constant_liar=True, seed=derive_seed(5, "proposal", number) % 2**32,
            )  # fmt: skip
        expected = study.ask(fixed_distributions=space)
        assert search.suggest(f"t{number}") == {"number": number, "params": expected.params}
        if number % 3 != 2:  # the others run on
            study.tell(expected, number % 4 / 10)
            search.on_trial_complete(f"t{number}", report("complete", number % 4 / 10, 5))


def test_a_study_without_a_space_proposes_its_own_settings(tmp_path: Path) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = StudySearch(make_plan(space={}), storage=storage, name="study", mode="max")
    assert search.suggest("a") == {"number": 0, "params": {}}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (Choices((0, 1)), optuna.distributions.CategoricalDistribution((0, 1))),
        (Range(1, 7, False, 2, True), optuna.distributions.IntDistribution(1, 7, step=2)),
        (
            Range(1, 64, True, None, True),
            optuna.distributions.IntDistribution(1, 64, log=True),
        ),
        (
            Range(0.0, 4.0, False, 0.5, False),
            optuna.distributions.FloatDistribution(0.0, 4.0, step=0.5),
        ),
        (
            Range(1e-5, 0.1, True, None, False),
            optuna.distributions.FloatDistribution(1e-5, 0.1, log=True),
        ),
    ],
)
def test_a_distribution_has_the_entry_s_bounds(entry: Any, expected: Any) -> None:
    assert distribution(entry) == expected


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        ({"model.attention_depth": {"choices": [0, 1]}}, 2),
        ({"loss.gamma": {"low": 0.1, "high": 0.7, "step": 0.2}}, 4),
        (
            {"snippet.num_frames": {"choices": [8, 16]}, "optim.batch_size": {"low": 2, "high": 4}},
            6,
        ),
        ({"optim.weight_decay": {"choices": [1e-10, 2e-10, 1 / 3]}}, 3),
        ({"optim.weight_decay": {"choices": [1, 1.0, 2]}}, 2),
        ({}, 1),
    ],
)
def test_each_combination_is_tried_once_and_then_the_search_ends(
    tmp_path: Path, space: dict[str, Any], expected: int
) -> None:
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    tried, trials = set(), 9
    for session in range(2):  # the second continues what the first left running
        search = StudySearch(make_plan(space), storage=storage, name="study", mode="max")
        while search.num_left(trials):
            name = f"{session}-{search.num_ended()}"
            params = search.suggest(name)["params"]
            tried.add(tuple(params.values()))
            assert len(tried) <= expected
            if session == 0 and len(tried) > expected // 2:
                break
            search.on_trial_complete(name, report("complete", 0.5, 0))
    assert len(tried) == expected == search.num_ended()
    assert search.num_left(trials) == 0


@pytest.mark.parametrize(("mode", "direction"), [("max", "maximize"), ("min", "minimize")])
def test_a_repeat_gives_way_to_one_that_is_left_and_nothing_else_changes(
    tmp_path: Path, mode: str, direction: str
) -> None:
    space = {
        "model.attention_depth": {"choices": [0, 1]},
        "loss.gamma": {"low": 0.1, "high": 0.7, "step": 0.2},
    }
    plan = make_plan(space)
    fixed = {key: distribution(entry) for key, entry in plan.space.items()}
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = StudySearch(plan, storage=storage, name="study", mode=mode)
    left = [
        {"model.attention_depth": a, "loss.gamma": g} for a in (0, 1) for g in (0.1, 0.3, 0.5, 0.7)
    ]
    reference, replaced = optuna.create_study(direction=direction), 0
    for number in range(8):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            sampler = TPESampler(
                n_startup_trials=2, n_ei_candidates=24, multivariate=True, group=True,
                constant_liar=True, seed=derive_seed(5, "proposal", number) % 2**32,
            )  # fmt: skip
        asked = optuna.create_study(direction=direction, sampler=sampler)
        asked.add_trials(reference.get_trials())
        proposed = asked.ask(fixed).params
        expected = next((one for one in left if one == pytest.approx(proposed)), None)
        if expected is None:
            replaced += 1
            expected = left[derive_seed(5, "repeat", number) % len(left)]
        left.remove(expected)
        params = search.suggest(f"t{number}")["params"]
        assert params == pytest.approx(expected)
        value = (params["loss.gamma"] - 0.4) ** 2 + params["model.attention_depth"]
        search.on_trial_complete(f"t{number}", report("complete", value, 5))
        reference.add_trial(
            optuna.trial.create_trial(value=value, params=params, distributions=fixed)
        )
    assert replaced > 1
    assert not left


def test_combinations_that_an_earlier_version_tried_twice_leave_the_others(tmp_path: Path) -> None:
    space = {"model.attention_depth": {"choices": [0, 1]}}
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    StudySearch(make_plan(space), storage=storage, name="study", mode="max")
    study = load(tmp_path)
    for _ in range(3):
        study.add_trial(
            optuna.trial.create_trial(
                value=0.1,
                params={"model.attention_depth": 0},
                distributions={"model.attention_depth": distribution(Choices((0, 1)))},
            )
        )
    search = StudySearch(make_plan(space), storage=storage, name="study", mode="max")
    assert (search.num_left(8), search.num_left(4), search.num_left(3)) == (1, 1, 0)
    assert search.suggest("a")["params"] == {"model.attention_depth": 1}


def test_a_repeat_that_an_earlier_version_began_does_not_interrupt_the_study(
    tmp_path: Path,
) -> None:
    space = {"model.attention_depth": {"choices": [0, 1]}}
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    StudySearch(make_plan(space), storage=storage, name="study", mode="max")
    for _ in range(2):
        load(tmp_path).enqueue_trial({"model.attention_depth": 0})
        load(tmp_path).ask({"model.attention_depth": distribution(Choices((0, 1)))})
    search = StudySearch(make_plan(space), storage=storage, name="study", mode="max")
    left = search.num_left(8)
    for number in range(left):
        search.suggest(str(number))
        search.on_trial_complete(str(number), report("complete", 0.5, 0))
    assert (left, search.num_left(8)) == (3, 0)


OWN = {"optim.weight_decay": 0.01, "loss.gamma": 2.0, "model.attention_depth": 2}


@pytest.mark.parametrize("is_held", [True, False])
def test_the_first_trial_is_the_study_s_own_settings_also_outside_the_space(
    tmp_path: Path, is_held: bool
) -> None:
    space = {**SPACE, "model.attention_depth": {"choices": [0, 1, *([2] if is_held else [])]}}
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = StudySearch(make_plan(space, "default"), storage=storage, name="study", mode="max")
    assert search.suggest("a") == {"number": 0, "params": OWN}
    # A kill: the trial comes first again, with the same number and settings.
    search = StudySearch(make_plan(space, "default"), storage=storage, name="study", mode="max")
    assert search.suggest("b") == {"number": 0, "params": OWN}
    search.on_trial_complete("b", report("complete", 0.9, 5))
    for number in range(1, 5):
        suggested = search.suggest(f"t{number}")
        assert suggested["number"] == number
        assert suggested["params"] != OWN
        search.on_trial_complete(f"t{number}", report("complete", 0.1, 5))
    best = search.best()
    assert (best.number, best.value, search.params_of(best)) == (0, 0.9, OWN)
    # What the space does not hold is nothing that the sampler could learn from.
    assert stored(tmp_path)[0].params == (OWN if is_held else {})


def test_a_first_trial_outside_the_space_is_one_more_than_its_combinations(tmp_path: Path) -> None:
    space = {"model.attention_depth": {"choices": [0, 1]}}
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    tried = []
    for number in range(3):
        search = StudySearch(make_plan(space, "default"), storage=storage, name="study", mode="max")
        assert search.num_left(9) == 3 - number
        tried.append(search.suggest("a")["params"]["model.attention_depth"])
        search = StudySearch(make_plan(space, "default"), storage=storage, name="study", mode="max")
        assert search.num_left(9) == 3 - number  # one is running
        search.suggest("a")
        search.on_trial_complete("a", report("complete", 0.5, 0))
    assert (tried[0], sorted(tried)) == (2, [0, 1, 2])
    assert search.num_left(9) == 0


def test_known_settings_come_first_in_their_order(tmp_path: Path) -> None:
    known = [{"loss.gamma": 0.5}, {"model.attention_depth": 1, "optim.learning_rate": 0.5}]
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    search = StudySearch(make_plan(start=known), storage=storage, name="study", mode="max")
    assert search.suggest("a")["params"] == {**OWN, "loss.gamma": 0.5}
    params = search.suggest("b")["params"]
    assert params == {**OWN, "model.attention_depth": 1, "optim.learning_rate": 0.5}
    assert search.suggest("c")["params"].keys() == SPACE.keys()


def test_a_first_trial_that_a_kill_left_waiting_is_run_under_its_number(tmp_path: Path) -> None:
    space = {**SPACE, "model.attention_depth": {"choices": [0, 1, 2]}}
    storage = f"sqlite:///{tmp_path / 'optuna.db'}"
    StudySearch(make_plan(space, "default"), storage=storage, name="study", mode="max")
    load(tmp_path).enqueue_trial(OWN)
    search = StudySearch(make_plan(space, "default"), storage=storage, name="study", mode="max")
    assert search.suggest("a") == {"number": 0, "params": OWN}
    assert search.suggest("b")["number"] == 1


def test_the_importance_of_the_setting_that_decides_is_the_largest(tmp_path: Path) -> None:
    search = StudySearch(
        make_plan(start="default"), storage=f"sqlite:///{tmp_path / 'o.db'}", name="s", mode="max"
    )
    assert search.importance() == {}
    for number in range(12):
        params = search.suggest(f"t{number}")["params"]
        search.on_trial_complete(f"t{number}", report("complete", params["loss.gamma"], 5))
    found = search.importance()
    assert found.keys() == SPACE.keys()
    assert max(found, key=lambda key: found[key]) == "loss.gamma"
    assert search.importance() == found


def suggest_from(path: Path) -> None:
    with naming_database(path):
        storage = f"sqlite:///{path}?timeout=0.2"
        StudySearch(make_plan(), storage=storage, name="study", mode="max").suggest("b")


def lock(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


def make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update alembic_version set version_num='v9.9.0.a'")
        connection.execute("update version_info set schema_version=99")
        connection.commit()


def cut(path: Path) -> None:
    os.truncate(path, 20_000)


def overwrite(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize(
    ("harm", "cause"),
    [
        (lock, "another program has it open; close that program"),
        (make_newer, "made by another version of Optuna; install that version"),
        (cut, "damaged; continue with --resume"),
        (overwrite, "damaged; continue with --resume"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_with_cause_and_way_out(
    tmp_path: Path, harm: Callable[[Path], sqlite3.Connection | None], cause: str
) -> None:
    path = tmp_path / "optuna.db"
    open_search(tmp_path).suggest("a")
    held = harm(path)
    try:
        with pytest.raises(StudyError) as caught:
            suggest_from(path)
    finally:
        if held is not None:
            held.close()
    assert str(caught.value).startswith(f"Optuna's database {path}: ")
    assert cause in str(caught.value)


def test_a_database_that_is_deleted_while_a_study_runs_is_named(tmp_path: Path) -> None:
    search, path = open_search(tmp_path), tmp_path / "optuna.db"
    search.suggest("a")
    path.unlink()
    told = pytest.raises(StudyError, match="deleted or emptied; continue with --resume, which mak")
    with told, naming_database(path):
        search.on_trial_complete("a", {"state": "complete", "value": 0.5, "step": 0})


def test_a_full_disk_that_tune_reports_is_named_with_the_way_out(tmp_path: Path) -> None:
    text = "Traceback ...\noptuna.exceptions.StorageInternalError\n(database or disk is full)"
    full = pytest.raises(StudyError, match="the disk is full; make room, then continue with --res")
    with full, naming_database(tmp_path):
        raise TuneError(text)
    with pytest.raises(TuneError, match="of mine"), naming_database(tmp_path):
        raise TuneError("of mine: disk is full")


@pytest.mark.parametrize("words", ["of mine", "the archive of weights is malformed"])
def test_faults_of_something_else_are_not_the_databases(tmp_path: Path, words: str) -> None:
    with pytest.raises(RuntimeError, match=words), naming_database(tmp_path):
        raise RuntimeError(words)


def test_a_search_that_may_not_start_a_trial_is_finished_and_ends_those_that_run(
    tmp_path: Path,
) -> None:
    search = open_search(tmp_path)
    asked: list[int | None] = []

    def may_start(number: int | None) -> bool:
        asked.append(number)
        return len(asked) < 4

    search.may_start = may_start
    for name in "abc":
        search.suggest(name)
    assert search.suggest("d") == Searcher.FINISHED
    assert (asked, search.num_running()) == ([None] * 4, 3)
    study = StudyLog(tmp_path)
    for number, value in enumerate([0.1, 0.9]):
        search.on_trial_result("ab"[number], report("running", value, 0))
        study.trial(number).start(number=number, num_epochs=2, params={}, settings={})
    study.trial(1).finish(state="complete", value=0.95)  # while Tune was stopping it
    search.end_running(study.trial, "time")
    found = [(one.state, one.value) for one in stored(tmp_path)]
    assert found == [
        (TrialState.PRUNED, 0.1),
        (TrialState.COMPLETE, 0.95),
        (TrialState.FAIL, None),
    ]
    ended = study.trial(0).read()
    assert (ended["state"], ended["value"], ended["reason"]) == ("pruned", 0.1, "time")
    assert search.num_running() == 0


def test_a_search_asks_for_the_number_of_an_interrupted_trial(tmp_path: Path) -> None:
    open_search(tmp_path).suggest("a")
    search = open_search(tmp_path)
    asked: list[int | None] = []
    search.may_start = lambda number: bool(asked.append(number))
    assert not search.goes_on()
    assert asked == [0]
    assert search.num_running() == 0  # it was not started again
