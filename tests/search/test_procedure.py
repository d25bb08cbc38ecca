"""A study that searched in outer folds: its numbers are those of the whole procedure."""

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from jobs.compare import main as compare
from jobs.evaluate import main
from pdray.config import build
from pdray.evaluation.predictions import Origin, predictions_table, write_predictions
from pdray.search.procedure import report_outer
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog
from pdray.tracking.withdrawn import Mark, write_mark
from tests.checks.cases import cohort_of, make_case
from tests.evaluation.procedure_checker import check_procedure, report_faults

SYNTHETIC = {"synthetic": "true", "manifest_digest": "d" * 64}
SETTINGS = {"search": {"metric": "mcc", "seed": 3}, "data": {"manifest": "/data/manifest.csv"}}


def predicted(people: Sequence[int], origin: Origin, shift: float) -> pd.DataFrame:
    """Return two recordings for each subject, whose class is its number's last bit."""
    draws = np.random.default_rng([origin.outer_fold, origin.repeat, len(people)])
    rows = [(s, r) for s in people for r in range(2)]
    target = [s % 2 for s, _ in rows]
    logits = draws.normal(size=(len(rows), 2)) * 0.7
    logits[np.arange(len(rows)), target] += 1.0
    logits[:, 1] += shift
    columns = {
        "recording_id": [f"S{s:02}_{r}" for s, r in rows],
        "snippet": [0] * len(rows),
        "subject_id": [f"S{s:02}" for s, _ in rows],
        "item": ["gait"] * len(rows),
        "grade": [2 * k for k in target],
        "target": target,
    }
    return predictions_table(origin, columns, logits)


def outer_search(log: StudyLog, sides: tuple[list[int], list[int]], place: tuple[int, int]) -> None:
    """Write the search of one outer fold; its winner is trial 3."""
    log.start(name=f"made-{log.folder.name}", settings=SETTINGS, tags=SYNTHETIC)
    (learnt, held), (repeat, fold) = sides, place
    shift = 0.8 * (fold % 3 - 1)  # models of different folds are not on one scale
    for trial, rows, origin in (
        (log.trial(3), learnt, Origin(study="x", trial=3, fold=0, epoch=0, outer_fold=fold)),
        (log.winner, held,
         Origin(study="x", trial=3, fold=-1, epoch=0, outer_fold=fold, split="test")),
    ):  # fmt: skip
        trial.start(number=3, num_epochs=1, params={}, settings={})
        trial.finish(state="complete", value=0.6 + fold / 100, chosen_epoch=0)
        table = predicted(rows, origin, shift)
        write_predictions(table.assign(seed=100 * repeat + fold), trial.predictions_path)
    log.finish(state="complete", best=3)


def make_study(output: Path, *, num_folds: int, repeats: int = 1, num_people: int = 20) -> StudyLog:
    study = StudyLog(output / "studies" / "made")
    study.start(name="made", settings=SETTINGS, tags=SYNTHETIC)
    tables = []
    for repeat in range(repeats):
        order = np.random.default_rng(repeat).permutation(num_people).tolist()
        for fold in range(num_folds):
            held = sorted(order[fold::num_folds])
            log = study.outer(f"{repeat}-{fold:02}" if repeats > 1 else f"{fold:02}")
            sides = [s for s in range(num_people) if s not in held], held
            outer_search(log, sides, (repeat, fold))
            table = pd.read_parquet(log.winner.predictions_path)
            tables.append(table.assign(study="made", seed=3, repeat=repeat))
    write_predictions(pd.concat(tables, ignore_index=True), study.pooled_path)
    study.finish(state="complete", best=0)
    return study


@pytest.mark.parametrize(
    ("shape", "cut"),
    [
        ({"num_folds": 3}, "mcc"),
        ({"num_folds": 3, "repeats": 2}, "highest"),
        ({"num_folds": 14, "num_people": 14}, "highest"),
    ],
    ids=["nested", "repeated", "leave one subject out"],
)
def test_every_number_of_a_procedure_is_right(
    shape: dict[str, int], cut: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path, **shape)
    assert main([f"study={study.folder}", f"decision.threshold={cut}"]) == 0
    folder = tmp_path / "evaluation" / "made"
    assert check_procedure(study.folder, folder, cut=cut) == []
    numbers = pd.read_csv(folder / "numbers.csv").set_index(["table", "group", "metric"])
    assert numbers.index[0][0] == "procedure"
    assert (folder / "report.txt").read_text(encoding="utf-8") in capsys.readouterr().out
    recordings = cohort_of(shape.get("num_people", 20), recording_id=lambda s, r: f"S{s:02}_{r}")
    case = make_case(tmp_path, recordings)
    plan: Any = SimpleNamespace(config=build(StudyConfig, case.config))
    text = report_outer(plan, case.cohort, study, "board")
    assert list(report_faults(study.folder, text.split("\n"))) == []
    assert (study.folder / "report.txt").read_text(encoding="utf-8") == f"board\n\n{text}\n"


def test_two_procedures_are_compared_on_everybody(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    studies = [make_study(tmp_path / name, num_folds=3, repeats=2) for name in ("one", "two")]
    words = [str(one.folder) for one in studies]
    assert compare([*words, f"output={tmp_path}", "compare.metrics=[mcc,auroc]"]) == 0
    told = capsys.readouterr().out
    assert "40 recordings, scored 2 times each at most, of 20 subjects" in " ".join(told.split())
    numbers = pd.read_csv(tmp_path / "comparisons" / "made-made" / "comparison.csv")
    assert numbers.loc[numbers["table"] == "difference", "value"].tolist() == [0.0, 0.0]


def test_outer_folds_whose_subjects_have_all_withdrawn_are_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path, num_folds=14, num_people=14)
    pooled = pd.read_parquet(study.pooled_path)
    write_predictions(pooled[pooled["outer_fold"] != 2], study.pooled_path)
    write_mark(study.folder, "8210e0da", Mark("2026-11-30", ("refit",)))
    assert main([f"study={study.folder}"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "in 13 outer folds" in told
    assert "26 recordings of 13 subjects" in told
    assert "a subject has withdrawn (2026-11-30)" in told
    write_predictions(pooled[:0], study.pooled_path)
    assert main([f"study={study.folder}"]) == 2
    assert "no outer fold has predictions left" in capsys.readouterr().err


def test_an_outer_fold_is_a_study_of_the_same_output_folder(tmp_path: Path) -> None:
    study = make_study(tmp_path, num_folds=3)
    assert main([f"study={study.outer('01').folder}"]) == 0
    assert (tmp_path / "evaluation" / "made-01" / "numbers.csv").is_file()
