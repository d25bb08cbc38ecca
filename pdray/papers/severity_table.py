"""Layout of YouTubePD's tables: ill or healthy, and all severity classes.

The score of a seed is the mean over its folds. The table shows the mean over seeds and the sample
SD, as YouTubePD does for its five runs. Below each row are its scores on the recordings of each
site alone, and the paper's figures. The last rows are baselines that use no picture: guessing by
the class frequencies of the training recordings, of all or of the same site (``controls.py``).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from pdray.evaluation.controls import (
    Known,
    as_binary,
    constant_control,
    group_control,
    mixed_groups,
    within_group,
)
from pdray.evaluation.metrics import METRICS, absent_classes, score
from pdray.evaluation.predictions import num_classes, probabilities, targets
from pdray.evaluation.report import absent_note, aligned, headline
from pdray.papers.table import COLUMNS

_LEGEND = (
    "2: healthy or ill, P(ill) = 1 - p_0, F1 and recall of class ill; K: {classes} classes; Top-1 "
    "in percent; {seeds}, of {folds}",
    "AUROC K: one versus rest, mean over the classes that are present",
)
CONTROLS = ("baseline: frequencies", "baseline: site only")
_NOTHING = "-"
_PERSONS = "  {} splits, one ill person each"


@dataclass(frozen=True)
class Seed:
    """Results of one seed.

    Attributes:
        tables: By row label, a table from ``by_recording`` or ``fuse``, one row per (fold,
            recording).
        learnt: By fold, facts about the training recordings.
        sites: Site of each recording by id; None if the manifest names none.
    """

    tables: Mapping[str, pd.DataFrame]
    learnt: Mapping[int, Sequence[Known]]
    sites: Mapping[str, str | None]


@dataclass(frozen=True)
class Printed:
    """Texts and options of a printed table.

    Attributes:
        title: Title of the table.
        paper: The paper's figures by row label and column heading, as printed there.
        two_steps: Rows whose class is decided in two steps (:func:`in_two_steps`).
        synthetic: Whether the cohort is synthetic.
        pooled: Whether the recordings of all folds are scored together.
    """

    title: str
    paper: Mapping[str, Mapping[str, str]]
    two_steps: frozenset[str]
    synthetic: bool
    pooled: bool = False


def severity_table(printed: Printed, seeds: Sequence[Seed], persons: Sequence[Seed] = ()) -> str:
    """Return a table as text: rows, their sites, the paper's figures and the baselines.

    Args:
        printed: Texts and options.
        seeds: At least one, all with the same rows.
        persons: Splits that each test one ill person, with the same rows; or none.

    Returns:
        Lines of text.
    """
    labels = list(seeds[0].tables)
    sites = _shown_sites(seeds[0])
    body = [["", *(heading for _, _, heading in COLUMNS)]]
    for label in labels:
        stepwise = label in printed.two_steps
        body.append(
            [label, *_scores([one.tables[label] for one in seeds], stepwise, printed.pooled)]
        )
        for site in sites:
            alone = [within_group(one.tables[label], one.sites, site) for one in seeds]
            body.append([f"  only site {site}", *_scores(alone, stepwise, printed.pooled)])
        if persons:
            split = [one.tables[label] for one in persons]
            body.append([_PERSONS.format(len(split)), *_scores(split, stepwise, pooled=False)])
        if label in printed.paper:
            body.append(["  paper", *_published(printed.paper[label])])
    for label, control in zip(CONTROLS, controls_of(seeds[0]), strict=False):
        made = [control_table(one, one.tables[labels[0]], control) for one in seeds]
        body.append([label, *_scores(made, False, printed.pooled)])
        if persons:
            split = [control_table(one, one.tables[labels[0]], control) for one in persons]
            body.append([_PERSONS.format(len(split)), *_scores(split, False, pooled=False)])
    for label in [name for name in printed.paper if name not in labels]:
        body += [[label, *([_NOTHING] * len(COLUMNS))]]
        body += [["  paper", *_published(printed.paper[label])]]
    table = seeds[0].tables[labels[0]]
    folds = table["fold"].nunique()
    given = {
        "classes": num_classes(table),
        "seeds": f"mean+-SD over {len(seeds)} seeds" if len(seeds) > 1 else "one seed",
        "folds": _shown_folds(folds, printed.pooled),
    }
    title = headline(printed.title, printed.synthetic)
    legend = [line.format(**given) for line in _LEGEND]
    notes = [*_notes(printed, seeds, labels), *_person_notes(persons)]
    return "\n".join([title, "", *aligned(body), "", *legend, *notes])


def in_two_steps(table: pd.DataFrame) -> pd.DataFrame:
    """Give the decided class probability 1: ill if ``1 - p_0`` is at least 0.5, then the grade.

    The grade is the likeliest one above 0, the lower one on a tie. A model that shares the
    probability of disease among its grades rarely gives one grade more than class 0, so its
    likeliest class is mostly 0. Decided in two steps, it predicts a grade whenever it finds
    disease.

    Args:
        table: Predictions with ``probability_0..K-1``.

    Returns:
        The same rows. Scores of ranked probabilities, such as AUROC, are those of the decision.
    """
    shares = probabilities(table)
    grade = 1 + shares[:, 1:].argmax(axis=1)
    decided = np.where(1 - shares[:, 0] >= 0.5, grade, 0)
    given = np.eye(num_classes(table))[decided]
    return table.assign(**{f"probability_{k}": given[:, k] for k in range(given.shape[1])})


def _shown_folds(count: int, pooled: bool) -> str:
    if count == 1:
        return "one split"
    return f"all recordings of {count} folds" if pooled else f"the mean over {count} folds"


def _scores(tables: Sequence[pd.DataFrame], stepwise: bool, pooled: bool) -> list[str]:
    """Return the cells of a row."""
    cells = []
    for metric, is_binary, _ in COLUMNS:
        of_seeds = []
        for table in tables:
            seen = as_binary(table) if is_binary else table
            if stepwise and not is_binary and metric != "auroc":
                seen = in_two_steps(seen)
            of_seeds.append(_seed_score(seen, metric, pooled))
        cells.append(_shown(of_seeds, METRICS[metric].is_share and metric == "accuracy"))
    return cells


def _seed_score(table: pd.DataFrame, metric: str, pooled: bool) -> float:
    """Return the score of all rows, or the mean over the folds with a defined score."""
    parts = [table] if pooled else [rows for _, rows in table.groupby("fold")]
    scores = [score(metric, targets(rows), probabilities(rows)) for rows in parts]
    defined = [value for value in scores if not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def _shown(values: Sequence[float], is_percent: bool) -> str:
    if any(math.isnan(value) for value in values):
        return _NOTHING
    scale, digits = (100, 1) if is_percent else (1, 2)
    spread = f"+-{scale * np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{scale * np.mean(values):.{digits}f}{spread}"


def _published(figures: Mapping[str, str]) -> list[str]:
    return [figures.get(heading, _NOTHING) for _, _, heading in COLUMNS]


def _shown_sites(seed: Seed) -> list[str]:
    """Return the sites with healthy and ill recordings, if there are several sites."""
    return mixed_groups(next(iter(seed.tables.values())), seed.sites)


def _sites(seed: Seed) -> pd.Series:
    """Return the site of each row; NaN if it has none."""
    return next(iter(seed.tables.values()))["recording_id"].map(seed.sites)


def controls_of(seed: Seed) -> list[Callable[..., pd.DataFrame]]:
    """Return the baselines, as :data:`CONTROLS`; recordings without a site form a group."""
    has_sites = _sites(seed).nunique(dropna=False) > 1
    return [constant_control, group_control] if has_sites else [constant_control]


def control_table(
    seed: Seed, table: pd.DataFrame, control: Callable[..., pd.DataFrame]
) -> pd.DataFrame:
    """Return the predictions of a baseline for the rows of a table."""
    more = (seed.sites,) if control is group_control else ()
    made = []
    for fold, learnt in seed.learnt.items():
        rows = table[table["fold"] == fold].reset_index(drop=True)
        made.append(control(rows, learnt, *more))
    return pd.concat(made, ignore_index=True)


def _person_notes(persons: Sequence[Seed]) -> Iterator[str]:
    """Return a note on the splits that each test one ill person."""
    if persons:
        tables = [next(iter(one.tables.values())) for one in persons]
        counts = [f"{len(one)} ({int((one['target'] > 0).sum())} ill)" for one in tables]
        yield (
            f"{len(persons)} splits: each tests one ill person (drawn by the seed) and a share of "
            f"the healthy people, {', '.join(counts)} recordings; mean+-SD over the splits"
        )


def _notes(printed: Printed, seeds: Sequence[Seed], labels: Sequence[str]) -> Iterator[str]:
    table = seeds[0].tables[labels[0]]
    ill = int((table["target"] > 0).sum())
    yield f"scored on {len(table)} recordings per seed, {ill} of them ill"
    stepwise = [label for label in labels if label in printed.two_steps]
    if stepwise:
        yield (
            f"{', '.join(stepwise)}: the class is decided in two steps, first ill if P(ill) is at "
            "least 0.5, then the likeliest grade above 0; other rows: the likeliest class"
        )
    absent = {
        absent_classes(targets(rows), num_classes(table))
        for rows in ([table] if printed.pooled else [rows for _, rows in table.groupby("fold")])
    }
    for classes in sorted(absent - {()}):
        yield absent_note(classes, "some folds" if len(absent) > 1 else "")
    if printed.pooled:
        yield (
            "recordings of all folds are ranked together, although different fits scored them. A "
            "class that is tested is rarer in training, so guessing by class frequency has an "
            "AUROC below 0.5"
        )
    site = _sites(seeds[0])
    if site.nunique(dropna=False) > 1:
        if not _shown_sites(seeds[0]):
            yield (
                f"no scores of single sites: {int(site.isna().sum())} recordings have no site"
                if site.isna().any()
                else "no scores of single sites: no site has both healthy and ill recordings"
            )
        yield (
            "baseline: site only uses nothing but the site of a recording; only the score inside "
            "one site shows what a model learnt about the disease"
        )
