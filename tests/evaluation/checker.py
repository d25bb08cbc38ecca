"""Checks that every number of an evaluation's report is right, with code of its own.

It reads the predictions table, ``numbers.csv`` and the printed report as files, computes each
number a second time (``recomputed.py``), and returns faults: a number that differs, a number of the
table that is not printed, and any number in the text whose meaning it does not know.
"""

import csv
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from tests.evaluation.recomputed import Rows, people
from tests.evaluation.recomputed_parts import (
    FACTS,
    Expected,
    Key,
    at_level,
    decision_of,
    mcc_threshold,
    recordings,
)
from tests.evaluation.recomputed_report import changes_of, expected_numbers

NUMBER = r"-?\d+\.\d{3}"
LINE = re.compile(
    rf"  (\w+) +(undefined|{NUMBER}) +({NUMBER} to {NUMBER}|at least {NUMBER}|at most {NUMBER}"
    rf"|-(?: \([a-z]\))?)(?: +(-|{NUMBER}))?"
)
HEADING = re.compile(r"(.*), (\d+) (.*?) of (\d+) subjects")
NOUNS = {"units of the visit": "visit", "units of subject and item": "subject"}
PARTS = {
    "Procedure: the whole search and refit, once in each outer fold": "procedure",
    "Scores": "scores",
    "Scores with rare grades joined": "joined",
    "Scores at other levels": "levels",
    "Scores of groups": "groups",
    "Decisions with a threshold that was chosen on other subjects": "decision",
    "Calibration: are the probabilities right?": "calibration",
    "Predictive values at a stated share of ill people": "predictive_values",
    "Agreement of raters, and of the model with raters": "raters",
    "Change: does the model see what the raters see?": "change",
    "Test and retest: repeats in one state": "test_retest",
}
# Numbers in fixed sentences: years of papers, names and constants of formulas.
FIXED = re.compile(
    r"\(?[A-Z]\w+(?: et al\.| and \w+)*,? (?:18|19|20)\d\d\)?|ICC\(A,1\)|1\.96 sqrt\(2\)"
    r"|\b[01] is right|\b(?:above|below|not) [01]\b|\b95%"
)
Place = tuple[str, str, str]  # part, group, level
COUNTS = ("trial", "outer_fold", "fold", "seed", "grade", "target")


def read_rows(path: Path) -> Rows:
    """Read a predictions table, CSV or Parquet, as dictionaries."""
    if path.suffix == ".parquet":
        table = pd.read_parquet(path).astype(object)
        lines = table.where(table.notna(), None).to_dict("records")
    else:
        with path.open(encoding="utf-8", newline="") as file:
            head = file.readline()
            delimiter = max(",;\t", key=head.count)
            file.seek(0)
            lines = [
                {name: cell or None for name, cell in line.items()}
                for line in csv.DictReader(file, delimiter=delimiter)
            ]
    return [row_of(number, dict(line)) for number, line in enumerate(lines, start=2)]


def row_of(number: int, line: dict[str, Any]) -> dict[str, Any]:
    if "probability" in line:
        shares = [1 - float(line["probability"]), float(line["probability"])]
    else:
        names = [f"probability_{k}" for k in range(99) if f"probability_{k}" in line]
        shares = [float(line[name]) for name in names]
    given = {name: int(float(line[name])) for name in COUNTS if line.get(name) is not None}
    counts = {**dict.fromkeys(COUNTS, 0), "grade": given["target"], **given}
    raters = [name for name in line if re.fullmatch(r"rater_\d+", name)]
    return {
        **{name: line.get(name) for name in FACTS},
        **counts,
        "p": shares,
        "subject": str(line["subject_id"]),
        "recording": str(line.get("recording_id") or f"row {number}"),
        "item": line.get("item") or "not given",
        "network": tuple(counts[name] for name in ("trial", "outer_fold", "fold", "seed")),
        "fold_key": tuple(counts[name] for name in ("outer_fold", "fold", "seed")),
        "drawing": counts["seed"],
        "raters": {
            name: None if line[name] is None or math.isnan(float(line[name])) else float(line[name])
            for name in sorted(raters, key=lambda one: int(one[6:]))
        },
    }


def check_evaluation(
    folder: Path,
    table: Rows,
    *,
    title: str,
    inner: Rows | None = None,
    prevalences: Sequence[float] = (0.01, 0.1, 0.5),
    specificity: float = 0.9,
    levels: Sequence[str] = ("snippet", "visit"),
    further: Mapping[Key, Expected] = MappingProxyType({}),
) -> list[str]:
    """Return every fault of ``numbers.csv`` and ``report.txt`` in a folder.

    Args:
        folder: The evaluation.
        table: Rows that were scored, as :func:`read_rows` returns them.
        title: What the report says that it is of.
        inner: Rows on which decisions were chosen.
        prevalences: As the settings of the evaluation.
        specificity: As the settings of the evaluation.
        levels: As the settings of the evaluation.
        further: Numbers of a procedure.
    """
    expected = {**further, **expected_numbers(table, inner, prevalences, specificity, levels)}
    with (folder / "numbers.csv").open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    faults = list(table_faults(lines, expected))
    text, _, _ = (folder / "report.txt").read_text(encoding="utf-8").partition("\n\nChecks: ")
    known = Report(table, inner, expected, specificity, title)
    return faults + known.faults(text)


def differs(found: float, right: float, tolerance: float = 2e-6) -> bool:
    if math.isnan(found) or math.isnan(right):
        return math.isnan(found) != math.isnan(right)
    return abs(found - right) > tolerance * max(1, abs(right))


def table_faults(lines: Sequence[dict[str, str]], expected: dict[Key, Expected]) -> Iterator[str]:
    seen = set()
    for line in lines:
        key = (line["table"], line["group"], line["level"], line["metric"])
        if key in seen or key not in expected:
            yield f"numbers.csv: {key}: {'twice' if key in seen else 'not known'}"
            continue
        seen.add(key)
        right = expected[key]
        for name in ("value", "low", "high"):
            found = float(line[name]) if line[name] else math.nan
            if differs(found, getattr(right, name)):
                yield f"numbers.csv: {key}: {name} {found}, expected {getattr(right, name)}"
        for name in ("num_subjects", "num_rows"):
            if int(line[name]) != getattr(right, name):
                yield f"numbers.csv: {key}: {name} {line[name]}, expected {getattr(right, name)}"
    yield from (f"numbers.csv: {key}: is missing" for key in expected.keys() - seen)


class Report:
    """What the text of a report may say, and whether it is right."""

    def __init__(
        self,
        table: Rows,
        inner: Rows | None,
        expected: dict[Key, Expected],
        specificity: float,
        title: str,
    ) -> None:
        self.table, self.units = table, recordings(table)
        self.inner = None if inner is None else recordings(inner)
        self.expected, self.specificity, self.title = expected, specificity, title
        self.unseen = {key for key in expected if key[0] != "constant"}
        self.found: list[str] = []

    def faults(self, text: str) -> list[str]:
        """Return what is wrong in a report, or not known."""
        start, *parts = re.split(r"\n\n(?=[^\n]+\n=+\n)", text.rstrip("\n"))
        self._head(" ".join(start.split("\n")))
        if parts:
            *parts, last = parts
            last, *notes = re.split(r"\n\n(?=note: )", last)
            for part in [*parts, last]:
                self._part(part)
            for note in re.split(r"\n(?=note: )", "".join(notes)):
                self._note(" ".join(note.split()))
        return self.found + [f"report: {key} is not printed" for key in sorted(self.unseen)]

    def _fault(self, text: str) -> None:
        self.found.append(f"report: {text}")

    def _equal(self, where: object, found: object, right: object) -> None:
        if str(found) != str(right):
            self._fault(f"{where!r}: {found}, expected {right}")

    def _head(self, text: str) -> None:
        k = len(self.table[0]["p"])
        items = ", ".join(sorted({row["item"] for row in self.units}))
        parts = [
            f"Evaluation of {self.title}",
            f"level: recording: {len(self.units)} recordings of {len(people(self.units))} subjects;"
            " rated: each recording; averaged: mean of the class probabilities, over snippets of a "
            "recording; resampled: subjects",
            f"items: {items}",
        ]
        for c in range(k):
            some = [row for row in self.units if row["target"] == c]
            grades = ", ".join(map(str, sorted({row["grade"] for row in some}))) or "none"
            parts.append(
                f"class {c}: {len(some)} recordings of {len(people(some))} subjects, grades "
                f"{grades}"
            )
        parts.append(
            "intervals: 95%, by leaving out one subject at a time (jackknife), t quantile on the "
            "scale of the score; none where there are too few subjects"
        )
        self._equal("head", text, " ".join(parts))

    def _part(self, text: str) -> None:
        title, line, *rest = text.split("\n")
        if title not in PARTS or set(line) != {"="}:
            self._fault(f"part {title!r} is not known")
            return
        for block in "\n".join(rest).split("\n\n"):
            lines = block.split("\n")
            if any(one.startswith("  score") for one in lines):
                self._block(PARTS[title], lines)
            else:
                self._fixed(block)

    def _fixed(self, text: str) -> None:
        left = FIXED.sub("", " ".join(text.split()))
        if re.search(r"\d", re.sub(r"\w*[a-z]_\w+|\bf1(?:_\w+)?\b", "", left)):
            self._fault(f"a number that is not known in {left!r}")

    def _block(self, part: str, lines: Sequence[str]) -> None:
        at = next(i for i, line in enumerate(lines) if line.startswith("  score"))
        heading = " ".join(lines[:at])
        match = HEADING.fullmatch(heading)
        if not match:
            self._fault(f"heading {heading!r}")
            return
        shown, num_rows, noun, num_subjects = match.groups()
        level = NOUNS.get(noun, noun.removesuffix("s"))
        groups = {key[1].replace("=", " ") or "all": key[1] for key in self.expected
                  if key[0] == part and key[2] == level}  # fmt: skip
        if shown not in groups:
            self._fault(f"group {shown!r} of {part} is not known")
            return
        place = (part, groups[shown], level)
        feet = []
        for line in lines[at + 1 :]:
            if found := LINE.fullmatch(line):
                self._line(place, found, (num_rows, num_subjects))
            else:
                feet.append(line)
        for foot in re.split(r"\n(?=  \S)", "\n".join(feet)):
            self._foot(" ".join(foot.split()), place)

    def _line(self, place: Place, line: re.Match[str], sizes: tuple[str, str]) -> None:
        metric, value, ends, constant = line.groups()
        key = (*place, metric)
        right = self.expected.get(key)
        if right is None or key not in self.unseen:
            self._fault(f"{key} is not known, or printed twice")
            return
        self.unseen.discard(key)
        self._equal(f"{key}: rows, subjects", sizes, (str(right.num_rows), str(right.num_subjects)))
        self._number(key, value, right.value)
        self._ends(key, ends, right)
        always = self.expected.get(("constant", *place[1:], metric))
        if (always is not None) != (constant not in (None, "-")):
            self._fault(f"{key}: constant {constant}, expected {always}")
        elif always is not None:
            self._number(key, constant, always.value)

    def _number(self, key: Key, found: str, right: float) -> None:
        value = math.nan if found == "undefined" else float(found)
        if differs(value, right, 0.00051 / max(1, abs(right))):
            self._fault(f"{key}: {found}, expected {right}")

    def _ends(self, key: Key, ends: str, right: Expected) -> None:
        numbers = re.findall(NUMBER, ends)
        if not numbers:
            if not math.isnan(right.low):
                self._fault(f"{key}: no interval, expected {right.low} to {right.high}")
        elif len(numbers) == 2:
            self._number(key, numbers[0], right.low)
            self._number(key, numbers[1], right.high)
        else:
            self._number(key, numbers[0], right.low if "least" in ends else right.high)
            if right.value not in (right.low, right.high):
                self._fault(f"{key}: {ends}, expected two ends")

    def _foot(self, text: str, place: Place) -> None:
        """Check the reason below a block."""
        text = re.sub(r"^\([a-z]\) ", "", text)
        for pattern, check in self._reasons().items():
            if match := re.fullmatch(pattern, text):
                check(place, *match.groups())
                return
        self._fixed(re.sub(r"the (?:positive|negative) class [01]\b", "", text))

    def _reasons(self) -> dict[str, Any]:
        return {
            r"too few subjects for an interval: (\d+), (12) are needed": self._few,
            r"too few subjects for an interval: (\d+), (40) are needed for .* models": self._few,
            r"too few subjects for an interval: (.*), 5(?: of two classes)? are needed": self._rare,
            r"rows with a probability of 0 or 1, .*: (\d+)": self._certain,
            r"only class (\d+) is present": lambda place, c: self._equal(
                place, {int(c)}, {k for k, n in self._row(place).of_class.items() if n}
            ),
            r"class (\d+)(?: or higher)? is the class of (every|no) row": lambda place, c, which: (
                self._equal(place, which, self._always(int(c)))
            ),
            r"rows with a grade by every rater: (\d+); two .*": lambda place, number: self._equal(
                place, number, self._row(place).num_rows
            ),
            r"all grades are ([\d.]+)": lambda place, grade: self._equal(
                place, True, float(grade) in {g for r in self.units for g in r["raters"].values()}
            ),
            r"all probabilities of class (\d+)(?: or higher)? are ([\d.e-]+)": self._same,
            r"the rater's change is 0 in all pairs": self._still,
        }

    def _same(self, place: Place, c: str, share: str) -> None:
        found = {f"{sum(row['p'][int(c) :]):.3g}" for row in self.units}
        self._equal(place, found, {share})

    def _still(self, place: Place) -> None:
        kind, _, item = place[1].partition(": item=")
        rows = [one for one in changes_of(self.units)[kind] if item in ("", one["item"])]
        self._equal(place, all(one["rater"] == 0 for one in rows), True)

    def _row(self, place: Place) -> Expected:
        return next(right for key, right in self.expected.items() if key[:3] == place)

    def _few(self, place: Place, number: str, needed: str) -> None:
        sizes = {str(r.num_subjects) for key, r in self.expected.items() if key[:3] == place}
        self._equal(place, number in sizes and int(number) < int(needed), True)

    def _rare(self, place: Place, counts: str) -> None:
        for number, c in re.findall(r"(\d+) of class (\d+)", counts):
            self._equal(f"{place}: class {c}", number, self._row(place).of_class.get(int(c), 0))
        self._fixed(re.sub(r"\d+ of class \d+", "", counts))

    def _certain(self, place: Place, number: str) -> None:
        c = int(re.findall(r"\d+", place[1])[0])
        shares = [sum(row["p"][c:]) for row in self.units]
        self._equal(place, number, sum(p < 1e-9 or p > 1 - 1e-9 for p in shares))

    def _always(self, c: int) -> str:
        found = {row["target"] >= c for row in self.units}
        return "both" if len(found) > 1 else "every" if found == {True} else "no"

    def _note(self, text: str) -> None:
        note = text.removeprefix("note: ")
        for pattern, check in self._notes().items():
            if match := re.fullmatch(pattern, note):
                check(*match.groups())
                return
        self._fixed(note)

    def _notes(self) -> dict[str, Any]:
        return {
            r"(\w+) has (\d+) values, more than 12; .*": lambda name, number: self._equal(
                name, number, len({row[name] for row in self.units} - {None})
            ),
            r"(\d+) recordings were scored by several .* are (\d+)(?:; .*)?": lambda one, several: (
                self._equal(
                    "recordings",
                    (int(one), int(several)),
                    (len({row["recording"] for row in self.units}), len(self.units)),
                )
            ),
            r"(\d+) recordings have no (\w+); .*": lambda number, name: self._equal(
                name, number, sum(row[name] is None for row in self.units)
            ),
            r"(fold|outer_fold) ([\d, ]+) has no row; .*": self._absent,
            r"level: (\w+): (.*)": self._level,
            r"specificity ([\d.]+) wanted: (?:trial \d+, outer fold (\d+): )?(.*)": self._decision,
            r"procedure: trial \d+, outer fold (\d+): (.*)": self._fold_threshold,
            r"change, (.*): (\d+) pairs of (\d+) subjects, who weigh equally; (.*)": self._change,
            r"too few subjects for a reliability diagram: (\d+), 40 are needed": (
                lambda number: self._equal("diagram", number, len(people(self.units)))
            ),
        }

    def _absent(self, name: str, numbers: str) -> None:
        present = {row[name] for row in self.table if row[name] >= 0}
        absent = [one for one in range(max(present)) if one not in present]
        self._equal(name, numbers, ", ".join(map(str, absent)))

    def _level(self, level: str, text: str) -> None:
        units = at_level(self.table, self.units, level)
        sizes = [row.get("size", 1) for row in units]
        right = [len(units), len(people(units))]
        if level != "snippet":
            right.append(sum(size > 1 for size in sizes))
        torn = sum(row.get("torn", False) for row in units)
        alone = sum(row.get("alone", False) for row in units)
        right += [one for one in (torn, alone) if one]
        self._equal(f"level {level}", re.findall(r"\d+", text), [str(one) for one in right])

    def _fold_threshold(self, fold: str, text: str) -> None:
        """Check a threshold of highest MCC, which was chosen on the inner rows of an outer fold."""
        rows = [row for row in self.inner or [] if row["outer_fold"] == int(fold)]
        self._threshold(text, rows, mcc_threshold(rows))

    def _threshold(self, text: str, rows: Rows, line: float | None) -> None:
        right = [str(len(people(rows))), str(len(rows)), "1", f"{line:.3g}"]
        self._equal("threshold", re.findall(r"[\d.]+\d|\d+", text), right)

    def _decision(self, wanted: str, fold: str | None, text: str) -> None:
        self._equal("specificity", wanted, f"{self.specificity:g}")
        if self.inner is not None and text.startswith("chosen on inner"):
            rows = [row for row in self.inner if fold in (None, str(row["outer_fold"]))]
            self._threshold(text, rows, decision_of(rows, self.specificity))
        elif match := re.fullmatch(r"chosen (\d+) times .*; class 1 above (.*) to (.*)", text):
            folds = {row["outer_fold"] for row in self.table}
            lines = [
                decision_of([row for row in self.inner or [] if row["outer_fold"] == fold],
                            self.specificity) for fold in folds
            ]  # fmt: skip
            right = str(len(folds)), f"{min(lines):.3g}", f"{max(lines):.3g}"
            self._equal("thresholds", match.groups(), right)
        else:
            if match := re.match(
                r"the (\d+) units of the inner predictions are all of class", text
            ):
                self._equal(text, match[1], len(self.inner or []))
                text = re.sub(r"\d+", "", text)
            self._fixed(text)

    def _change(self, name: str, pairs: str, subjects: str, rest: str) -> None:
        rows = changes_of(self.units)[name]
        right = [len(rows), len(people(rows)), sum(row["rater"] == 0 for row in rows), 0]
        apart = sum(row["apart"] for row in rows)
        right += [apart] if apart else []
        found = [pairs, subjects, *re.findall(r"\d+", rest)]
        self._equal(f"change {name}", found, [str(one) for one in right])
