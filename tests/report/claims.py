"""Every number that methods and card may state, computed from the raw log of a study.

It imports nothing of the report: pdray's metrics and model table are used, its texts are not.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pandas as pd

from pdray.evaluation.predictions import by_recording
from pdray.evaluation.score_intervals import score_interval
from pdray.models import MODELS
from tests.report.recount import Raw

CONSTANTS = (
    "Intervals: 95%", "(95% interval", "BMJ 2024;385:e078378", "item 23a", "item 23b", "<5 people",
    "Table 1",
    "(<5 people)",
)  # fmt: skip
HIGHEST = 4  # grade of finger tapping


def leftover(text: str, phrases: list[str]) -> str:
    """Return what stands around the first digit that no phrase explains; empty if all are."""
    text = " ".join(text.replace("\\", "").replace("&lt;", "<").replace("> log:", " ").split())
    for phrase in sorted({*phrases, *CONSTANTS}, key=len, reverse=True):
        text = re.sub(rf"(?<![\d.]){re.escape(phrase)}(?!\d|\.\d)", "~", text)
    found = re.search(r".{0,50}\d.{0,30}", text)
    return found[0] if found else ""


def claims(raw: Raw) -> list[str]:
    """Return every phrase with numbers that may stand in methods or card."""
    return [
        *_of_people(raw),
        *_of_classes(raw),
        *_of_settings(raw),
        *_of_search(raw),
        *_of_scores(raw),
    ]


def headings(card: str) -> list[str]:
    """Return the phrases of the card that number and count its own items."""
    found = re.findall(r"^### (\S+) (.+): (.+)$", card, re.MULTILINE)
    states = Counter(state for _, _, state in found)
    names = ("filled from the log", "answered by the owner", "open", "not applicable")
    told = ", ".join(f"{states[name]} {name}" for name in names)
    return [f"{len(found)} items: {told}", *(f"### {number} {topic}" for number, topic, _ in found)]


def _of_people(raw: Raw) -> Iterator[str]:
    parts = {name: raw.part(name) for name in ("analysed", "scored", "training only", "left out")}
    parts["listed"] = raw.recordings
    number = {name: len(rows) for name, rows in parts.items()}
    people = {name: rows["subject_id"].nunique() for name, rows in parts.items()}
    told = f"{number['analysed']} recordings of {people['analysed']} people were analysed"
    yield told
    yield f"{told}; {number['left out']} of {number['listed']} listed were left out"
    yield (
        f"{number['scored']} recordings of {people['scored']} people were scored, and "
        f"{number['training only']} of {people['training only']} people learnt from"
    )
    for title, name in [("analysed", "analysed"), ("scored", "scored"),
                        ("training only", "training only"),
                        ("listed in the manifest", "listed")]:  # fmt: skip
        yield f"{title}: {people[name]} people, {number[name]} recordings"
    yield f"people of whom nothing is left: {people['listed'] - people['analysed']}"
    for name in ("analysed", "scored", "training only"):
        rows = parts[name]
        for fact in ("age [years]", "disease years", "length of a recording [s]"):
            yield f"{fact}: median (quartiles) {raw.quartiles(rows, fact)}"
        for fact in ("sex", "diagnosis", "medication", "stimulation", "site", "grade",
                     "age [years]", "visits of the person"):  # fmt: skip
            counts = rows.groupby(raw.values(rows, fact))["subject_id"].nunique()
            for value, n in counts.items():
                yield from (f"{value} {n}" if n > 4 else f"{value} <5", f"{value} hidden")
            yield f"{fact} {counts.get('not given', 0)}"
        yield "not given 0"
        for rater in [column for column in rows if column.startswith("rater_")]:
            yield f"{rater} graded {int(rows[rater].notna().sum())}"
            yield f"{rater} 0"
    yield f"{sum(name.startswith('rater_') for name in raw.recordings)} raters"


def _of_classes(raw: Raw) -> Iterator[str]:
    for k, rows in raw.part("scored").groupby("class"):
        for name in ({0: "healthy", 1: "ill"}.get(k, ""), f"class {k}"):
            yield f"{name}: {rows['subject_id'].nunique()} people, {len(rows)} recordings"
    for k, rows in raw.part("analysed").groupby("class"):
        yield f"class {k} {rows['subject_id'].nunique()}"


def _of_settings(raw: Raw) -> Iterator[str]:
    settings, tags = raw.facts["settings"], raw.facts["tags"]
    outer, inner = settings["folds"]["num_outer"], settings["folds"]["num_folds"]
    repeats = settings["search"]["repeats"]
    yield from (f"{outer} outer folds", f"{inner} inner folds")
    yield f"tested {repeats} times, by {repeats} assignments"
    yield from (f"(seed {settings['folds']['seed']})", f"seed of the study: {tags['seed']}")
    ends = [0, *settings["data"]["grade_cuts"], HIGHEST + 1]
    classes = []
    for k, (first, after) in enumerate(pairwise(ends)):
        told = f"grade {first}" if after - first == 1 else f"grades {first} to {after - 1}"
        classes.append(f"class {k} ({told})")
    yield f"in {len(classes)} classes: {', '.join(classes)}"
    yield f"{len(classes)} class probabilities"
    yield MODELS[settings["model"]["name"]].description
    yield f"source {tags['source']}"
    for name, version in tags.items():
        yield f"{name.removeprefix('version.')} {version}"


def _of_search(raw: Raw) -> Iterator[str]:
    trials = [json.loads(one.read_text()) for one in sorted(raw.folder.glob("trials/*/trial.json"))]
    best = raw.facts["best"]
    states = Counter(one["state"] for one in trials)
    ended = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
    for where in ("the search", "the search on all people, which made the final model"):
        yield f"Of {len(trials)} trials ({where}: {ended}), trial {best} won"
    yield f"for {trials[best]['chosen_epoch'] + 1} epochs"
    yield from (f"{key}={value}" for key, value in trials[best]["params"].items())
    for one in json.loads((raw.folder / "checks.json").read_text()):
        yield from (one["code"], one["found"])
    if (raw.folder / "permutations.json").is_file():
        found = json.loads((raw.folder / "permutations.json").read_text())
        yield f"repeated {len(found['permuted'])} times"
        yield f"chance was {found['p']:.3g}"


def _of_scores(raw: Raw) -> Iterator[str]:
    metric = raw.facts["settings"]["search"]["metric"]
    numbers = pd.read_csv(raw.folder / "evaluation" / "numbers.csv", keep_default_na=False)
    yield from numbers["metric"].unique()
    wanted = numbers[(numbers["metric"] == metric) & (numbers["level"] == "recording")]
    for row in wanted.to_dict("records"):
        if row["table"] in ("procedure", "scores") and not row["group"]:
            yield _score(metric, row)
        if row["table"] == "groups":
            fact, _, value = row["group"].partition("=")
            yield from _group(metric, f"{fact} {value}", row)
    units = scored_units(raw)
    ages = raw.values(raw.recordings, "age [years]")
    bands = units["recording_id"].map(dict(zip(raw.recordings["recording_id"], ages, strict=True)))
    for band, rows in units.groupby(bands):
        found = score_interval(rows, metric)
        row = {"value": found.value, "low": found.low, "high": found.high, "sides": found.sides,
               "reason": found.reason, "num_subjects": rows["subject_id"].nunique()}  # fmt: skip
        yield from _group(metric, f"age {band}", row)
    names = {0: "healthy", 1: "ill"} if raw.num_classes == 2 else {}
    shares = units[[f"probability_{k}" for k in range(raw.num_classes)]].to_numpy()
    for true in range(raw.num_classes):
        for said in range(raw.num_classes):
            number = int(((units["target"] == true) & (shares.argmax(axis=1) == said)).sum())
            yield from (f"{number} called {one}" for one in (names.get(said), f"class {said}"))
        yield f"of class {true}:"


def _group(metric: str, name: str, row: dict) -> Iterator[str]:
    people = row["num_subjects"]
    yield f"{name}: too few people"
    yield f"{name} (<5 people): too few people"
    if people >= 5:
        score = _score(metric, row)
        told = str(row["reason"]).removeprefix("the score is undefined: ")
        for words in (
            score,
            f"{metric} undefined ({told})",
            f"{metric} undefined ({row['reason']})",
        ):
            yield f"{name} ({people} people): {words}"
            yield f"{name}: {words}"


def _score(metric: str, row: dict) -> str:
    value = row["value"]
    if value == "" or value != value:
        return f"{metric} undefined ({row.get('undefined', '')})"
    told = f"{metric} {float(value):.3f}"
    if row["reason"]:
        few = re.sub(r"\b[1-4] of class", "<5 of class", row["reason"])
        return f"{told} ({few})"
    ends = {"lower": "low", "upper": "high"}
    if row["sides"] in ends:
        word = {"lower": ": at least", "upper": ": at most"}[row["sides"]]
        return f"{told} (95% interval{word} {float(row[ends[row['sides']]]):.3f})"
    return f"{told} (95% interval {float(row['low']):.3f} to {float(row['high']):.3f})"


def scored_units(raw: Raw) -> pd.DataFrame:
    """Return the test predictions, one row per recording and repeat."""
    pooled = raw.folder / "outer" / "predictions.parquet"
    if not pooled.is_file():
        return by_recording(pd.read_parquet(raw.folder / "winner" / "predictions.parquet"))
    table = pd.read_parquet(pooled)
    outer = table["repeat"] * (table["outer_fold"].max() + 1) + table["outer_fold"]
    return by_recording(table.assign(outer_fold=outer, seed=table["repeat"], repeat=0))
