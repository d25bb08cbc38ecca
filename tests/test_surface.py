"""Names that ``import pdray`` gives: their cost, their examples, the page that lists them."""

import doctest
import inspect
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import pdray
from pdray.config import build
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.evaluation.predictions import Origin, predictions_table, write_predictions
from pdray.tracking.run_log import StudyLog
from tests.fixtures.tiny_study import FACES, TEST, make_study
from tests.places import ROOT

HEAVY = ("torch", "pandas", "numpy", "ray", "sklearn", "mlflow", "optuna", "av", "pyarrow", "yaml")
PAGE = ROOT / "docs" / "reference" / "python.md"
COHORT = {**FACES, "num_subjects": 10, "items": ["finger_tapping", "face_interview"]}


def predictions(subjects: tuple[str, ...], trial: int, fold: int, split: str) -> object:
    """Build a table of two recordings per subject, of which one is judged wrongly."""
    names = [f"{subject}_{side}" for subject in subjects for side in ("left", "right")]
    rows = {
        "recording_id": names,
        "snippet": [0] * len(names),
        "subject_id": [name.partition("_")[0] for name in names],
        "item": ["finger_tapping"] * len(names),
        "grade": [0, 3] * len(subjects),
        "target": [0, 1] * len(subjects),
    }
    logits = np.array([[1.0, 0.0], [0.0, 1.0]] * len(subjects))
    logits[0] = (0.0, 0.5)
    origin = Origin(study="demo", trial=trial, fold=fold, epoch=1, split=split)  # type: ignore[arg-type]
    return predictions_table(origin, rows, logits)


def end_trials(study: StudyLog, folds: list[tuple[str, ...]]) -> None:
    """Leave a complete trial and a pruned one, and what the winner predicts."""
    for number, state in enumerate(("complete", "pruned")):
        log = study.trial(number)
        log.start(num_epochs=2, number=number, params={"loss.gamma": 0.5 * number}, settings={})
        for fold, subjects in enumerate(folds):
            for epoch in (0, 1):
                table = predictions(subjects, number, fold, "val")
                log.write_epoch(
                    fold=fold,
                    epoch=epoch,
                    metrics={"val/mcc": 0.5},
                    predictions=table,  # type: ignore[arg-type]
                )
        log.finish(state=state, value=0.5, chosen_epoch=1 if state == "complete" else None)  # type: ignore[arg-type]
    write_predictions(predictions(TEST, 0, -1, "test"), study.winner.predictions_path)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what the examples name: a cohort and a finished study, SYNTHETIC."""
    folder = tmp_path_factory.mktemp("clone")
    manifest = make_cohort(folder / "demo", build(DemoConfig, COHORT), num_processes=1)
    study = make_study(folder / "output", manifest, name="demo")
    settings = {**study.read()["settings"], "search": {"metric": "mcc"}}
    study.start(name="demo", settings=settings, tags={})
    end_trials(study, [("S004", "S005"), ("S006", "S007")])
    study.finish(state="complete", best=0)
    shutil.copytree(ROOT / "search_spaces", folder / "search_spaces")
    return folder


def test_import_pdray_imports_no_library_of_data_or_learning() -> None:
    code = f"import sys, pdray; print(*[one for one in {HEAVY} if one in sys.modules])"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert told.stdout.split() == []


def test_the_names_are_listed_and_no_other_is_there() -> None:
    assert dir(pdray) == sorted(pdray.__all__)
    assert {"load_manifest", "run_study", "read_study"} <= set(pdray.__all__)
    with pytest.raises(AttributeError, match="load_manifests"):
        _ = pdray.load_manifests  # type: ignore[attr-defined]


# Ray warns of itself.
STARTS_RAY = (pytest.mark.integration, pytest.mark.slow, pytest.mark.filterwarnings("default"))
EXAMPLES = [
    pytest.param(name, marks=STARTS_RAY if name == "run_study" else ()) for name in pdray.__all__
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_of_each_name_prints_what_it_says(
    name: str, clone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(clone)
    text = inspect.getdoc(getattr(pdray, name)) or ""
    assert "\nExample:\n" in text
    example = doctest.DocTestParser().get_doctest(text, {"pdray": pdray}, name, None, None)
    assert example.examples
    told: list[str] = []
    result = doctest.DocTestRunner().run(example, out=told.append, clear_globs=False)
    assert result.failed == 0, "".join(told)


def test_the_page_lists_every_name_and_no_other() -> None:
    text = PAGE.read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[`(\w+)`\]", text, re.MULTILINE)
    described = re.findall(r"^\.\. auto(?:function|exception):: pdray\.(\w+)$", text, re.MULTILINE)
    assert sorted(rows) == sorted(described) == sorted(pdray.__all__)
