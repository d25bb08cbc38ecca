"""A study whose files were changed between two sessions ends the same, or names the file."""

import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pdray.errors import StudyError
from tests.crash.test_every_write import run as run_study
from tests.fixtures.outcome import differences
from tests.fixtures.without_ray import replace_ray

pytestmark = [pytest.mark.chaos, pytest.mark.filterwarnings("ignore")]  # Ray warns about itself
Run = Callable[[], dict[str, Any]]


class Killed(BaseException):
    """The process was killed."""


@pytest.fixture
def run(tmp_path: Path, tiny_manifest: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Run:
    replace_ray(monkeypatch)
    return partial(run_study, tmp_path / "output", tiny_manifest(8, 6))


@pytest.fixture(scope="module")
def kept() -> dict[str, Any]:
    return {}


@pytest.fixture
def killed(tmp_path: Path, run: Run, kept: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run a study whole, and again until trial 1 is in its second fold; return its folder."""
    output = tmp_path / "output"
    study = output / "studies" / "study"
    kept["whole"] = kept.get("whole") or run()
    shutil.rmtree(study, ignore_errors=True)
    with monkeypatch.context() as patch:
        from pdray.search.trial import Recorder

        record = Recorder.record

        def until(recorder: Recorder, result: Any) -> dict[str, Any]:
            if (recorder.number, result.fold, result.epoch) == (1, 1, 1):
                raise Killed
            return record(recorder, result)

        patch.setattr(Recorder, "record", until)
        with pytest.raises(Killed):
            run()
    return study


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def edit(**changes: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


def rename(path: Path) -> None:
    """Give the database the values of another study."""
    with closing(sqlite3.connect(path)) as database:
        database.execute("update trial_params set param_value = 0.05")
        database.commit()


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("optuna.db", Path.unlink),
        ("optuna.db", flip),
        ("optuna.db", rename),
        ("digests.jsonl", Path.unlink),
        ("digests.jsonl", cut),
        ("trials/0000", shutil.rmtree),
        ("trials/0001", shutil.rmtree),
        ("trials/0001/checkpoint.pt", flip),
        ("trials/0001/checkpoint.pt", Path.unlink),
        ("trials/0001/epochs.jsonl", cut),
        ("trials/0001/epochs.jsonl", Path.unlink),
        ("trials/0001/predictions/fold0_epoch001.parquet", cut),
        ("trials/0001/predictions", shutil.rmtree),
        ("trials", shutil.rmtree),
    ],
)
def test_what_can_be_made_again_is_made_again(
    killed: Path, run: Run, kept: dict[str, Any], name: str, damage: Callable[[Path], None]
) -> None:
    damage(killed / name)
    found = run()
    found["files"] = [one for one in found["files"] if one != "optuna.other.db"]
    assert differences(found, kept["whole"]) == []


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("study.json", cut),
        ("study.json", edit(tags={})),
        ("folds.json", cut),
        ("entries.json", cut),
        ("entries.json", edit(R0=["other"])),
        ("time.json", cut),
        ("trials/0000/trial.json", edit(chosen_epoch=-5)),
        ("trials/0000/trial.json", edit(value=0.9)),
        ("trials/0000/epochs.jsonl", cut),
        ("trials/0000/predictions.parquet", flip),
        ("trials/0001/trial.json", cut),
    ],
)
def test_what_cannot_be_made_again_is_named(
    killed: Path, run: Run, name: str, damage: Callable[[Path], None]
) -> None:
    damage(killed / name)
    with pytest.raises(StudyError, match=name.replace(".", r"\.")):
        run()
