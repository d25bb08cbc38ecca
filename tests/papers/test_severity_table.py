import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as reference

from pdray.evaluation.controls import Known
from pdray.evaluation.predictions import Origin, by_recording, predictions_table, probabilities
from pdray.papers.severity_table import Printed, Seed, in_two_steps, severity_table
from pdray.papers.table import COLUMNS

NUM, CLASSES = 60, 3
GRADES = np.arange(NUM) % CLASSES
SITES = {f"r{i}": "A" if i % 4 else "B" for i in range(NUM)}
PRINTED = Printed("Table 9", {}, frozenset(), False)


def predicted(seed: int, num_folds: int) -> pd.DataFrame:
    """A made-up model, its recordings dealt to folds."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(NUM, CLASSES)) + 1.5 * np.eye(CLASSES)[GRADES]
    tables = []
    for fold in range(num_folds):
        rows = [i for i in range(NUM) if i % num_folds == fold]
        facts = {
            "recording_id": [f"r{i}" for i in rows],
            "snippet": [0] * len(rows),
            "subject_id": [f"r{i}" for i in rows],
            "item": ["face_interview"] * len(rows),
            "grade": GRADES[rows].tolist(),
            "target": GRADES[rows].tolist(),
        }
        origin = Origin(study="s", trial=0, fold=fold, epoch=0, seed=seed, split="test")
        tables.append(by_recording(predictions_table(origin, facts, logits[rows])))
    return pd.concat(tables, ignore_index=True)


def seeds(num_folds: int = 1, sites: dict[str, str | None] | None = None) -> list[Seed]:
    learnt = {
        fold: [Known(int(k), "A" if n % 2 else "B") for n, k in enumerate([0, 0, 0, 1, 2, 0])]
        for fold in range(num_folds)
    }
    return [
        Seed({"Ours": predicted(number, num_folds)}, learnt, SITES if sites is None else sites)
        for number in range(3)
    ]


def cells(text: str) -> dict[str, list[str]]:
    rows = {}
    for line in text.splitlines()[3:]:
        if not line:
            break
        rows[line[:25].strip()] = line[25:].split()
    return rows


def test_scores_are_those_of_scikit_learn() -> None:
    lines = severity_table(PRINTED, seeds()).splitlines()
    assert lines[0] == "Table 9"
    row = next(line for line in lines if line.startswith("Ours")).split()[1:]
    found: list[list[float]] = []
    for seed in seeds():
        table = seed.tables["Ours"]
        shares, y = probabilities(table), table["target"].to_numpy()
        ill, guess = (y > 0).astype(int), shares.argmax(1)
        is_ill = (1 - shares[:, 0] > 0.5).astype(int)
        areas = [reference.roc_auc_score(y == k, shares[:, k]) for k in range(CLASSES)]
        found.append(
            [
                100 * np.mean(is_ill == ill),
                100 * np.mean(guess == y),
                reference.f1_score(ill, is_ill),
                reference.f1_score(y, guess, average="macro"),
                reference.f1_score(y, guess, average="weighted"),
                reference.roc_auc_score(ill, 1 - shares[:, 0]),
                np.mean(areas),
                reference.recall_score(ill, is_ill),
                np.mean((guess - y) ** 2),
            ]
        )
    mean, spread = np.mean(found, axis=0), np.std(found, axis=0, ddof=1)
    digits = [1, 1, *([2] * 7)]
    expected = [f"{a:.{d}f}+-{b:.{d}f}" for a, b, d in zip(mean, spread, digits, strict=True)]
    assert row == expected


def test_a_site_alone_and_the_site_alone_stand_beside_a_model() -> None:
    text = severity_table(PRINTED, seeds())
    rows = [line.split("  ")[0] or line.strip().split("  ")[0] for line in text.splitlines()]
    assert {"Ours", "only site A", "only site B", "baseline: frequencies"} <= set(rows)
    assert "baseline: site only" in rows
    inside = next(line for line in text.splitlines() if "only site B" in line).split()[3:]
    alone = []
    for seed in seeds():
        table = seed.tables["Ours"]
        kept = table[table["recording_id"].map(SITES) == "B"]
        ill = kept["target"] > 0
        alone.append(reference.roc_auc_score(ill, 1 - probabilities(kept)[:, 0]))
    heading = [name for *_, name in COLUMNS].index("AUROC 2")
    assert inside[heading] == f"{np.mean(alone):.2f}+-{np.std(alone, ddof=1):.2f}"
    constant = next(line for line in text.splitlines() if "baseline: frequencies" in line).split()
    assert constant[2 + heading] == "0.50+-0.00"


def test_one_site_or_none_has_no_control_of_sites() -> None:
    for sites in (dict.fromkeys(SITES, "synthetic"), dict.fromkeys(SITES)):
        text = severity_table(PRINTED, seeds(sites=sites))
        assert "baseline: frequencies" in text
        assert "site" not in text.replace("one versus rest", "")


def test_sites_that_tell_the_disease_are_scored_although_no_model_can_be_inside_one() -> None:
    apart = {f"r{i}": "A" if GRADES[i] else "B" for i in range(NUM)}
    learnt = {0: [Known(0, "B"), Known(0, "B"), Known(1, "A"), Known(2, "A")]}
    made = [Seed(one.tables, learnt, apart) for one in seeds()]
    text = severity_table(PRINTED, made)
    row = next(line for line in text.splitlines() if line.startswith("baseline: site only"))
    heading = [name for *_, name in COLUMNS].index("AUROC 2")
    assert row.split()[3 + heading] == "1.00+-0.00"
    assert "alone" not in text
    assert "no scores of single sites: no site has both healthy and ill recordings" in text


def test_recordings_that_name_no_site_are_told_and_do_not_hide_the_control() -> None:
    text = severity_table(PRINTED, seeds(sites={**SITES, "r0": None, "r1": None}))
    assert "baseline: site only" in text
    assert "no scores of single sites: 2 recordings have no site" in text


def test_a_score_of_a_seed_is_the_mean_over_its_folds() -> None:
    text = severity_table(PRINTED, seeds(num_folds=4))
    assert "of the mean over 4 folds" in text
    row = next(line for line in text.splitlines() if line.startswith("Ours")).split()[1:]
    means = []
    for seed in seeds(num_folds=4):
        table = seed.tables["Ours"]
        hits = probabilities(table).argmax(1) == table["target"]
        means.append(100 * hits.groupby(table["fold"]).mean().mean())
    assert row[1] == f"{np.mean(means):.1f}+-{np.std(means, ddof=1):.1f}"


def test_two_steps_change_the_decision_and_nothing_else() -> None:
    plain, stepwise = (
        next(
            line.split()[1:]
            for line in severity_table(
                Printed("T", {}, frozenset(names), False), seeds()
            ).splitlines()
            if line.startswith("Ours")
        )
        for names in ([], ["Ours"])
    )
    same = [one == other for one, other in zip(plain, stepwise, strict=True)]
    assert [heading for (*_, heading), is_same in zip(COLUMNS, same, strict=True) if not is_same]
    assert all(
        is_same
        for (metric, is_binary, _), is_same in zip(COLUMNS, same, strict=True)
        if is_binary or metric == "auroc"
    )


def test_the_papers_figures_stand_beneath_its_rows_and_where_ours_are_missing() -> None:
    paper = {"Ours": {"AUROC 2": "0.72+-0.02"}, "Audio": {"MSE K": "6.26"}, "Z": {}, "B": {}}
    text = severity_table(Printed("T", paper, frozenset(), True), seeds())
    lines = text.splitlines()
    assert "SYNTHETIC" in lines[0]
    published = [line.split() for line in lines if line.strip().startswith("paper")]
    assert published == [
        ["paper", "-", "-", "-", "-", "-", "0.72+-0.02", "-", "-", "-"],
        ["paper", "-", "-", "-", "-", "-", "-", "-", "-", "6.26"],
        ["paper", *["-"] * 9],
        ["paper", *["-"] * 9],
    ]
    assert [line.split()[0] for line in lines if line.startswith(("Audio", "Z", "B"))] == [
        "Audio",
        "Z",
        "B",
    ]
    assert next(line for line in lines if line.startswith("Audio")).split()[1:] == ["-"] * 9


def test_one_seed_has_no_spread_and_an_undefined_score_is_none() -> None:
    seed = seeds()[0]
    healthy = seed.tables["Ours"].query("target == 0").reset_index(drop=True)
    one = Seed({"Ours": healthy}, seed.learnt, dict.fromkeys(SITES))
    row = next(
        line.split()[1:]
        for line in severity_table(PRINTED, [one]).splitlines()
        if line.startswith("Ours")
    )
    assert "+-" not in " ".join(row)
    assert "in percent; one seed, of one split" in severity_table(PRINTED, [one])
    assert row[5] == row[7] == "-"  # no ill recording: no AUROC, no recall
    assert "no classes 1, 2" in severity_table(PRINTED, [one])


@pytest.mark.parametrize("num_folds", [1, 4])
def test_the_constant_learns_from_the_training_side_of_each_fold(num_folds: int) -> None:
    text = severity_table(PRINTED, seeds(num_folds))
    row = next(
        line.split() for line in text.splitlines() if line.startswith("baseline: frequencies")
    )
    assert row[2] == f"{100 * np.mean(GRADES == 0):.1f}+-0.0"  # four of six are healthy


def test_recordings_of_folds_that_are_too_small_are_scored_together() -> None:
    printed = Printed("T", {}, frozenset(), False, pooled=True)
    text = severity_table(printed, seeds(num_folds=30))
    assert "of all recordings of 30 folds" in text
    assert "are ranked together, although different fits scored them" in text
    assert "in some folds" not in text  # of two recordings, which lack classes
    row = next(line for line in text.splitlines() if line.startswith("Ours")).split()[1:]
    areas = []
    for seed in seeds(num_folds=30):
        table = seed.tables["Ours"]
        areas.append(reference.roc_auc_score(table["target"] > 0, 1 - probabilities(table)[:, 0]))
    assert row[5] == f"{np.mean(areas):.2f}+-{np.std(areas, ddof=1):.2f}"


def test_splits_of_one_ill_person_each_stand_below_a_row_and_its_controls() -> None:
    pooled = Printed("T", {}, frozenset(), False, pooled=True)
    persons = [Seed(one.tables, one.learnt, SITES) for one in seeds()]
    text = severity_table(pooled, seeds(num_folds=30)[:1], persons)
    lines = text.splitlines()
    places = [
        at for at, line in enumerate(lines) if line.startswith("  3 splits, one ill person each")
    ]
    assert [lines[at - 1].split("  ")[0] for at in places[1:]] == [
        "baseline: frequencies", "baseline: site only"
    ]  # fmt: skip
    alone = next(
        line for line in severity_table(PRINTED, persons).splitlines() if line[:4] == "Ours"
    )
    assert lines[places[0]].split()[6:] == alone.split()[1:]
    ill = int((GRADES > 0).sum())
    assert f"a share of the healthy people, {', '.join([f'60 ({ill} ill)'] * 3)} recordings" in text
    assert "splits" not in severity_table(pooled, seeds(num_folds=30)[:1])


def shares_of(*shares: tuple[float, ...]) -> pd.DataFrame:
    columns = {f"probability_{k}": column for k, column in enumerate(zip(*shares, strict=True))}
    return pd.DataFrame({"recording_id": [f"r{i}" for i in range(len(shares))], **columns})


@pytest.mark.parametrize(
    ("shares", "decided"),
    [
        ((0.4, 0.2, 0.25, 0.15), 2),  # ill, though health is likelier than any grade
        ((0.5, 0.1, 0.1, 0.3), 3),  # just as likely ill as healthy: ill
        ((0.51, 0.0, 0.0, 0.49), 0),
        ((0.2, 0.4, 0.4, 0.0), 1),  # the lower one
    ],
)
def test_disease_is_asked_first(shares: tuple[float, ...], decided: int) -> None:
    table = in_two_steps(shares_of(shares))
    np.testing.assert_array_equal(probabilities(table), np.eye(4)[[decided]])
    assert table["recording_id"].tolist() == ["r0"]


def test_two_classes_are_decided_by_the_one_question() -> None:
    decided = probabilities(in_two_steps(shares_of((0.6, 0.4), (0.3, 0.7)))).argmax(axis=1)
    assert decided.tolist() == [0, 1]
