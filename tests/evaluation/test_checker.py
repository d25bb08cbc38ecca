"""Every number of an evaluation is computed a second time, by code that shares nothing with it."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jobs.evaluate import main
from tests.evaluation.checker import check_evaluation, read_rows

Table = Callable[..., pd.DataFrame]
LEVELS = "[snippet,visit,subject]"


def clinic(
    *, num_subjects: int = 13, num_classes: int = 5, folds: int = 1, seed: int = 0
) -> pd.DataFrame:
    """Return SYNTHETIC predictions with every column: two items, states, visits, three raters."""
    draws = np.random.default_rng(seed)
    rows = []
    for s in range(num_subjects):
        ill = draws.normal()
        for item in ("gait", "finger_tapping"):
            for visit, state, repeat in (("V1", "off", 0), ("V1", "on", 0), ("V2", "on", 0),
                                         ("V2", "on", 1)):  # fmt: skip
                true = 2 + 1.2 * ill - 0.7 * (state == "on") + 0.4 * draws.normal()
                raters = np.clip(np.round(true + 0.6 * draws.normal(size=3)), 0, 4)
                grade = int(np.clip(np.round(true), 0, 4))
                levels = np.linspace(0, 4, num_classes)
                share = np.exp(-((levels - true - 0.8 * draws.normal()) ** 2) / 3) + 1e-3
                share /= share.sum()
                rows.append({
                    "recording_id": f"S{s:02}_{item}_{visit}_{state}_{repeat}",
                    "subject_id": f"S{s:02}", "item": item, "visit_id": visit,
                    "side": None if item == "gait" else "left", "medication_state": state,
                    "sex": ("female", "male")[s % 2], "fold": s % folds, "grade": grade,
                    "target": grade if num_classes == 5 else int(grade >= 2),
                    **{f"rater_{n + 1}": None if draws.random() < 0.05 else raters[n]
                       for n in range(3)},
                    **{f"probability_{k}": share[k] for k in range(num_classes)},
                })  # fmt: skip
    return pd.DataFrame(rows)


def snippets(table: pd.DataFrame) -> pd.DataFrame:
    """Return two rows per recording, of a two-class table with few columns."""
    shift = 0.05 * np.sin(np.arange(len(table)))
    ill = table["probability_1"].clip(0.1, 0.9)
    keep = table[["recording_id", "subject_id", "target"]]
    parts = [keep.assign(snippet=n, probability=ill + (2 * n - 1) * shift) for n in (0, 1)]
    return pd.concat(parts, ignore_index=True)


TABLES = {
    "grades": lambda: clinic(),
    "two classes in folds": lambda: clinic(num_classes=2, folds=3),
    "few columns": lambda: snippets(clinic(num_classes=2)),
    "few people": lambda: clinic(num_subjects=5, num_classes=2),
    "two seeds": lambda: pd.concat(
        [clinic(num_classes=2, folds=2).assign(seed=0),
         clinic(num_classes=2, folds=2).assign(seed=1, probability_0=0.4, probability_1=0.6)]
    ),
    "one class": lambda: clinic(num_subjects=4, num_classes=2).assign(target=1),
    "constant model": lambda: clinic(num_classes=2).assign(probability_0=0.75, probability_1=0.25),
    "raters who agree": lambda: clinic().assign(rater_1=2, rater_2=2, rater_3=2),
    "perfect": lambda: clinic(num_classes=2).pipe(
        lambda table: table.assign(probability_0=1.0 - table["target"],
                                   probability_1=1.0 * table["target"])
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_every_number_is_right(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "predictions.csv"
    TABLES[name]().to_csv(path, index=False)
    assert main([f"table={path}", f"output={tmp_path}", f"report.levels={LEVELS}"]) == 0
    folder = tmp_path / "evaluation" / "predictions"
    faults = check_evaluation(
        folder, read_rows(path), title="predictions.csv", levels=("snippet", "visit", "subject")
    )
    assert faults == []
    assert (folder / "report.txt").read_text(encoding="utf-8") in capsys.readouterr().out


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Return a table, and the folder of its evaluation with the text of the report."""
    folder = tmp_path_factory.mktemp("right")
    path = folder / "predictions.csv"
    clinic(num_subjects=6, num_classes=2).to_csv(path, index=False)
    assert main([f"table={path}", f"output={folder}"]) == 0
    return path, (folder / "evaluation/predictions/report.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"(  mcc +)(-?\d)\.(\d)(\d\d)", r"\1\2.9\4", "'mcc')"),
        (r"( recordings of )6( subjects\n  score)", r"\g<1>7\2", "rows, subjects"),
        (r"(class 1: )\d+", r"\g<1>47", "head"),
        (r"  auroc .*\n", "", "is not printed"),
        (r"(for an interval: )6", r"\g<1>5", "False, expected True"),
        (r"\nnote: ", "\nnote: 93% of all are right\nnote: ", "a number that is not known"),
        (r"(who weigh\s+equally; in )\d+", r"\g<1>77", "change"),
        (r"Cox 1958", "Cox 1958 and 7", "a number that is not known"),
    ],
)
def test_a_wrong_or_unknown_number_is_found(
    old: str, new: str, told: str, right: tuple[Path, str], tmp_path: Path
) -> None:
    path, text = right
    numbers = path.parent / "evaluation" / "predictions" / "numbers.csv"
    (tmp_path / "numbers.csv").write_bytes(numbers.read_bytes())
    wrong = re.sub(old, new, text, count=1)
    assert wrong != text
    (tmp_path / "report.txt").write_text(wrong, encoding="utf-8")
    faults = check_evaluation(tmp_path, read_rows(path), title="predictions.csv")
    assert any(told in fault for fault in faults)


def test_a_wrong_number_of_the_table_is_found(right: tuple[Path, str], tmp_path: Path) -> None:
    path, text = right
    numbers = pd.read_csv(path.parent / "evaluation" / "predictions" / "numbers.csv")
    numbers.loc[3, "value"] += 1e-4
    numbers.iloc[:-1].to_csv(tmp_path / "numbers.csv", index=False)
    (tmp_path / "report.txt").write_text(text, encoding="utf-8")
    faults = check_evaluation(tmp_path, read_rows(path), title="predictions.csv")
    assert [fault.rpartition(": ")[2][:5] for fault in faults] == ["value", "is mi"]
