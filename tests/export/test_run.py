"""An export grades videos as pdray does, tells nothing of a person, and is whole or not there."""

import hashlib
import io
import json
import runpy
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
import torch

from pdray.config import build, dump, load
from pdray.data.cohort.manifest import load_manifest
from pdray.errors import PdrayError
from pdray.export import run
from pdray.export.folder import COPIED
from pdray.export.models import refuse_model
from pdray.export.reading import describe, grade
from pdray.export.settings import ExportConfig
from pdray.external.validate import validate
from pdray.models import MODELS
from pdray.predict.models import find_models
from pdray.predict.studied import Studied, open_study
from pdray.search.evaluate_settings import EvaluateConfig
from pdray.search.evaluating import run_evaluation
from pdray.tracking.run_log import EXPORTS, StudyLog
from pdray.training.settings import FitConfig
from tests.export.conftest import exported
from tests.places import ROOT
from tests.predict.test_run import predicted

# None of them is in an environment for exports.
WITHOUT = ("pydantic", "ray", "mlflow", "pandas", "scipy", "sklearn", "yaml", "lz4", "pyarrow")
ALONE = f"""
import runpy, sys
for name in {WITHOUT}: sys.modules[name] = None
folder, *videos = sys.argv[1:]
sys.argv = ["predict.py", *videos]
runpy.run_path(folder + "/predict.py", run_name="__main__")
assert sys.modules["pdray"].__file__ == folder + "/pdray/__init__.py"
open(folder + "/network.pt2", "wb").close()
runpy.run_path(folder + "/predict.py", run_name="__main__")
"""


def videos_of(manifest: Path) -> dict[str, Path]:
    rows = load_manifest(manifest).recordings
    return {row.recording_id: row.video for row in rows if row.video is not None}


def in_process(folder: Path, video: Path) -> dict[str, Any]:
    """Return the cells of a video, as predict.py of the folder computes them."""
    text = (folder / "settings.json").read_text()
    facts = json.loads(text, object_hook=lambda one: SimpleNamespace(**one))
    network: Any = torch.export.load(folder / "network.pt2").module()
    inputs, note = describe(video, facts)
    scores = torch.stack([network(one[None])[0] for one in torch.from_numpy(inputs)])
    (grades,) = json.loads((folder / "labels.json").read_text()).values()
    return grade(scores.double().numpy(), facts, grades) | {"note": note}


@pytest.mark.parametrize(
    "kind", ["network", "motion", "probe", pytest.param("logistic", marks=pytest.mark.slow)]
)
def test_an_export_grades_a_video_as_the_job_does(
    kind: str,
    study_of: Callable[[str], StudyLog],
    folder_of: Callable[[str], Path],
    faces: Path,
    tmp_path: Path,
) -> None:
    folder = folder_of(kind)
    wanted = predicted(study_of(kind), tmp_path, f"data.manifest={faces}", "other_people=true",
                       "calibration=temperature")  # fmt: skip
    graded = wanted[wanted["num_models"] == 2]  # of the test set: both models
    assert len(graded) > 0
    numbers = [f"{kind}_{k}" for kind in ("probability", "calibrated") for k in (0, 1)]
    for name, row in graded.iterrows():
        found = in_process(folder, videos_of(faces)[str(name)])
        for column in (*numbers, "disagreement"):
            assert found[column] == pytest.approx(row[column], abs=1e-5), (name, column)
        assert found["estimated_grade"] == row["estimated_grade"]
        assert found["note"] == ""


def test_one_model_is_the_model_that_did_not_learn_from_the_fold(
    study_of: Callable[[str], StudyLog], faces: Path, tmp_path: Path
) -> None:
    for kind, asked in (("network", "refit"), ("motion", "refit"), ("motion", "fold:1")):
        output = tmp_path / f"{kind}-{asked[:4]}"
        folder, _ = exported(study_of(kind), output, f"model={asked}")
        words = (f"data.manifest={faces}", f"model={asked}")
        wanted = predicted(study_of(kind), tmp_path, *words).dropna(subset="probability_0")
        for name, row in wanted.iterrows():
            found = in_process(folder, videos_of(faces)[str(name)])
            assert found["probability_1"] == pytest.approx(row["probability_1"], abs=1e-5)
        columns = json.loads((folder / "settings.json").read_text())["columns"]
        assert columns == ["recording_id", "item", "probability_0", "probability_1",
                           "estimated_grade", "num_models", "note"]  # fmt: skip


def test_a_generator_is_neither_exported_nor_asked_for_grades(
    study_of: Callable[[str], StudyLog],
    faces: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = study_of("network")
    entry = replace(MODELS["frame_resnet"], loop="translate", learner="module:build")
    monkeypatch.setitem(MODELS, "frame_resnet", entry)
    with pytest.raises(
        PdrayError, match=r"frame_resnet is never exported: .* faces that it learnt"
    ):
        exported(study, tmp_path / "model")
    with pytest.raises(PdrayError, match=r"its model frame_resnet makes pictures and grades nob"):
        predicted(study, tmp_path, f"data.manifest={faces}", "other_people=true")
    with pytest.raises(PdrayError, match=r"its model frame_resnet makes pictures and grades nob"):
        find_models(open_study(study.folder), "refit")
    for words in ([], [f"data.manifest={faces}"]):
        config = load(EvaluateConfig, [f"study={study.folder}", *words])
        job = validate if words else run_evaluation
        how = {"say": print, "device": torch.device("cpu")} if words else {}
        with pytest.raises(PdrayError, match=r"its model frame_resnet makes pictures and grades"):
            job(config, **how)
    assert sorted(tmp_path.iterdir()) == []


def test_it_needs_neither_pdray_nor_its_packages(
    folder_of: Callable[[str], Path], faces: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(folder_of("motion"), tmp_path / "model")
    for name in COPIED:
        assert (folder / "pdray" / name).read_bytes() == (ROOT / "pdray" / name).read_bytes()
    assert len((folder / "predict.py").read_text().splitlines()) <= 60
    video = next(iter(videos_of(faces).values()))
    broken = tmp_path / f"{video.stem}.avi"  # two videos of one name are told apart
    broken.write_bytes(b"no video")
    here = in_process(folder, video)["probability_1"]
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, folder, video, broken],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    comment, *lines = done.stdout.splitlines()
    assert comment.startswith("# for research, not for care")
    assert "SYNTHETIC" in comment
    table = pd.read_csv(io.StringIO("\n".join(lines[:3]))).set_index("recording_id")
    assert table.loc[str(video), "probability_1"] == pytest.approx(here, abs=1e-9)
    assert table["num_models"].tolist() == [2, 0]
    assert "cannot be decoded" in table.loc[str(broken), "note"]
    told = done.stderr.strip().splitlines()[-1]
    assert f"written by torch {torch.__version__.partition('+')[0]}, here is torch" in told
    assert "pip install -r requirements.txt" in told


def test_predict_says_how_it_is_used(
    folder_of: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = shutil.copytree(folder_of("motion"), tmp_path / "model")
    (folder / "labels.json").write_text('{"gait": ["0", "1"], "face_interview": ["0", "1"]}')
    monkeypatch.setattr(sys, "path", [*sys.path])
    for words in ([], ["item=gait"], ["P1.mp4"], ["item=tremor", "P1.mp4"]):
        monkeypatch.setattr(sys, "argv", ["predict.py", *words])
        with pytest.raises(SystemExit, match="ITEM is one of: gait, face_interview"):
            runpy.run_path(str(folder / "predict.py"), run_name="__main__")


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield each file of a folder, and each file inside those that are archives."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        yield path.name, path.name.encode() + content
        if content.startswith(b"PK"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                for name in archive.namelist():
                    yield f"{path.name}/{name}", name.encode() + archive.read(name)


def test_nothing_in_it_says_who_took_part_or_where_files_were(
    study_of: Callable[[str], StudyLog],
    folder_of: Callable[[str], Path],
    faces: Path,
    tmp_path: Path,
) -> None:
    study = study_of("network")
    rows = load_manifest(faces)
    entries = json.loads((study.folder / "entries.json").read_text())
    people = {row.subject_id for row in rows.recordings}
    words = {*people, *entries, *(name for names in entries.values() for name in names)}
    words |= {rows.digest, rows.digest[:12], str(study.folder), str(faces.parent), faces.name}
    words |= {str(ROOT), str(Path.home()), str(tmp_path)}
    words |= {path.name for path in videos_of(faces).values()}
    folder = shutil.copytree(folder_of("network"), tmp_path / "model")
    found = dict(texts(folder))
    assert len(found) > 30
    assert any(name.startswith("network.pt2/") for name in found)
    told = [(name, word) for name, text in found.items() for word in words if word.encode() in text]
    assert told == []
    # The search finds what is there.
    (folder / "note.txt").write_text("of S004")
    assert any(b"S004" in text for _, text in texts(folder))


def test_weights_sums_and_the_list_of_exports_are_those_of_the_folder(
    study_of: Callable[[str], StudyLog], tmp_path: Path
) -> None:
    study = study_of("network")
    folder, told = exported(study, tmp_path / "model", "model=refit")
    data = (folder / "weights.safetensors").read_bytes()
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    kept = torch.load(study.winner.model_path, weights_only=True)
    assert header.keys() >= {f"networks.refit.{name}" for name in kept}
    for name, tensor in kept.items():
        one = header[f"networks.refit.{name}"]
        start, end = one["data_offsets"]
        kind = {"F32": np.float32, "I64": np.int64}[one["dtype"]]
        values = np.frombuffer(data[8 + size :][start:end], kind).reshape(one["shape"])
        np.testing.assert_array_equal(values, tensor.numpy())
    sums = (folder / "SHA256SUMS").read_text()
    listed = dict(line.split("  ")[::-1] for line in sums.splitlines())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed.keys() == there - {"SHA256SUMS"}
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
    line = json.loads((study.folder / EXPORTS).read_text().splitlines()[-1])
    assert line["output"] == str(folder)
    assert line["sha256"] == hashlib.sha256(sums.encode()).hexdigest()
    assert line["model"] == "refit"
    assert "SYNTHETIC" in told


def test_the_card_says_what_the_folder_tells_of_people_and_what_its_owner_answered(
    study_of: Callable[[str], StudyLog], tmp_path: Path
) -> None:
    study = StudyLog(tmp_path / "output" / "studies" / "faces")
    shutil.copytree(study_of("motion").folder, study.folder)
    shutil.copytree(study_of("motion").folder.parents[1] / "store", tmp_path / "output" / "store")
    (study.folder / "card.yaml").write_text('17: "Approved by the ethics committee of Ulm."\n')
    folder, told = exported(study, tmp_path / "model")
    card = (folder / "card.md").read_text()
    assert card.startswith("# Model card of study faces")
    assert "**People**: learnt from 5." in card
    assert "AUROC 0." in card
    assert "5 people that a model learnt from against" in card
    assert "(item 17): Approved by the ethics committee of Ulm." in card
    assert "(item 27b): open: nobody answered item 27b of card.yaml." in card
    assert "membership AUROC" in told
    preprocessing = (folder / "preprocessing.md").read_text()
    assert "scaled to fit 32 x 32 px" in preprocessing


def test_what_cannot_be_exported_is_refused_and_nothing_is_left(
    study_of: Callable[[str], StudyLog], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, output = study_of("motion"), tmp_path / "exports" / "model"

    def fails(message: str, *words: str) -> None:
        with pytest.raises(PdrayError, match=message):
            exported(study, output, *words)
        assert not output.exists()
        assert list(output.parent.glob("*")) + list(output.parent.glob(".*")) == []

    lines = (study.folder / EXPORTS).read_text() if (study.folder / EXPORTS).exists() else ""
    fails("has the folds 0, 1", "model=fold:7")
    fails(r"isotonic regression are .* export\.rows_of_people=true", "calibration=isotonic")
    with monkeypatch.context() as patch:
        patch.setattr(run, "find_spec", lambda name: None)
        fails("needs the packages onnx and onnxscript", "export.onnx=true")
    with monkeypatch.context() as patch:
        patch.setattr(run, "write_sums", refuse)
        fails("no space")
    assert lines == ((study.folder / EXPORTS).read_text() if lines else "")
    with pytest.raises(PdrayError, match="inside the study's folder"):
        exported(study, study.folder / "model")
    (tmp_path / "there").mkdir()
    with pytest.raises(PdrayError, match="there exists, and an export replaces nothing"):
        exported(study, tmp_path / "there")


def test_a_network_on_portraits_is_not_exported() -> None:
    config = build(FitConfig, {"modality": "portraits"})
    facts = {"name": "faces", "trial": {"settings": dump(config)}, "learns_at_once": False}
    studied = cast(Studied, SimpleNamespace(config=config, **facts))
    with pytest.raises(PdrayError, match="it reads portraits, and "):
        refuse_model(studied)


def refuse(folder: Path) -> str:
    raise PdrayError("no space")


def test_a_store_of_jpeg_differs_by_its_loss_and_the_job_says_so(
    study_of: Callable[[str], StudyLog], faces: Path, tmp_path: Path
) -> None:
    study, lines = StudyLog(tmp_path / "output" / "studies" / "faces"), list[str]()
    shutil.copytree(study_of("network").folder, study.folder)
    facts = study.read()
    facts["settings"]["store"] = {"codec": "jpeg"}
    (study.folder / "study.json").write_text(json.dumps(facts))
    words = [f"study={study.folder}", f"output={tmp_path / 'model'}", "model=refit"]
    told = run.export_model(load(ExportConfig, words), lines.append)
    assert any("stored as jpeg" in line for line in lines)
    # These frames are not those that it learnt from; only the terminal names a recording.
    assert "membership not measured: the study's recordings are not there" in told
    assert any("is not measured: recording S0" in line for line in lines)
    assert b"S0" not in (tmp_path / "model" / "card.md").read_bytes()
    wanted = predicted(study, tmp_path, f"data.manifest={faces}", "model=refit")
    for name, row in wanted.dropna(subset="probability_0").iterrows():
        found = in_process(tmp_path / "model", videos_of(faces)[str(name)])
        assert 0 < abs(found["probability_1"] - row["probability_1"]) < 0.02


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_fresh_environment_without_pdray_grades_as_the_job_does(
    folder_of: Callable[[str], Path],
    study_of: Callable[[str], StudyLog],
    faces: Path,
    tmp_path: Path,
) -> None:
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    needed = (folder_of("network") / "requirements.txt").read_text()
    lines = [line for line in needed.splitlines() if not line.startswith("#")]
    python = environment / "bin" / "python"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *lines]
    subprocess.run(install, check=True)
    for package in ("pdray", *WITHOUT):
        asked = subprocess.run(
            [python, "-c", f"import {package}"], capture_output=True, check=False
        )
        assert asked.returncode == 1, package
    for kind in ("network", "motion", "probe"):
        words = (f"data.manifest={faces}", "other_people=true", "calibration=temperature")
        wanted = predicted(study_of(kind), tmp_path, *words)
        videos = videos_of(faces)
        done = subprocess.run(
            [python, folder_of(kind) / "predict.py", *videos.values()],
            env={"OMP_NUM_THREADS": "1"}, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = pd.read_csv(io.StringIO(done.stdout), comment="#").set_index("recording_id")
        stems = {videos[str(name)].stem: row for name, row in wanted.iterrows()}
        both = {name: row for name, row in stems.items() if row["num_models"] == 2}
        assert both
        for name, row in both.items():
            for column in ("probability_1", "calibrated_1", "disagreement"):
                assert found.loc[name, column] == pytest.approx(row[column], abs=1e-5)


def test_onnx_gives_the_same_scores(study_of: Callable[[str], StudyLog], tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="ONNX is an extra")
    runtime = pytest.importorskip("onnxruntime", reason="only this test runs ONNX")
    for kind in ("network", "motion"):
        folder, _ = exported(study_of(kind), tmp_path / kind, "export.onnx=true")
        shape = json.loads((folder / "settings.json").read_text())["input_shape"]
        drawn = np.random.default_rng(0).integers(0, 256, shape)
        inputs = drawn.astype(np.uint8) if kind == "network" else np.log(1.0 + drawn)
        session = runtime.InferenceSession(folder / "network.onnx")
        (name,) = (one.name for one in session.get_inputs())
        (scores,) = session.run(None, {name: inputs})
        network: Any = torch.export.load(folder / "network.pt2").module()
        wanted = network(torch.from_numpy(inputs)).numpy()
        np.testing.assert_allclose(scores, wanted, rtol=1e-4, atol=1e-5)
        assert b"pdray" not in (folder / "network.onnx").read_bytes()
