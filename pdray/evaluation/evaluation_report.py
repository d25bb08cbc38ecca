"""An evaluation as text of 80 columns: parts, groups, and one line per number.

Each part says its level, what is resampled and what its intervals cover. A number without an
interval, or an undefined one, carries a letter; the reason stands below under this letter.
"""

import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from string import ascii_lowercase

from pdray.evaluation.numbers import Number
from pdray.evaluation.printed_table import WIDTH
from pdray.evaluation.report import aligned
from pdray.evaluation.statistics.agreement import ICC
from pdray.evaluation.statistics.intervals import TRUTHS, Truth

TITLES = {
    "procedure": "Procedure: the whole search and refit, once in each outer fold",
    "scores": "Scores",
    "joined": "Scores with rare grades joined",
    "levels": "Scores at other levels",
    "groups": "Scores of groups",
    "decision": "Decisions with a threshold that was chosen on other subjects",
    "withheld": "Withheld predictions",
    "large": "Calibration in the large: is each class as frequent as the model says?",
    "calibration": "Calibration: are the probabilities right?",
    "predictive_values": "Predictive values at a stated share of ill people",
    "raters": "Agreement of raters, and of the model with raters",
    "change": "Change: does the model see what the raters see?",
    "test_retest": "Test and retest: repeats in one state",
}
"""Parts of an evaluation, in the order in which they are printed."""
LEGENDS = {
    "procedure": "these numbers are of the procedure (the search, then the refit of its winner), "
    "not of one model.pt: each subject is scored by a search that took place without this subject. "
    "Thresholds and calibration are chosen inside each outer training side. auroc and auprc "
    "compare rows of one outer fold; pooled over outer folds (naive) they also compare models with "
    "each other, which shifts them. optimism: how much better the searches rated their winners "
    "than these are",
    "scores": "constant: the class that scores best if every row gets it; it is chosen on these "
    "very rows",
    "withheld": "coverage: share of the recordings whose prediction is given, since its highest "
    "class probability reaches a threshold that was chosen on subjects of the training side; risk: "
    "share of wrong classes among these; risk_of_all: among all recordings",
    "large": "observed: share of the recordings that are of the class; expected: mean probability "
    "of the class; 0 is a right difference (Steyerberg et al. 2010, Van Calster et al. 2019)",
    "calibration": "intercept: 0 is right, above 0 the event is more frequent than the model "
    "says; slope: 1 is right, below 1 probabilities are too extreme (Cox 1958); error: expected "
    "calibration error in ten bins, to be read beside the error that a perfect model has by "
    "chance: with independent rows (error_if_perfect), or with rows of a subject as alike as "
    "possible (error_if_perfect_alike)",
    "predictive_values": "ppv: share of those called ill who are ill; npv: share of those called "
    "healthy who are healthy; intervals join the ends of sensitivity and specificity",
    "raters": f"icc_a1: {ICC}; exact: no other grade is nearer to the target; kappa: quadratic "
    "weights on the whole scale; a rater is never compared with a mean that holds the rater's "
    "own grade; intervals: of these raters and predictions; training not included; the subject is "
    "the unit",
    "change": "one subject, item and side in two states or visits; model: its expected class; "
    "rater: the class of the grade; srm: mean change / SD over subjects (Liang et al. 1990); mae: "
    "distance of both changes; right_sign: where the rater's change is not 0; constant: no change "
    "at all, and the commoner sign for everybody",
    "test_retest": "two recordings of one unit of the visit, in classes (a single rater: in "
    f"grades); icc_a1: {ICC}; sem: standard error of measurement, from the mean square within "
    "pairs (de Vet et al. 2006); sdc: smallest detectable change, 1.96 sqrt(2) sem",
}
"""What the numbers of a part are."""
NOUNS = {"visit": "units of the visit", "subject": "units of subject and item"}
NONE = "-"


def evaluation_text(head: Sequence[str], numbers: Sequence[Number], notes: Sequence[str]) -> str:
    """Return an evaluation in lines of at most 80 letters.

    Args:
        head: Sentences on what was evaluated.
        numbers: All numbers.
        notes: What is left out, and why.
    """
    constants = {_place(one): one.value for one in numbers if one.table == "constant"}
    lines = [line for sentence in head for line in textwrap.wrap(sentence, WIDTH)]
    for part, title in TITLES.items():
        some = [one for one in numbers if one.table == part]
        if some:
            lines += ["", title, "=" * len(title)]
            legend = textwrap.wrap(LEGENDS.get(part, ""), WIDTH)
            lines += [*legend, *[""] * bool(legend), *_part(some, constants)]
    lines += [""] * bool(notes)
    for note in notes:
        lines += textwrap.wrap(f"note: {note}", WIDTH, subsequent_indent="  ")
    return "\n".join(lines)


def _part(numbers: Sequence[Number], constants: dict[tuple[str, str, str], float]) -> Iterator[str]:
    kinds = groupby(numbers, key=lambda one: (one.group, one.level, one.num_subjects, one.num_rows))
    for place, (_, members) in enumerate(kinds):
        yield from [""] * bool(place)
        yield from _block(list(members), constants)


def _block(numbers: Sequence[Number], constants: dict[tuple[str, str, str], float]) -> list[str]:
    first, reasons = numbers[0], dict[str, str]()
    for one in numbers:
        reason = one.undefined or one.reason
        if reason:
            reasons.setdefault(reason, ascii_lowercase[len(reasons) % 26])
    has_constants = any(_place(one) in constants for one in numbers)
    rows = [["score", "value", "95% interval", *["constant"] * has_constants]]
    for one in numbers:
        constant = constants.get(_place(one))
        row = [one.metric, number_text(one.value), _ends(one, reasons)]
        rows.append(row + [NONE if constant is None else number_text(constant)] * has_constants)
    group = first.group.replace("=", " ") or "all"
    people = f"{first.num_rows} {_units(first)} of {first.num_subjects} subjects"
    lines = textwrap.wrap(f"{group}, {people}", WIDTH)
    lines += [f"  {line}" for line in aligned(rows, numbers_right=True)]
    told = [*_truths(numbers)]
    told += [f"({letter}) {reason}" for reason, letter in reasons.items()]
    for text in told:
        lines += textwrap.wrap(text, WIDTH, initial_indent="  ", subsequent_indent="    ")
    return lines


def _truths(numbers: Sequence[Number]) -> Iterator[str]:
    """Yield what the intervals cover, and which scores are meant where that differs."""
    names: dict[Truth, list[str]] = {}
    for one in numbers:
        if one.truth:
            names.setdefault(one.truth, []).append(one.metric)  # type: ignore[arg-type]
    for truth, some in names.items():
        which = f" of {', '.join(some)}" if len(names) > 1 else ""
        yield f"intervals{which}: {TRUTHS[truth]}; the subject is the unit"


def number_text(value: float) -> str:
    """Return a number with three decimals, or "undefined"."""
    return "undefined" if value != value else f"{value:.3f}"


def _ends(one: Number, reasons: dict[str, str]) -> str:
    reason = one.undefined or one.reason
    if reason:
        return f"{NONE} ({reasons[reason]})"
    if not one.has_interval:
        return NONE
    if one.sides == "both":
        return f"{one.low:.3f} to {one.high:.3f}"
    return f"at least {one.low:.3f}" if one.sides == "lower" else f"at most {one.high:.3f}"


def _units(one: Number) -> str:
    return NOUNS.get(one.level, f"{one.level}s")


def _place(one: Number) -> tuple[str, str, str]:
    return one.group, one.level, one.metric
