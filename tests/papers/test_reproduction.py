from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.errors import SettingsError, StudyError
from pdray.evaluation.controls import Known
from pdray.evaluation.predictions import Origin, predictions_table
from pdray.papers import reproduction
from pdray.papers.plan import Part, plan_reproduction
from pdray.papers.reproduction import run_reproduction
from pdray.search.comparison import Comparison
from pdray.search.resume import only_driver
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import read_scorings


def test_a_run_whose_weights_are_missing_is_left_out_and_noted(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(), words)
    ((part, plan),) = ready.plans.items()
    assert part == Part("9.9-finger_tapping", "finger_tapping", 0)
    assert dict(plan.fixed) == {"one": {"model.attention_depth": 1}}
    assert plan.config.data.items == ("finger_tapping",)
    assert plan.config.optim.epochs == 7
    assert ready.notes == ("two is left out; to run it, set weights.actions=FILE",)


def test_a_run_may_start_from_scratch_where_the_table_says_so(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(from_scratch=True), words)
    (plan,) = ready.plans.values()
    assert dict(plan.fixed)["two"] == {"model.attention_depth": 0}
    assert ready.notes == ("two starts from random weights, since weights.actions=FILE is not set",)


def test_given_weights_stand_in_their_runs(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "model.pt"
    file.touch()
    ready = plan_reproduction(write_table(), [*words, f"weights.actions={file}"])
    (plan,) = ready.plans.values()
    assert plan.fixed["two"]["pretrained"] == str(file)
    assert ready.notes == ()


def test_weights_of_rendered_recordings_are_called_so(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    study = StudyLog(tmp_path / "pre")
    study.start(name="pre", settings={}, tags={"synthetic": "true"})
    study.winner.folder.mkdir()
    study.winner.model_path.touch()
    words = [*words, f"weights.actions={study.winner.model_path}"]
    ready = plan_reproduction(write_table(), words)
    assert ready.notes == ("weights.actions was trained on SYNTHETIC recordings",)


@pytest.mark.parametrize(
    ("begun", "name"),
    [
        (["000.99"], "000.99"),
        (["000.99-seed0"], "000.99"),
        (["000.9-seed0", "000.999", "000.99-folder-without-a-study/x"], "youtubepd.table99"),
        (["000.99", "youtubepd.table99"], "youtubepd.table99"),
    ],
)
def test_studies_begun_under_a_tables_earlier_name_go_on_under_it(
    begun: list[str],
    name: str,
    write_table: Callable[..., Path],
    words: list[str],
    tmp_path: Path,
) -> None:
    for study in begun:
        StudyLog(tmp_path / "out" / "studies" / study).start(name=study, settings={}, tags={})
    path = write_table().rename(tmp_path / "youtubepd.table99.yaml")
    ready = plan_reproduction(path, words)
    assert [part.name for part in ready.plans] == [f"{name}-finger_tapping"]
    assert ready.path == tmp_path / "out" / "tables" / f"{name}.txt"


def test_the_command_line_goes_over_the_table(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(), [*words, "optim.epochs=3", "search.name=mine"])
    ((part, plan),) = ready.plans.items()
    assert part.name == "mine-finger_tapping"
    assert plan.config.optim.epochs == 3
    assert ready.path.name == "mine.txt"


@pytest.mark.parametrize(
    ("changes", "more", "told"),
    [
        ({"metrics": ["f2"]}, [], r"metrics: got 'f2'; use some of accuracy"),
        (
            {"rows": {"A": {"x": ["three"]}}},
            [],
            r"rows.A.x: there is no run 'three'; use some of: one, two",
        ),
        (
            {"synthetic_runs": {"three": {}}},
            [],
            r"synthetic_runs.three: there is no such run; use some of: one, two",
        ),
        (
            {},
            ["weights.wrong=/w.pt"],
            r"weights.wrong: the table has no such weights; use some of: act",
        ),
        (
            {"runs": {"one": {"model.num_heads": 3}}, "rows": {}, "synthetic_runs": {}},
            [],
            r"trial 'one': model.num_heads: 3 does not divide",
        ),
    ],
)
def test_faults_are_told(
    write_table: Callable[..., Path], words: list[str], changes: Any, more: list[str], told: str
) -> None:
    with pytest.raises(SettingsError, match=told):
        plan_reproduction(write_table(**changes), [*words, *more])


def test_the_table_is_laid_out_from_the_saved_predictions_and_kept(
    write_table: Callable[..., Path],
    words: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    facts: dict[str, Any] = {
        "recording_id": ["r0", "r1"],
        "snippet": [0, 0],
        "subject_id": ["s0", "s1"],
        "item": ["finger_tapping"] * 2,
        "grade": [0, 3],
        "target": [0, 1],
    }
    origin = Origin(study="9.9", trial=0, fold=0, epoch=1, split="test")
    right = predictions_table(origin, facts, pd.DataFrame([[2.0, 0], [0, 2.0]]).to_numpy())
    wrong = predictions_table(origin, facts, pd.DataFrame([[0, 9.0], [9.0, 0]]).to_numpy())
    names = []

    def compare(plan: Any, name: str, say: Any, note: Any) -> Comparison:
        names.append(name)
        return Comparison(tmp_path / "study", {"one": right, "two": wrong}, False, {}, {}, {})

    monkeypatch.setattr(reproduction, "run_comparison", compare)
    ready = plan_reproduction(write_table(from_scratch=True), words)
    text, path = run_reproduction(ready, say=pytest.fail)
    assert names == ["9.9-finger_tapping"]
    rows = {line.split()[0]: line.split()[1] for line in text.splitlines() if "0.0" in line}
    assert rows == {"One": "100.0", "Both": "0.0"}
    assert "note: two starts from random weights" in text
    assert "2 recordings of 2 subjects in one split" in text
    assert path == tmp_path / "out" / "tables" / "9.9.txt"
    assert ready.files == {"table": path, "roc": path.with_name("9.9.roc.png")}
    assert ready.files["roc"].read_bytes().startswith(b"\x89PNG")
    assert path.read_text(encoding="utf-8") == f"{text}\n"


def test_a_study_that_another_job_runs_adds_no_line_to_the_list_of_scorings(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    ready = plan_reproduction(write_table(from_scratch=True), words)
    ((part, plan),) = ready.plans.items()
    study = StudyLog(plan.config.output / "studies" / part.name)
    runs = pytest.raises(StudyError, match="already run by another job")
    with only_driver(study, pytest.fail), runs:
        run_reproduction(ready, say=lambda line: None)
    assert read_scorings(plan.config.output) == []


def test_fewer_items_than_the_tables_may_be_asked_for_and_no_others(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    path = write_table(items=["finger_tapping", "gait"])
    ready = plan_reproduction(path, [*words, "data.items=[finger_tapping]"])
    assert [part.item for part in ready.plans] == ["finger_tapping"]
    with pytest.raises(
        SettingsError, match=r"data\.items: the table has no toe_tapping; use some of"
    ):
        plan_reproduction(path, [*words, "data.items=[finger_tapping,toe_tapping]"])


def test_a_run_of_a_modality_that_no_recording_has_is_left_out(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    points = {"modality": "landmarks", "model.name": "landmark_head", "optim.epochs": 1}
    regions = {"model.name": "region_attention", "pretrained": "weights.faces"}
    changes: dict[str, Any] = {
        "settings": {},
        "runs": {"one": {}, "two": points, "three": regions},
        "rows": {"One": {"": ["one"]}, "Two": {"": ["two"]}, "Three": {"": ["three"]}},
        "synthetic_runs": {},
        "from_scratch": True,
    }
    ready = plan_reproduction(write_table(**changes), words)
    (plan,) = ready.plans.values()
    assert list(plan.fixed) == ["one"]
    assert ready.notes == (  # and nothing on the weights of a run that is left out
        "three is left out: no recording has regions",
        "two is left out: no recording has landmarks",
    )


def test_every_seed_is_a_comparison_with_folds_of_its_own(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path, monkeypatch
) -> None:
    changes: dict[str, Any] = {
        "layout": "severity", "seeds": 2, "from_scratch": True, "items": None,
        "paper": {"One": {"AUROC 2": "0.5"}},
    }  # fmt: skip
    ready = plan_reproduction(write_table(**changes), words)
    assert list(ready.plans) == [Part("9.9-seed0", None, 0), Part("9.9-seed1", None, 1)]
    seeds = [(plan.config.search.seed, plan.config.folds.seed) for plan in ready.plans.values()]
    assert seeds == [(0, 0), (1, 1)]
    facts: dict[str, Any] = {
        "recording_id": ["r0", "r1"], "snippet": [0, 0], "subject_id": ["s0", "s1"],
        "item": ["finger_tapping"] * 2, "grade": [0, 3], "target": [0, 1],
    }  # fmt: skip
    origin = Origin(study="9.9", trial=0, fold=0, epoch=1, split="test")
    table = predictions_table(origin, facts, pd.DataFrame([[2.0, 0], [0, 2.0]]).to_numpy())
    log = tmp_path / "out" / "tables" / "scorings.csv"
    lines = []

    def compare(plan: Any, name: str, say: Any, note: Any) -> Comparison:
        note()
        lines.append(log.read_text(encoding="utf-8").splitlines())
        known = {0: [Known(0, None), Known(1, None)]}
        tables = {"one": table, "two": table}
        return Comparison(tmp_path, tables, False, known, {"r0": None, "r1": None}, {})

    monkeypatch.setattr(reproduction, "run_comparison", compare)
    said: list[str] = []
    text, _ = run_reproduction(ready, say=said.append)
    assert said == ["study 1 of 2: 9.9-seed0", "study 2 of 2: 9.9-seed1"]
    # The line is there before there is a score.
    assert lines[0][0] == "time,table,study,seed,source,manifest,runs,digest,study_id,subjects"
    assert [len(seen) for seen in lines] == [2, 3]
    assert ",9.9,9.9-seed1,1," in lines[1][2]
    assert ",manifest.csv,one; two," in lines[1][2]
    noted = read_scorings(tmp_path / "out")
    digest = load_manifest(tmp_path / "manifest.csv").digest
    assert [(one.digest, len(one.subjects)) for one in noted] == [(digest, 10)] * 2
    row = next(line for line in text.splitlines() if line.startswith("One")).split()
    assert row[1] == "100.0+-0.0"
    assert "paper" in text


def test_a_paired_table_has_seeds_of_its_own_and_no_curves(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path, monkeypatch
) -> None:
    changes: dict[str, Any] = {
        "layout": "paired", "seeds": 2, "first_seed": 3, "from_scratch": True, "items": None,
        "metrics": ["mae"],
    }  # fmt: skip
    ready = plan_reproduction(write_table(**changes), words)
    assert [plan.config.folds.seed for plan in ready.plans.values()] == [3, 4]
    assert not any("seed" in note for note in ready.notes)
    facts: dict[str, Any] = {
        "recording_id": ["r0", "r1"], "snippet": [0, 0], "subject_id": ["s0", "s1"],
        "item": ["finger_tapping"] * 2, "grade": [0, 3], "target": [0, 1],
    }  # fmt: skip
    groups = {"r0": "s0", "r1": "s1"}

    def compare(plan: Any, name: str, say: Any, note: Any) -> Comparison:
        note()
        origin = Origin(study=name, trial=0, fold=0, epoch=1, seed=plan.config.search.seed,
                        split="test")  # fmt: skip
        table = predictions_table(origin, facts, pd.DataFrame([[2.0, 0], [2.0, 0]]).to_numpy())
        return Comparison(tmp_path, {"one": table, "two": table}, False, {}, {}, groups)

    monkeypatch.setattr(reproduction, "run_comparison", compare)
    text, path = run_reproduction(ready, say=lambda line: None)
    assert next(line for line in text.splitlines() if line.startswith("One")).split()[1] == "0.500"
    assert "2 seeds" in text
    assert {one.name for one in path.parent.iterdir()} == {"scorings.csv", path.name}


def persons_of(tmp_path: Path, num_ill: int) -> list[str]:
    """Return words that name a manifest of six healthy subjects and some ill ones."""
    grades = [0] * 6 + [3] * num_ill
    rows = [f"r{n},S{n},finger_tapping,{grade},r{n}.mp4" for n, grade in enumerate(grades)]
    path = tmp_path / "persons.csv"
    path.write_text(
        "\n".join(["recording_id,subject_id,item,grade,video", *rows]), encoding="utf-8"
    )
    return [f"data.manifest={path}", f"output={tmp_path / 'out'}"]


def test_three_splits_of_one_ill_person_stand_beside_the_folds(
    write_table: Callable[..., Path], tmp_path: Path
) -> None:
    changes: dict[str, Any] = {"layout": "severity", "persons": True, "items": None}
    ready = plan_reproduction(write_table(**changes), persons_of(tmp_path, 4))
    assert list(ready.plans) == [
        Part("9.9", None, 0),
        *(Part(f"9.9-person{n}", None, 0, n) for n in range(3)),
    ]
    assert [plan.config.folds.person for plan in ready.plans.values()] == [None, 0, 1, 2]
    path, words = write_table(**changes), persons_of(tmp_path, 2)
    ready = plan_reproduction(path, words)
    assert list(ready.plans) == [Part("9.9", None, 0)]
    assert "there are 2 of 2 ill subjects and 6 healthy; they are left out" in ready.notes[1]
    given = plan_reproduction(path, [*words, "folds.from_split=true"])
    assert (
        "no splits that each test one ill person, since folds.* sets another split" in given.notes
    )


def test_weights_may_be_a_folder_of_an_embedding(
    write_table: Callable[..., Path], words: list[str], tmp_path: Path
) -> None:
    sound = {"modality": "waveform", "model.name": "audio_mlp", "optim.epochs": 1}
    changes: dict[str, Any] = {
        "settings": {},
        "runs": {"one": {}, "mae": {**sound, "embedding.folder": "weights.mae"}},
        "rows": {"One": {"": ["one"]}, "MAE": {"": ["mae"]}},
        "synthetic_runs": {},
        "from_scratch": True,
    }
    ready = plan_reproduction(write_table(**changes), words)
    assert ready.notes == ("mae is left out; to run it, set weights.mae=FILE",)
    ready = plan_reproduction(write_table(**changes), [*words, f"weights.mae={tmp_path}"])
    (plan,) = ready.plans.values()
    assert plan.fixed["mae"]["embedding.folder"] == str(tmp_path)


def test_a_seed_of_the_users_does_not_go_with_the_tables_own(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    path = write_table(seeds=3)
    with pytest.raises(SettingsError, match=r"search\.seed: the table itself runs seeds 0 to 2"):
        plan_reproduction(path, [*words, "search.seed=7"])


def test_what_a_table_says_of_itself_stands_beneath_it(
    write_table: Callable[..., Path], words: list[str]
) -> None:
    path = write_table(notes=["seen before"])
    assert plan_reproduction(path, words).notes[0] == "seen before"
    notes = plan_reproduction(path.rename(path.with_name("tapping.x.yaml")), words).notes
    assert "without a data-use statement of the people seen" in notes[-2]
    assert notes[-1] == "do not try to find out who any of these people are"
