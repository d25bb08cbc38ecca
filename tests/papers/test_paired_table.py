from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import FoldSides
from pdray.evaluation.controls import Known
from pdray.evaluation.predictions import Origin, by_recording, predictions_table
from pdray.papers.baseline_rows import baseline_rows
from pdray.papers.paired_table import paired_table
from pdray.papers.rater_rows import rater_block
from pdray.papers.table import PaperTable
from pdray.search.comparison import Comparison

NUM = 80
Y = np.arange(NUM) % 2
SITES = {f"r{n}": "A" if n % 4 < 2 else "B" for n in range(NUM)}
PEOPLE = {f"r{n}": f"S{n // 2 * 2 + n % 2}" for n in range(NUM)}


def predicted(noise: float, seed: int, below: float | None = None) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ill = 1 / (1 + np.exp(-2 * (Y - 0.5) - rng.normal(0, noise, NUM)))
    tables = []
    for fold in range(2):
        rows = [n for n in range(NUM) if n // 4 % 2 == fold]
        facts = {
            "recording_id": [f"r{n}" for n in rows], "snippet": [0] * len(rows),
            "subject_id": [PEOPLE[f"r{n}"] for n in rows], "item": ["face_interview"] * len(rows),
            "grade": Y[rows].tolist(), "target": Y[rows].tolist(),
        }  # fmt: skip
        if below is not None:
            facts["withheld_below"] = [below] * len(rows)
        shares = np.stack([1 - ill[rows], ill[rows]], axis=1)
        origin = Origin(study="s", trial=0, fold=fold, epoch=0, seed=seed, split="test")
        tables.append(by_recording(predictions_table(origin, facts, np.log(shares), shares)))
    return pd.concat(tables, ignore_index=True)


def table_of(**changes) -> PaperTable:
    return PaperTable(
        title="T", layout="paired", metrics=("auroc",), reference="Face", settings={},
        runs={}, rows={}, paper={"Fused": {"auroc": "0.93 (845 people)"}}, **changes,
    )  # fmt: skip


def cells(text: str) -> dict[str, list[str]]:
    lines = text.split("\n\n")[1].splitlines()
    starts = [lines[0].index(name) for name in lines[0].split("  ") if name.strip()]
    return {line[: starts[0]].strip(): line[starts[0] :].split("  ") for line in lines}


def printed(**rows: pd.DataFrame) -> str:
    return paired_table(table_of(), rows, places=SITES, groups=PEOPLE, synthetic=False)


def inside(table: pd.DataFrame, columns: list[str]) -> float:
    """Return the AUROC of pairs that agree in columns."""
    pairs = total = 0.0
    for _, rows in table.assign(site=table["recording_id"].map(SITES)).groupby(columns):
        ill = int(rows["target"].sum())
        weight = ill * (len(rows) - ill)
        if weight:
            pairs += weight * roc_auc_score(rows["target"], rows["probability_1"])
            total += weight
    return pairs / total


def test_scores_and_differences_are_of_pairs_of_one_network_and_one_site() -> None:
    face, fused = predicted(2.0, 0), predicted(1.2, 0, below=0.7)
    text = printed(Face=face, Fused=fused)
    auroc = {name: inside(one, ["fold"]) for name, one in (("Face", face), ("Fused", fused))}
    within = {
        name: inside(one, ["fold", "site"]) for name, one in (("Face", face), ("Fused", fused))
    }
    found = {name: " ".join(row) for name, row in cells(text).items()}
    for name in auroc:
        assert f"{auroc[name]:.3f} [" in found[name]
        assert f"{within[name]:.3f} [" in found[name]
    assert f"{auroc['Fused'] - auroc['Face']:.3f} [" in found["Fused"]
    wrong = (fused["probability_1"] > 0.5).astype(int) != fused["target"]
    given = fused[["probability_0", "probability_1"]].max(axis=1) >= 0.7
    assert f"{given.mean():.3f}" in found["Fused"]
    assert f"{wrong[given].mean():.3f}" in found["Fused"]
    assert "0.93 (845 people)" in text
    assert "over 80 subjects of these predictions" in text


def test_the_interval_counts_groups_that_stand_for_people() -> None:
    face = predicted(1.0, 0)
    few = {name: f"g{int(name[1:]) // 8 * 2 + int(name[1:]) % 2}" for name in PEOPLE}
    many, fewer = (
        paired_table(table_of(), {"Face": face}, places={}, groups=groups, synthetic=False)
        for groups in (PEOPLE, few)
    )
    assert "20 groups of alike recordings" in fewer
    assert cells(many)["Face"][0].split()[0] == cells(fewer)["Face"][0].split()[0]
    assert cells(many)["Face"] != cells(fewer)["Face"]


def test_a_reference_that_is_no_row_is_refused(tmp_path) -> None:
    from pdray.errors import SettingsError
    from pdray.papers.table import read_table

    path = tmp_path / "t.yaml"
    path.write_text(
        "title: T\nlayout: paired\nmetrics: [auroc]\nreference: Fce\nsettings: {}\n"
        "runs: {one: {}}\nrows: {Face: {'': [one]}}\n", encoding="utf-8",
    )  # fmt: skip
    with pytest.raises(SettingsError, match=r"reference: there is no row 'Fce'; use one of: Face"):
        read_table(path)


def grades(seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    y = np.arange(NUM) % 3
    shares = rng.dirichlet(np.ones(3), NUM) + np.eye(3)[y] / 2
    shares /= shares.sum(axis=1, keepdims=True)
    facts = {
        "recording_id": [f"r{n}" for n in range(NUM)], "snippet": [0] * NUM,
        "subject_id": [PEOPLE[f"r{n}"] for n in range(NUM)], "item": ["gait"] * NUM,
        "grade": y.tolist(), "target": y.tolist(), "rater_1": y.astype(float).tolist(),
        "rater_2": (2.0 - y).tolist(),
    }  # fmt: skip
    origin = Origin(study="s", trial=0, fold=0, epoch=0, seed=seed, split="test")
    return by_recording(predictions_table(origin, facts, np.log(shares), shares))


def test_grades_are_also_scored_as_numbers() -> None:
    table = PaperTable(title="T", layout="paired", metrics=("mae",), settings={}, runs={}, rows={})
    one = grades(0)
    text = paired_table(table, {"Gait": one}, places={}, groups=PEOPLE, synthetic=False)
    mean = one[["probability_1", "probability_2"]].to_numpy() @ [1, 2]
    row = " ".join(cells(text)["Gait"])
    assert f"{np.abs(mean - one['target']).mean():.3f} [" in row
    assert f"{np.corrcoef(mean, one['target'])[0, 1]:.3f} [" in row


def test_raters_and_models_stand_beside_the_same_grades() -> None:
    lines = rater_block({"Gait": grades(0)}, (1,))
    found = {line.partition("  ")[0]: line.split("  ")[1:] for line in lines[2:]}
    assert "rater_1 with rater_2" in found
    own = next(cells for name, cells in found.items() if name.startswith("rater_2 against the gr"))
    assert float("".join(own).split()[0]) == pytest.approx(
        2 * np.mean(np.arange(NUM) % 3 != 1), abs=1e-3
    )
    assert any(name == "Gait against the grade" for name in found)


def test_baselines_look_at_no_recording_but_at_site_age_and_sex() -> None:
    recordings = tuple(
        Recording(
            recording_id=f"r{n}", subject_id=PEOPLE[f"r{n}"], item="face_interview",
            grade=int(Y[n]), site=SITES[f"r{n}"], age=60.0 + 20 * int(Y[n]),
        )
        for n in range(NUM)
    )  # fmt: skip
    in_fold = [[n for n in range(NUM) if n // 4 % 2 == fold] for fold in range(2)]
    sides = tuple(FoldSides(tuple(in_fold[1 - fold]), tuple(in_fold[fold])) for fold in range(2))
    learnt = {
        fold: [Known(int(Y[n]), SITES[f"r{n}"]) for n in in_fold[1 - fold]] for fold in range(2)
    }
    found = Comparison(
        Path(), {}, False, learnt, SITES, PEOPLE, recordings, tuple(Y.tolist()), sides
    )
    rows = dict(baseline_rows([found], [predicted(1.0, 0)]))
    assert list(rows) == [
        "baseline: class frequencies", "baseline: site alone", "baseline: age alone",
    ]  # fmt: skip
    assert inside(rows["baseline: class frequencies"], ["fold"]) == 0.5
    assert inside(rows["baseline: age alone"], ["fold"]) == 1.0


def test_a_row_may_have_a_reference_of_its_own() -> None:
    rows = {"Face": predicted(2.0, 0), "Other": predicted(3.0, 0), "Fused": predicted(1.2, 0)}
    table = table_of(references={"Fused": "Other", "Other": "Other"})
    text = paired_table(table, rows, places=SITES, groups=PEOPLE, synthetic=False)
    auroc = {name: inside(one, ["fold"]) for name, one in rows.items()}
    lines = {line.split("  ")[0]: line for line in text.splitlines()}
    assert f"{auroc['Fused'] - auroc['Other']:.3f} [" in lines["Fused"]
    assert f"{auroc['Fused'] - auroc['Face']:.3f} [" not in lines["Fused"]
    assert lines["Other"].split()[-2:] == ["-", "-"]
    assert "ref.: Face; of Fused: Other; differences are of the same predictions, paired" in text
