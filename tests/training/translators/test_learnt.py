import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.folds import Folds
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.errors import StudyError
from pdray.evaluation.predictions import Origin, predictions_table, write_predictions
from pdray.training.loop.worker import fit
from pdray.training.settings import FitConfig
from pdray.training.task import FitTask
from pdray.training.translators.learnt import keep_learnt, read_learnt
from tests.fixtures.translator import Tiny, known, make_translation, tiny_fit
from tests.training.translators.test_guide import leave_study


def write(path: Path, items: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Path:
    """Write an entry that was made of a file whose digest is its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with EntryWriter(path, StoreConfig(), made_of=[f"sha-{path.stem}"]) as writer:
        for number, item in enumerate(items):
            writer.append(number / 25, item)
    return path


@pytest.fixture
def task(tmp_path: Path) -> FitTask:
    config = build(FitConfig, {"model": {"name": "cut"}})
    return make_translation(tmp_path, write, config)


def test_it_names_the_real_people_and_files_of_the_training_side(
    task: FitTask, tmp_path: Path
) -> None:
    made = replace(task.recordings[3], carries=frozenset({"S3"}))
    recordings = (*task.recordings[:3], made, *task.recordings[4:])
    one = replace(task, recordings=recordings, sides=task.sides[:1])
    keep_learnt(one, tmp_path / "learnt.json", fold=0)
    found = read_learnt(tmp_path / "learnt.json")
    assert found.subjects == ("S0", "S1", "S2")
    assert found.contents == ("sha-0", "sha-1", "sha-2")
    assert found.settings["model"]["name"] == "cut"
    assert (found.num_classes, found.seed) == (2, 1)


def test_it_tells_how_many_steps_the_fit_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(monkeypatch)
    one = make_translation(tmp_path, write, tiny_fit(), classes=(0, 1, 0, 0, 0, 1, 0, 1))
    made = replace(one.recordings[3], carries=frozenset({"S3"}))
    recordings = (*one.recordings[:3], made, *one.recordings[4:])
    one = replace(one, recordings=recordings, sides=one.sides[:1])
    steps = []
    step = Tiny.step
    monkeypatch.setattr(Tiny, "step", lambda *given: steps.append(1) or step(*given))
    assert [*fit(one)]
    # The settings of the small translator cannot be written, so those of another stand for them.
    tree = {"model": {"name": "cut"}, "optim": {"epochs": 2, "batch_size": 4},
            "synthesis": {"frames": 3}}  # fmt: skip
    keep_learnt(replace(one, config=build(FitConfig, tree)), tmp_path / "learnt.json", fold=0)
    assert read_learnt(tmp_path / "learnt.json").num_steps == len(steps) == 4


def test_a_guide_that_is_learnt_from_brings_its_people(task: FitTask, tmp_path: Path) -> None:
    folds = Folds(frozenset({"S4", "S5", "S6", "S7"}), (frozenset({"A"}), frozenset({"B"})))
    study = leave_study(tmp_path / "studies" / "guide", folds=folds)
    write(tmp_path / "store" / "aa" / "aa1.arrow", np.zeros((2, 4, 4, 3), np.uint8))
    entries = {"RA": ["aa1"], "RB": ["bb1"], "RC": ["aa1"]}
    (study.folder / "entries.json").write_text(json.dumps(entries), encoding="utf-8")
    facts = {"item": ["face_interview"] * 3, "grade": [0] * 3, "target": [0] * 3}
    rows = {"recording_id": ["RA", "RB", "RC"], "subject_id": ["A", "B", "C"], "snippet": [0] * 3}
    log = study.trial(0)
    log.folder.mkdir(parents=True)
    table = predictions_table(
        Origin(study="guide", trial=0, fold=0, epoch=0), {**rows, **facts}, np.zeros((3, 2))
    )
    write_predictions(table, log.predictions_path)

    def guided(name: str) -> FitTask:
        tree = {"model": {"name": name}, "synthesis": {"guide": str(study.folder)}}
        return replace(task, config=build(FitConfig, tree))

    keep_learnt(guided("cut"), tmp_path / "measured.json", fold=0)
    assert read_learnt(tmp_path / "measured.json").subjects == ("S0", "S1", "S2", "S3")
    keep_learnt(guided("hrfae"), tmp_path / "learnt.json", fold=0)
    found = read_learnt(tmp_path / "learnt.json")
    assert found.subjects == ("A", "B", "S0", "S1", "S2", "S3")
    assert found.contents == ("sha-0", "sha-1", "sha-2", "sha-3", "sha-aa1")


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "learnt.json"
    path.write_text('{"subjects": []}', encoding="utf-8")
    with pytest.raises(StudyError, match=r"learnt.json: is damaged: 'contents'; restore it"):
        read_learnt(path)
