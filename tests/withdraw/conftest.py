"""An output folder with all that two studies on six SYNTHETIC faces may leave."""

import json
import shutil
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import pytest

from pdray.atomic import file_digest
from pdray.config import build
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.rows import FILES
from pdray.data.store.entry import EntryWriter
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe, StoreConfig
from pdray.evaluation.predictions import Origin, predictions_table, write_predictions
from pdray.search.plan import plan_study
from pdray.search.resume import keep_entries
from pdray.tracking.numbering import number_recordings, writing_private
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import note_study
from tests.fixtures.tiny_study import SMALL, make_study, render_faces

SUBJECT, RECORDING = "S004", "S004_V1_face_interview"
TESTED = "S001"
FOLDS = Folds(
    frozenset(["S001"]), (frozenset(["S002", "S003"]), frozenset(["S004", "S005", "S006"]))
)
OLDER = f"ab/{'ab' * 32}.arrow"  # an entry that does not say what it was made of


class Left(NamedTuple):
    """What the jobs left.

    Attributes:
        output: The output folder.
        manifest: The manifest, outside of it.
        study: A study that the subject took part in, in fold 1 of two.
        later: A study of others, which started from its winner.
        export: A model that was exported from the first.
    """

    output: Path
    manifest: Path
    study: StudyLog
    later: StudyLog
    export: Path


@pytest.fixture(scope="package")
def template(tmp_path_factory: pytest.TempPathFactory) -> Left:
    manifest = render_faces(tmp_path_factory.mktemp("faces"))
    output = tmp_path_factory.mktemp("template") / "output"
    study = make_study(output, manifest)
    facts, search = study.read(), {"name": "new", "protocol": "holdout"}
    tree = plan_study({**facts["settings"], "search": search, "output": str(output)}).tree
    tree["search"]["name"] = "faces"
    study.start(name="faces", settings=tree, tags=facts["tags"])
    study.finish(state="complete", best=0)
    rows = {one.recording_id: one.subject_id for one in load_manifest(manifest).recordings}
    _of_study(study, manifest, rows)
    _in_store(study, output, manifest)
    _of_jobs(output, study, rows)
    return Left(output, manifest, study, _later(study), output)


@pytest.fixture
def left(template: Left, tmp_path: Path) -> Left:
    """Copy the folder; the manifest stays where it is."""
    output, export = tmp_path / "output", tmp_path / "model"
    shutil.copytree(template.output, output)
    study, later = (StudyLog(output / "studies" / name) for name in ("faces", "later"))
    export.mkdir()
    lines = ({"output": str(export), "model": model, "time": 1795953600.0, "sha256": "0"}
             for model in ("ensemble", "fold:1"))  # fmt: skip
    _write(study.folder / "exports.jsonl", "".join(f"{json.dumps(line)}\n" for line in lines))
    return Left(output, template.manifest, study, later, export)


def _of_study(study: StudyLog, manifest: Path, rows: dict[str, str]) -> None:
    study.folds_path.write_text(folds_to_json(FOLDS), encoding="utf-8")
    study.trial(0).start(number=0, num_epochs=1, params={}, settings={})
    folds = [_predicted(rows, side, fold) for fold, side in enumerate(FOLDS.folds)]
    write_predictions(pd.concat(folds, ignore_index=True), study.trial(0).predictions_path)
    write_predictions(_predicted(rows, FOLDS.test, -1, "test"), study.winner.predictions_path)
    for fold, table in enumerate(folds):
        write_predictions(table, study.kept_fold(fold).predictions_path)
        study.kept_fold(fold).model_path.write_bytes(b"weights")
    parts = ["scored" if one in FOLDS.test else "training" for one in rows.values()]
    facts = load_manifest(manifest).table().drop(columns=list(FILES), errors="ignore")
    table = facts.assign(part=parts, reason=None, seconds=1.0, **{"class": 0})
    with writing_private(study, "recordings.parquet") as temporary:
        table.to_parquet(temporary, index=False)
    _write(study.folder / "report" / "report.html", "P01")
    _write(study.folder / "report.txt", f"trial 0\n{RECORDING} is like another\n")
    _write(study.folder / "private" / "mean_calibration.json", "{}")
    _write(study.folder / "ray" / "tune" / "state.pkl", RECORDING)
    _write(study.folder / "decode_failures.csv", f"recording_id,reason\n{RECORDING},cut\n")


def _predicted(
    rows: dict[str, str], side: frozenset[str], fold: int, split: Literal["val", "test"] = "val"
) -> pd.DataFrame:
    names = [name for name, subject in rows.items() if subject in side]
    num = len(names)
    facts = {
        "recording_id": names, "snippet": [0] * num, "subject_id": [rows[name] for name in names],
        "item": ["face_interview"] * num, "grade": [1] * num, "target": [0] * num,
    }  # fmt: skip
    origin = Origin(study="faces", trial=0, fold=fold, epoch=0, split=split)
    return predictions_table(origin, facts, np.zeros((num, 2)))


def _in_store(study: StudyLog, output: Path, manifest: Path) -> None:
    """Prepare the frames of the study and with other settings, and cache what is made of these."""
    rows = load_manifest(manifest).recordings
    store = FrameStore(output / "store", build(Recipe, {"decode": SMALL["decode"]}))
    keep_entries(study, {row.recording_id: store.add(row) for row in rows})
    store = FrameStore(output / "store", build(Recipe, {"decode": {"height": 16, "width": 16}}))
    for row in rows:
        name = store.add(row).paths["rgb"].stem
        cache = output / "store" / "00" / f"{row.subject_id.encode().hex():0>64}.arrow"
        cache.parent.mkdir(exist_ok=True)
        with EntryWriter(cache, StoreConfig(codec="raw"), [name]) as out:
            out.append(0.0, np.zeros(3))
    _write(output / "store" / "checks" / "traits.npz", "features")
    _write(output / "store" / OLDER, "of an earlier version")


def _of_jobs(output: Path, study: StudyLog, rows: dict[str, str]) -> None:
    """Leave what explain, predict and evaluate leave."""
    numbers = number_recordings(study, rows)
    _write(
        output / "maps" / "embedding.csv", "recording_id,x\n" + "".join(f"{r},0\n" for r in rows)
    )
    for name in rows:
        _write(output / "maps" / "videos" / f"{numbers[name]}.mp4", name)
    table = "recording_id,subject_id\n" + "".join(f"{r},{s}\n" for r, s in rows.items())
    _write(output / "predictions.csv", f"# for research\n{table}")
    _write(output / "evaluation" / "faces" / "predictions.csv", table)
    _write(output / "evaluation" / "faces" / "report" / "report.html", "P01")
    note_study(output, study, job="evaluate", model="winner")


def _later(study: StudyLog) -> StudyLog:
    later, facts = StudyLog(study.folder.with_name("later")), study.read()
    later.start(name="later", settings=facts["settings"], tags=facts["tags"])
    _write(later.folds_path, json.dumps({"test": ["S001"], "folds": [["S002"], ["S003"]]}))
    start = {"/elsewhere/copy.pt": file_digest(study.winner.model_path)}
    _write(later.weights_path, json.dumps(start))
    return later


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
