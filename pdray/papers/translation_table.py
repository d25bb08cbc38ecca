"""Prints the scores of changed pictures: rows without a method first, then those of methods."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pdray.evaluation.report import aligned, headline
from pdray.evaluation.translation_scores import Measure, RowScores
from pdray.papers.diagnosis_table import WIDTH
from pdray.papers.table import TRANSLATION_COLUMNS

NOT_BUILT, NOT_RUN = "not built", "not run"
_NOTHING = "-"
_PERCENT = ("called_ill", "right_person")
_BLOCKS = (
    ("Pictures as sets", ("frechet_source", "frechet_ill", "kernel_ill")),
    (
        "What the judge and the direction say",
        ("called_ill", "direction", "control", "excess"),
    ),
    ("Who it is, and how far from the true picture", ("likeness", "right_person", "error")),
)
_HEADINGS = dict(
    zip((name for _, names in _BLOCKS for name in names), TRANSLATION_COLUMNS, strict=True)
)
_LEGEND = (
    "FD source, FD ill: Frechet distance from the sources, and from ill faces of people who are "
    "scored; {named}",
    "KD ill: unbiased kernel distance from these ill faces, +- its standard error",
    "CLS: pictures that the judge calls ill; direction: mean cosine of N' - N and P - N; control: "
    "the same towards H; excess: their difference, the part of the direction that is no chance",
    "P, H: the real ill and the real healthy picture of the same person most like the source "
    "(cosine; of equal ones the first in time), H of another recording where there is one",
    "cosine: with the source; right person: the most alike real picture is of the same person; "
    "error: mean difference from the true picture inside the face [grey levels of 255]",
    "intervals: 95%, over subjects (means: percentiles of 1000 resamples; distances: leaving out "
    "one subject at a time), training not included; none below 5 subjects",
    "(n of m): the measure is absent in the other pictures, and they are left out of it",
)


@dataclass(frozen=True)
class Printed:
    """Texts of a printed table.

    Attributes:
        title: Title of the table.
        paper: The paper's figures by row label and heading.
        not_built: Methods of the paper that are not here.
        network: Name of the network of the distances; ``FID`` where they are FID.
        extent: Sentences on pictures and people.
        synthetic: Whether the cohort is SYNTHETIC.
    """

    title: str
    paper: Mapping[str, Mapping[str, str]]
    not_built: Sequence[str]
    network: str
    extent: Sequence[str]
    synthetic: bool


def translation_text(printed: Printed, rows: Mapping[str, RowScores]) -> str:
    """Return a table as text.

    Args:
        printed: Its texts.
        rows: Scores by row label, in their order; rows of the paper that are not among them follow.
    """
    is_fid = printed.network == "FID"
    named = "features of InceptionV3, its weights of 2015" if is_fid else (
        f"features of {printed.network}, so that it is no FID"
    )  # fmt: skip
    lines = [headline(printed.title, printed.synthetic), ""]
    lines += _folded(printed.extent)
    for title, names in _BLOCKS:
        lines += ["", title, *aligned([*_block(printed, rows, names)])]
    return "\n".join([*lines, "", *_folded(line.format(named=named) for line in _LEGEND)])


def _block(
    printed: Printed, rows: Mapping[str, RowScores], names: Sequence[str]
) -> Iterator[list[str]]:
    headings = [_HEADINGS[name] for name in names]
    yield ["", "pictures", *(_heading(heading, printed.network) for heading in headings)]
    for label, scores in rows.items():
        cells = [_cell(getattr(scores, name), name, scores.pictures) for name in names]
        yield [label, str(scores.pictures), *cells]
        yield from _published(printed.paper.get(label), headings)
    for label, figures in printed.paper.items():
        if label not in rows:
            why = NOT_BUILT if label in printed.not_built else NOT_RUN
            yield [label, why, *([_NOTHING] * len(names))]
            yield from _published(figures, headings)


def _published(figures: Mapping[str, str] | None, headings: Sequence[str]) -> Iterator[list[str]]:
    if figures is not None and any(heading in figures for heading in headings):
        yield ["  paper", "", *(figures.get(heading, _NOTHING) for heading in headings)]


def _heading(heading: str, network: str) -> str:
    if network == "FID":
        return heading.replace("FD", "FID").replace("KD", "KID")
    return heading


def _cell(measure: Measure, name: str, pictures: int) -> str:
    if measure.value is None:
        return f"absent ({measure.count} of {pictures})" if measure.absent else _NOTHING
    factor, digits = _scale(measure, name)

    def shown(value: float) -> str:
        return f"{factor * value:z.{digits}f}"

    text = shown(measure.value)
    if name == "kernel_ill" and measure.error is not None:
        text += f" +- {shown(measure.error)}"
    elif measure.low is not None and measure.high is not None:
        text += f" ({shown(measure.low)} to {shown(measure.high)})"
    return f"{text} ({measure.count} of {pictures})" if measure.absent else text


def _scale(measure: Measure, name: str) -> tuple[int, int]:
    """Return the factor and the decimals of a number; distances keep three digits."""
    if name in _PERCENT:
        return 100, 1
    if name in ("frechet_source", "frechet_ill", "kernel_ill"):
        largest = max(abs(measure.value or 0.0), abs(measure.error or 0.0))
        return 1, 2 if largest >= 10 else 3 if largest >= 0.1 else 5
    return 1, 2


def _folded(lines: Iterable[str]) -> list[str]:
    return [part for line in lines for part in textwrap.wrap(line, WIDTH)]
