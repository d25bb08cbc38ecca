"""The page of a report: one HTML file without script, which asks no other machine."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from string import ascii_lowercase
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.evaluation.printed_table import Table
from pdray.report import external_words, words
from pdray.report.words import Results, metric_name, number

HEADINGS = {
    "leaks": "Which leaks were looked for?",
    "cohort": "Which cohort?",
    "protocol": "Which protocol?",
    "meaning": "What does the number mean?",
    "uncertainty": "How uncertain is it?",
    "baseline": "Against what baseline?",
    "errors": "Which errors?",
    "misuse": "What must it not be used for?",
    "details": "Details",
}
"""Headings of the page by their id: the eight questions, and what is below them."""
FIRST = "confusion"
"""The figure that stands above everything."""
PLACES = {
    "flow": "cohort", "learning": "protocol", "importance": "protocol", "subjects": "uncertainty",
    "raters": "baseline", "roc": "errors", "reliability": "errors",
}  # fmt: skip
"""Heading of each figure; others stand under the details."""


_WIDTH = re.compile(r'<svg [^>]*?\bwidth="([\d.]+)pt"')
_COLUMN = 300.0  # a figure that is wider than a column of a journal [pt]


@dataclass(frozen=True)
class Parts:
    """What a page shows beside the numbers of the study.

    Attributes:
        figures: Every figure by its name: ``title``, ``svg``, ``caption`` and, of one that is not
            there, ``absent``, which says why.
        cohort: The table of the cohort; None: it is not known.
        methods: A paragraph on the methods.
        card: Items of the model card.
    """

    figures: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    cohort: Table | None = None
    methods: str = ""
    card: Sequence[Any] = ()


def page(results: Results, parts: Parts, small_cells: int) -> str:
    """Return the page.

    Args:
        results: The content of ``results.json``.
        parts: Figures, tables and texts.
        small_cells: Groups of fewer people are not told.
    """
    places: dict[str, list[dict[str, Any]]] = {name: [] for name in HEADINGS}
    for name, one in parts.figures.items():
        if name != FIRST or one["absent"]:
            places[PLACES.get(name, "details")].append(_marked(one))
    first = parts.figures.get(FIRST)
    return _template().render(
        study=results["study"],
        title=words.title(results),
        synthetic=SYNTHETIC_MARK,
        lead=words.first_sentence(results),
        belief=words.belief(results),
        headings=HEADINGS,
        words={
            "cohort": [*words.cohort_words(results), *external_words.apart_words(results)],
            "protocol": [*words.protocol_words(results), *external_words.before_words(results)],
            "meaning": list(words.meaning_words(results)),
            "uncertainty": list(words.uncertainty_words(results)),
            "baseline": [
                *words.baseline_words(results),
                *external_words.development_words(results),
            ],
            "errors": list(words.error_words(results)),
            "misuse": [*words.misuse_words(results), *external_words.misuse_words(results)],
            "calibration": list(external_words.calibration_words(results)),
        },
        checks=words.sorted_checks(results),
        first=None if first is None or first["absent"] else _marked(first),
        figures=places,
        scores=_table(words.important_numbers(results)),
        groups=_table(words.group_numbers(results)),
        cohort=None if parts.cohort is None else _people(parts.cohort),
        methods=parts.methods,
        card=_card(parts.card),
        small_cells=small_cells,
        job="report" if results["external"] is None else "evaluate",
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("pdray.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    environment.filters |= {"number": number, "metric": metric_name}
    return environment.get_template("report.html.jinja")


def _people(table: Table) -> Table:
    """Return the columns of a cohort's table that count people."""
    places = [place for place, name in enumerate(table.columns)
              if place < table.labels or not name.endswith(" recordings")]  # fmt: skip
    names = [table.columns[place].removesuffix(" people") for place in places]
    rows = [[row[place] for place in places] for row in table.rows if row[0] != "data"]
    for before, row in zip(rows[-2::-1], rows[:0:-1], strict=True):
        row[0] = "" if row[0] == before[0] else row[0]  # a fact is named once
    return table._replace(title="People, by what is known of them", columns=names, rows=rows)


def _marked(one: Mapping[str, str]) -> dict[str, Any]:
    # Figures are SVG that matplotlib wrote, which escapes every text in it.
    caption = one["caption"].removeprefix(f"{one['title']}: ")
    told = f"{caption[:1].upper()}{caption[1:]}"
    width = _WIDTH.search(one["svg"])
    is_broad = width is not None and float(width[1]) > _COLUMN
    return {**one, "svg": Markup(one["svg"]), "caption": told, "is_broad": is_broad}


def _card(items: Sequence[Any]) -> dict[str, Any] | None:
    if not items:
        return None
    states = [one.state for one in items]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    open_items = [one for one in items if one.state == "open"]
    told = f"Of {len(items)} items: {counts}."
    if open_items:
        told += f" Open: {', '.join(one.number for one in open_items)}."
    return {"counts": told, "every": items, "open": open_items}


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return numbers for a table, whose reasons stand below it under letters."""
    reasons: dict[str, str] = {}
    cells = []
    for one in rows:
        reason = one["undefined"] or one["reason"]
        letter = reasons.setdefault(reason, ascii_lowercase[len(reasons) % 26]) if reason else ""
        cells.append({**one, "ends": f"- ({letter})" if letter else _ends(one)})
    return {"rows": cells, "reasons": {letter: reason for reason, letter in reasons.items()}}


def _ends(one: Mapping[str, Any]) -> str:
    """Return the ends of an interval for a table."""
    if one["low"] is None and one["high"] is None:
        return "-"
    if one["sides"] == "both":
        return f"{number(one['low'])} to {number(one['high'])}"
    return (
        f"at least {number(one['low'])}"
        if one["sides"] == "lower"
        else f"at most {number(one['high'])}"
    )
