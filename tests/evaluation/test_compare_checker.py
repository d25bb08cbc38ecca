"""Every number that a comparison prints or writes is recomputed by independent code."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.settings import CompareConfig
from pdray.search.compare_settings import CompareStudiesConfig
from pdray.search.compare_studies import compare_studies
from tests.evaluation.compare_checker import check
from tests.fixtures.compared import predictions

ALL = ("obuchowski", "clustered_mcnemar", "mcnemar", "corrected_t")


def compared(tmp_path: Path, tables: dict[str, pd.DataFrame], **said: Any) -> Path:
    for name, table in tables.items():
        table.to_csv(tmp_path / f"{name}.csv", index=False)
    files = tuple(tmp_path / f"{name}.csv" for name in tables)
    compare_studies(
        CompareStudiesConfig(
            studies=files, compare=CompareConfig(**said), name="x", output=tmp_path / "out"
        )
    )
    return tmp_path / "out" / "comparisons" / "x"


def three_classes(table: pd.DataFrame) -> pd.DataFrame:
    ill = table["probability_1"]
    number = np.arange(len(table)) % 3
    return table.assign(
        target=number, grade=number, probability_0=(1 - ill) * 0.7, probability_1=0.3,
        probability_2=1 - (1 - ill) * 0.7 - 0.3, logit_2=0.0,
    )  # fmt: skip


def case(name: str) -> dict[str, pd.DataFrame]:
    kinds: dict[str, dict[str, Any]] = {
        "every exchange": {"people": 12},
        "random exchanges": {"people": 30, "each": 2},
        "one row each": {"people": 12, "each": 1},
        "folds": {"people": 12, "folds": 3},
        "too few": {"people": 8},
        "three classes": {"people": 15, "each": 1},
    }
    tables = {
        f"m{place}": predictions(skill, seed=place, **kinds.get(name, {"people": 12, "folds": 3}))
        for place, skill in enumerate((2.5, 0.5))
    }
    if name == "three classes":
        return {one: three_classes(table) for one, table in tables.items()}
    if name == "repeated folds and snippets":
        return {
            one: pd.concat(
                [
                    *(table.assign(seed=seed, probability_1=p, probability_0=1 - p)
                      for seed in range(2) for p in [table["probability_1"] ** (1 + seed)]),
                    table.assign(snippet=1, seed=1),
                ]
            )
            for one, table in tables.items()
        }  # fmt: skip
    return tables


@pytest.mark.parametrize(
    "name",
    ["every exchange", "random exchanges", "one row each", "folds", "repeated folds and snippets",
     "too few", "three classes"],
)  # fmt: skip
def test_every_number_is_recomputed(tmp_path: Path, name: str) -> None:
    tables = case(name)
    is_random = name in ("random exchanges", "three classes")  # each of 9,999 is recomputed
    metrics = ("mcc",) if is_random else ("mcc", "auroc", "mae")
    folder = compared(tmp_path, tables, metrics=metrics, margin=0.1, secondary=ALL)
    assert check(tables, folder, margin=0.1) >= (9 if name == "too few" else 15)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, pd.DataFrame], Path]:
    tables = case("folds")
    secondary = ("corrected_t",)
    place = tmp_path_factory.mktemp("made")
    return tables, compared(place, tables, metrics=("mcc",), secondary=secondary)


@pytest.mark.parametrize(
    ("column", "change"),
    [("value", 0.01), ("low", -0.01), ("p", 0.001), ("p_holm", 0.001), ("statistic", 0.01)],
)
def test_a_changed_number_is_found(made: Any, tmp_path: Path, column: str, change: float) -> None:
    tables, folder = made[0], shutil.copytree(made[1], tmp_path / "x")
    table = pd.read_csv(folder / "comparison.csv")
    table.loc[table[column].last_valid_index(), column] += change
    table.to_csv(folder / "comparison.csv", index=False)
    with pytest.raises(AssertionError, match=column):
        check(tables, folder)


def test_a_changed_digit_of_the_report_is_found(made: Any, tmp_path: Path) -> None:
    tables, folder = made[0], shutil.copytree(made[1], tmp_path / "x")
    check(tables, folder)
    report = folder / "comparison.txt"
    value = pd.read_csv(folder / "comparison.csv")["value"].iloc[-1]
    report.write_text(report.read_text().replace(f"{value:.3f}", f"{value + 0.001:.3f}"))
    with pytest.raises(AssertionError, match="not in comparison"):
        check(tables, folder)
