"""The table of changed faces, from the drawing of SYNTHETIC people to its text, and its meaning."""

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.changed_table import WHOLE, Steps, clear_manifest
from jobs import reproduce
from pdray.config import build
from pdray.data.cohort.folds import Folds
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.evaluation.translation_rows import CONTROLS, HEALTHY, ILL, OTHERS, REAL, SOURCE, TRUE
from pdray.tracking.run_log import StudyLog
from tests.predict.conftest import train

pytestmark = pytest.mark.integration

PEOPLE = {
    "items": ["face_interview"], "missing": 0.0, "size": 96, "fps": 5, "min_seconds": 1.0,
    "max_seconds": 1.2, "static_signs": 3.0, "num_visits": 4, "progression": True,
}  # fmt: skip
LOOKING: Mapping[str, Any] = {
    "modality": "portraits", "portraits": {"size": 64},
    "snippet": {"mode": "segments", "num_frames": 1}, "loss": {"kind": "cross_entropy"},
    "optim": {"optimizer": "adamw", "learning_rate": 0.003, "batch_size": 8, "epochs": 12},
}  # fmt: skip
JUDGE = {**LOOKING, "model": {"name": "frame_resnet", "depth": 18, "width_factor": 0.125}}
GUIDE = {
    **LOOKING, "model": {"name": "x3d", "depth_factor": 0.5, "num_features": 64},
    "optim": {"optimizer": "adamw", "batch_size": 8, "epochs": 1},
}  # fmt: skip
SHORT = {"optim": {"epochs": 1, "batch_size": 4}, "synthesis": {"preset": "demo", "frames": 1}}


@dataclass(frozen=True)
class Faces:
    """People, and studies of networks; all are SYNTHETIC.

    Attributes:
        manifest: Of the people who are scored and learnt from.
        folds: Of these.
        judge: Study of other people.
        guide: Study of the people who are learnt from.
        cut: Study of CUT, guided by nobody.
        hrfae: Study of HRFAE.
    """

    manifest: Path
    folds: Folds
    judge: StudyLog
    guide: StudyLog
    cut: StudyLog
    hrfae: StudyLog


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Faces:
    """Draw two groups of people, and train a judge, a guide, CUT and HRFAE."""
    folder = tmp_path_factory.mktemp("changed")
    groups = {"people": {"seed": 4, "counterfactual": True, "num_subjects": 20},
              "others": {"seed": 5, "num_subjects": 36}}  # fmt: skip
    drawn = [
        make_cohort(folder / name, build(DemoConfig, {**PEOPLE, **more}), num_processes=2)
        for name, more in groups.items()
    ]
    first, second = map(clear_manifest, drawn)
    subjects = [f"S{number:03d}" for number in range(1, 21)]
    folds = Folds(frozenset(subjects[::2]), (frozenset(subjects[1::4]), frozenset(subjects[3::4])))
    guide = train(folder, first, GUIDE, folds, name="guide")
    model = {"width_factor": 0.125, "num_blocks": 1, "discriminator_layers": 1}
    guided = {**SHORT["synthesis"], "guide": str(guide.folder)}
    cut, hrfae = (
        train(
            folder, first,
            {"modality": "portraits", **SHORT, "synthesis": synthesis,
             "model": {"name": name, **model}},
            folds, name=name, metric="kernel_distance",
        )
        for name, synthesis in (("cut", SHORT["synthesis"]), ("hrfae", guided))
    )  # fmt: skip
    known = [f"S{number:03d}" for number in range(1, 37)]
    apart = Folds(frozenset(known[:4]), (frozenset(known[4:12]), frozenset(known[12:])))
    judge = train(folder / "others", second, JUDGE, apart, name="judge")
    return Faces(first, folds, judge, guide, cut, hrfae)


def words_of(faces: Faces, output: Path, **studies: Path) -> list[str]:
    given = {"judge": faces.judge.folder, "identity": faces.judge.folder, **studies}
    return [
        "--table", "youtubepd.table4", f"data.manifest={faces.manifest}", f"output={output}",
        "portraits.size=64", "other_people=true", "data.grade_cuts=[2]",
        *(f"{key.replace('_', '.')}={study}" for key, study in given.items()),
    ]  # fmt: skip


def copy_of_the_source(study: StudyLog) -> Path:
    """Copy a study of CUT with a generator that adds nothing to the source."""
    folder = study.folder.with_name("copy")
    shutil.copytree(study.folder, folder)
    path = StudyLog(folder).winner.model_path
    weights = torch.load(path, weights_only=True)
    last = [name for name in weights if name.startswith("generator.")][-2:]
    assert [one.rpartition(".")[2] for one in last] == ["weight", "bias"]
    for name in last:
        weights[name].zero_()
    torch.save(weights, path)
    return folder


def blocks(text: str) -> list[dict[str, list[str]]]:
    """Return the cells of each row, by its label, for each of the three parts of a table."""
    found: list[dict[str, list[str]]] = []
    for line in text.splitlines():
        if line.lstrip().startswith("pictures  "):
            found.append({})
        elif found and "  " in line.strip() and not line.startswith(" "):
            label, *cells = [part.strip() for part in line.split("  ") if part.strip()]
            found[-1].setdefault(label, cells)
    return found


def number(cell: str) -> float:
    return float(cell.partition(" ")[0])


def check_rows(text: str, methods: Sequence[str]) -> None:
    """Check what the rows of a table mean."""
    assert "SYNTHETIC" in text.splitlines()[0]
    sets, judged, people = blocks(text)
    for part in (sets, judged, people):
        assert [label for label in part if label in CONTROLS] == [*CONTROLS]
        assert {*methods} <= {*part}
    called = {label: number(judged[label][1]) for label in CONTROLS if label != REAL}
    errors = {label: number(people[label][-1]) for label in CONTROLS if label != REAL}
    # A copy of the source is nearest to the source, goes nowhere and is the person.
    assert number(sets[SOURCE][1]) == 0
    assert all(number(sets[label][1]) > 0 for label in (*CONTROLS[1:-1], *methods))
    assert [cell[:6] for cell in judged[SOURCE][2:]] == ["absent"] * 3
    assert number(people[SOURCE][1]) == 1
    # The true picture is the truth, and more often called ill than the source.
    assert errors[TRUE] == 0 < errors[SOURCE] < errors[ILL]
    assert called[TRUE] > called[SOURCE] + 20
    assert number(judged[TRUE][4]) > number(judged[HEALTHY][4])
    # Other people are not the right person.
    assert number(people[OTHERS][2]) < 50 <= number(people[HEALTHY][2])


def test_the_table_of_cut_and_hrfae_means_what_it_says(
    faces: Faces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copy_of_the_source(faces.cut)
    made = {"methods_CUT": faces.cut.folder, "methods_HRFAE": faces.hrfae.folder}
    words = words_of(faces, tmp_path / "output", **made, methods_COPY=copy)
    assert reproduce.main(words) == 0, capsys.readouterr().err
    text = (tmp_path / "output" / "tables" / "youtubepd.table4.txt").read_text(encoding="utf-8")
    assert text.strip() in capsys.readouterr().out
    check_rows(text, ("CUT", "HRFAE"))
    for part in blocks(text):  # a method that changes nothing is scored as the source is
        assert part["COPY"] == part[SOURCE]
        assert part["CUT"] != part[SOURCE]
        assert part["HRFAE"] != part["CUT"]
    told = " ".join(text.split())
    for label, study in (("CUT", faces.cut), ("HRFAE", faces.hrfae)):
        learnt = json.loads(study.winner.learnt_path.read_text(encoding="utf-8"))
        assert not {*learnt["subjects"]} & faces.folds.test
        steps = f"{learnt['num_steps']} steps of 4 pictures of each side"
        assert f"{label}: {label.lower()}, preset demo, {steps}" in told


def test_a_guide_judges_nothing(
    faces: Faces, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    guide = {"judge": faces.guide.folder, "methods_HRFAE": faces.hrfae.folder}
    assert reproduce.main(words_of(faces, tmp_path / "output", **guide)) == 2
    told = capsys.readouterr().err
    assert "judge: study guide is the guide itself" in told
    assert "judge: study guide learnt from 10 (" in told
    assert not (tmp_path / "output" / "tables" / "youtubepd.table4.txt").exists()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_table_at_demo_means_what_it_says(tmp_path: Path) -> None:
    text = Steps(tmp_path / "faces", WHOLE).table()
    check_rows(text, WHOLE.methods)
    told = " ".join(text.split())
    for label in WHOLE.methods:
        assert f"{label}: {label.lower()}, preset demo, " in told
