import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pdray.data.cohort.members import Cohort
from pdray.errors import SettingsError, StudyError
from pdray.search.plan import StudyPlan, plan_study
from pdray.search.starts import check_same_people
from pdray.tracking.run_log import StudyLog

SPACE = {"loss.gamma": {"low": 0.0, "high": 2.0, "step": 0.5}}
FOLDS = {"folds": [["a"], ["b"]], "test": ["c", "d"]}


def plan(output: Path, start: object = "default", **search: object) -> StudyPlan:
    return plan_study(
        {
            "data": {"manifest": "/x.csv"},
            "model": {"depth": 10, "num_heads": 2},
            "search": {"start": start, **search},
            "space": SPACE,
            "output": str(output),
        }
    )


@pytest.fixture
def earlier(tmp_path: Path) -> StudyLog:
    """A complete study of seven trials; their values are 0.0, 0.1, ... and one has failed."""
    study = StudyLog(tmp_path / "studies" / "earlier")
    tree = plan(tmp_path, name="other").tree
    study.start(name="earlier", settings=tree, tags={"manifest_digest": "abc"})
    for number in range(7):
        log = study.trial(number)
        log.start(
            number=number, num_epochs=1, params={"loss.gamma": number / 4}, settings={},
            role="trial",
        )  # fmt: skip
        if number == 6:
            log.finish(state="failed", reason="it was odd")
        else:
            saved = json.loads((log.folder / "trial.json").read_text())
            saved |= {"state": "complete", "value": number / 10}
            (log.folder / "trial.json").write_text(json.dumps(saved))
    study.finish(state="complete", best=5)
    study.folds_path.write_text(json.dumps(FOLDS))
    return study


def test_the_own_settings_are_the_first_trial_and_say_whether_the_space_holds_them(
    tmp_path: Path,
) -> None:
    (start,) = plan(tmp_path).starts
    assert (start.label, start.params, start.is_held) == ("default", {"loss.gamma": 2.0}, True)
    assert plan(tmp_path, "sampler").starts == ()
    (known,) = plan(tmp_path, [{"loss.gamma": 0.7}]).starts
    assert (known.label, known.is_held) == ("start", False)


@pytest.mark.parametrize(
    ("start", "told"),
    [
        ([{"loss.gama": 1.0}], "unknown key 'loss.gama'; did you mean 'loss.gamma'?"),
        ([{}], "entry 1 has no setting"),
        ([{"loss.gamma": "much"}], "entry 1: loss.gamma: got 'much'"),
        ([{"loss.gamma": 1.0}, {"loss.gamma": 1.0}], "entries 1 and 2 are the same"),
    ],
)
def test_known_settings_with_faults_are_refused(tmp_path: Path, start: Any, told: str) -> None:
    with pytest.raises(SettingsError, match=r"search\.start: ") as caught:
        plan(tmp_path, start)
    assert told in str(caught.value)


def test_a_seed_follows_from_the_name_and_stays_when_the_study_goes_on(tmp_path: Path) -> None:
    seeds = [plan(tmp_path, name=name).seed for name in ("one", "two", "one")]
    assert seeds[0] == seeds[2] != seeds[1]
    assert plan(tmp_path, name="one", seed=3).seed == 3
    StudyLog(tmp_path / "studies" / "one").start(
        name="one", settings=plan(tmp_path, name="one", seed=3).tree, tags={}
    )
    assert plan(tmp_path, name="one").seed == 3


def test_the_five_best_settings_of_an_earlier_study_come_first(
    tmp_path: Path, earlier: StudyLog
) -> None:
    found = plan(tmp_path, str(earlier.folder))
    assert [one.params["loss.gamma"] for one in found.starts] == [1.25, 1.0, 0.75, 0.5, 0.25]
    again = earlier.trial(4).folder / "trial.json"  # as earlier versions may have proposed it
    saved = json.loads(again.read_text()) | {"params": {"loss.gamma": 1.25}}
    again.write_text(json.dumps(saved))
    distinct = plan(tmp_path, str(earlier.folder), name="distinct").starts
    assert [one.params["loss.gamma"] for one in distinct] == [1.25, 0.75, 0.5, 0.25, 0.0]
    # They are logged as settings, so that a resume does not need the earlier study.
    assert plan_study(json.loads(json.dumps(found.tree))).starts == found.starts


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"state": "running"}, "is running; continue it with --resume"),
        ({"settings": {"space": {}, "search": {"metric": "mcc"}}}, "another space: loss.gamma"),
    ],
)
def test_an_unfinished_study_or_one_of_another_space_is_no_start(
    tmp_path: Path, earlier: StudyLog, change: dict[str, Any], told: str
) -> None:
    saved = json.loads((earlier.folder / "study.json").read_text())
    (earlier.folder / "study.json").write_text(json.dumps(saved | change))
    with pytest.raises(StudyError, match=told):
        plan(tmp_path, str(earlier.folder))
    with pytest.raises(StudyError, match="folder of a complete study"):
        plan(tmp_path, str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    ("digest", "test", "told"),
    [
        ("abc", ("c", "d"), None),
        ("xyz", ("c", "d"), "another manifest"),
        ("abc", ("a", "d"), "1 of the 2 test subjects took part in the search of study earlier"),
    ],
)
def test_a_start_from_a_study_that_saw_the_test_subjects_is_refused(
    earlier: StudyLog, digest: str, test: tuple[str, ...], told: str | None
) -> None:
    cohort = cast(
        "Cohort",
        SimpleNamespace(
            manifest=SimpleNamespace(digest=digest), folds=SimpleNamespace(test=frozenset(test))
        ),
    )
    if told is None:
        check_same_people(earlier.folder, cohort)
        return
    with pytest.raises(StudyError, match=told):
        check_same_people(earlier.folder, cohort)
