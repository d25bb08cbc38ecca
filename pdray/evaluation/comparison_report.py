"""Prints the comparison of models from its numbers: scores, differences, what is shown."""

import math
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from pdray.evaluation.comparison_tests import Compared
from pdray.evaluation.metrics import metric_named
from pdray.evaluation.pairing import Paired
from pdray.evaluation.printed_table import NONE, WIDTH
from pdray.evaluation.report import aligned, headline
from pdray.evaluation.settings import CompareConfig
from pdray.evaluation.statistics.intervals import TRUTHS

Columns = Mapping[str, Callable[[Compared], str]]
SECONDARY = {
    "obuchowski": "AUROC of subjects with several rows (Obuchowski 1997)",
    "clustered_mcnemar": "right classes of subjects with several rows (Obuchowski 1998)",
    "mcnemar": "right classes of subjects with one row each (exact test of McNemar 1947)",
    "corrected_t": "mean over folds (corrected t of Nadeau and Bengio 2003)",
}
_STATISTICS = {"obuchowski": "z", "clustered_mcnemar": "chi-squared", "corrected_t": "t"}
_OF_MODELS = (
    "These tests speak of these models on new people, not of the methods that made them: another "
    "seed or other training subjects give other models. Only repeated folds and seeds speak of "
    "methods (compare.secondary=[corrected_t])."
)
_OF_FOLDS = (
    "Each model has the predictions of {} networks, one for each fold and repetition. The tests "
    "speak of these predictions. The chance of training is not included, so p is too small for a "
    "claim about methods. Only repeated folds and seeds speak of methods "
    "(compare.secondary=[corrected_t])."
)


def comparison_text(
    paired: Paired,
    numbers: Sequence[Compared],
    config: CompareConfig,
    *,
    notes: Sequence[str] = (),
    synthetic: bool = False,
) -> str:
    """Return the report.

    Args:
        paired: The predictions that were compared.
        numbers: Result of :func:`~pdray.evaluation.comparison_tests.comparison_numbers`.
        config: What was asked for.
        notes: What else a reader should know, such as how often the manifest was scored.
        synthetic: Whether the recordings are SYNTHETIC; the headline says so.
    """
    title = f"{len(paired.shares)} models on the same {paired.people} (rows {paired.digest})"
    lines = textwrap.wrap(headline(title, synthetic), WIDTH)
    for metric in dict.fromkeys(one.metric for one in numbers if one.table == "score"):
        lines += ["", *_of_metric([one for one in numbers if one.metric == metric], config)]
    for test in dict.fromkeys(config.secondary):
        lines += ["", *_secondary([one for one in numbers if one.table == test], config)]
    said = _OF_MODELS if paired.num_groups == 1 else _OF_FOLDS.format(paired.num_groups)
    lines += ["", *textwrap.wrap(said, WIDTH)]
    for note in (*paired.notes, *notes):
        lines += textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _of_metric(numbers: Sequence[Compared], config: CompareConfig) -> Iterator[str]:
    """Yield the lines of one metric: scores, differences, margins."""
    scores, differences, margins = (
        [one for one in numbers if one.table == table]
        for table in ("score", "difference", "no worse")
    )
    metric = scores[0].metric
    better = metric_named(metric).greater_is_better
    scores.sort(key=lambda one: (math.isnan(one.value), -one.value if better else one.value))
    interval = f"{100 * config.level:g}% interval"
    title = f"{metric}, {'higher' if better else 'lower'} is better"
    yield from [title, "=" * len(title)]
    yield from _table(
        scores,
        {
            "model": lambda one: one.first,
            metric: lambda one: number_text(one.value),
            interval: _ends,
            "shown to be worse than": lambda one: (
                ", ".join(_better_ones(one.first, differences, better)) or NONE
            ),
        },
    )
    yield ""
    yield "primary test: exchange of both models' predictions of whole subjects;"
    yield _holm(differences)
    yield from _table(
        differences,
        {
            **_NAMES,
            "first - second": lambda one: number_text(one.value),
            interval: _ends,
            "p": lambda one: p_text(one.p),
            "p (Holm)": lambda one: p_text(one.p_holm),
            "difference": _verdict,
        },
    )
    if margins:
        yield ""
        yield f"no worse by more than {config.margin:g}, by the {interval}, not adjusted by Holm"
        yield from _table(
            [replace(one, truth="") for one in margins],  # it stands above
            {
                "model": lambda one: one.first,
                "than": lambda one: one.second,
                "better by": _ends,
                "no worse": _verdict,
            },
        )


def _secondary(numbers: Sequence[Compared], config: CompareConfig) -> Iterator[str]:
    test = numbers[0].table
    title = f"secondary: {SECONDARY[test]}"
    yield from [title, "=" * len(title), "not adjusted for several tests"]
    counts: Columns = {
        "only first right": lambda one: _count(one.only_first),
        "only second right": lambda one: _count(one.only_second),
    }
    interval: Columns = {f"{100 * config.level:g}% interval": _ends}
    yield from _table(
        numbers,
        {
            **_NAMES,
            "score": lambda one: one.metric,
            "first - second": lambda one: number_text(one.value),
            **(counts if "mcnemar" in test else interval),
            **(
                {}
                if test == "mcnemar"
                else {_STATISTICS[test]: lambda one: number_text(one.statistic)}
            ),
            "p": lambda one: p_text(one.p),
            "difference": _verdict,
        },
    )
    for folds, test_people, train_people in dict.fromkeys(
        (one.num_folds, one.num_test, one.num_train) for one in numbers if one.num_folds > 0
    ):
        yield (
            f"{folds} folds; {test_people:.1f} test and {train_people:.1f} training subjects in "
            "each, on average"
        )


def _table(numbers: Sequence[Compared], columns: Columns) -> Iterator[str]:
    """Yield aligned lines; below them what the intervals cover and why numbers are absent."""
    body = [[cell(one) for cell in columns.values()] for one in numbers]
    yield from aligned([list(columns), *body], numbers_right=True)
    for truth in dict.fromkeys(one.truth for one in numbers if one.truth):
        yield f"intervals: {TRUTHS[truth]}"  # type: ignore[index]
    for reason in dict.fromkeys(one.undefined or one.reason for one in numbers):
        groups = [one.group for one in numbers if (one.undefined or one.reason) == reason]
        named = "all" if len(groups) == len(numbers) else ", ".join(groups)
        if reason:
            yield from textwrap.wrap(f"{named}: {reason}", WIDTH, subsequent_indent="  ")


def _better_ones(name: str, differences: Sequence[Compared], better: bool) -> Iterator[str]:
    """Yield the models than which one is shown to be worse."""
    for one in differences:
        first_is_better = (one.value > 0) == better
        winner, loser = (one.first, one.second)[:: 1 if first_is_better else -1]
        if one.verdict == "shown" and loser == name:
            yield winner


def _holm(differences: Sequence[Compared]) -> str:
    count = int(differences[0].num_tests)
    if count == 0:
        return "no pair can be tested"
    return "one test, so Holm changes nothing" if count == 1 else f"Holm over all {count} tests"


def _verdict(one: Compared) -> str:
    return one.verdict or "not tested"


def _ends(one: Compared) -> str:
    if not one.has_interval:
        return NONE
    if one.sides == "both":
        return f"{number_text(one.low)} to {number_text(one.high)}"
    is_lower = one.sides == "lower"
    return f"at least {number_text(one.low)}" if is_lower else f"at most {number_text(one.high)}"


def number_text(value: float) -> str:
    """Return a number as it is printed; a dash if it is absent."""
    return NONE if value != value else f"{value:.3f}"


def _count(value: float) -> str:
    return NONE if math.isnan(value) else f"{value:.0f}"


def p_text(value: float) -> str:
    """Return p as it is printed; a dash if it is absent."""
    if value != value:
        return NONE
    return "<0.0001" if value < 0.00005 else f"{value:.4f}"


_NAMES: Columns = {"first": lambda one: one.first, "second": lambda one: one.second}
