"""Answers from the log of a study to items of the checklist; every number is from the log."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from pdray.config import value_at
from pdray.evaluation.printed_table import NOT_GIVEN
from pdray.report import methods
from pdray.report.case import Reported
from pdray.report.cohort_table import cohort_table
from pdray.report.flow import flow
from pdray.report.groups import Group, score_groups, score_words
from pdray.report.parts import ANALYSED, SCORED, TRAINING, Parts, parts_of

_INSIDE = (
    "The model was developed and tested inside one cohort; no data from elsewhere were scored."
)
_OUTSIDE = (
    "The model was developed in another cohort and tested here, on people from elsewhere (external "
    "validation)."
)


@dataclass(frozen=True)
class Log:
    """A study, and what several items need of it, computed once."""

    case: Reported

    @cached_property
    def parts(self) -> Parts | None:
        """Who takes part."""
        return parts_of(self.case)

    @cached_property
    def groups(self) -> list[Group]:
        """Scores in groups."""
        return score_groups(self.case, self.parts)

    @cached_property
    def table(self) -> dict[str, dict[str, dict[str, str]]]:
        """Cells of table 1 by fact, value and column."""
        table = cohort_table(self.case)
        found: dict[str, dict[str, dict[str, str]]] = {}
        for fact, value, *cells in table.rows:
            columns = dict(zip(table.columns[2:], map(str, cells), strict=False))
            found.setdefault(str(fact), {})[str(value)] = columns
        return found

    def counts(self, fact: str, part: str = ANALYSED) -> str:
        """Return the people by value of a fact, such as "sex: female 12, male 9 people"."""
        cells = {
            value: columns.get(f"{part} people", "")
            for value, columns in self.table.get(fact, {}).items()
            if value != "median (quartiles)"
        }
        if not cells or set(cells) <= {NOT_GIVEN}:
            return f"{fact}: {NOT_GIVEN}"
        return f"{fact}: {', '.join(f'{value} {cell}' for value, cell in cells.items())} people"

    def quartiles(self, fact: str, part: str = ANALYSED) -> str:
        """Return the median and the quartiles of a number, such as "age [years]: 66 (60 to 71)"."""
        found = self.table.get(fact, {}).get("median (quartiles)", {}).get(f"{part} people")
        return f"{fact}: median (quartiles) {found}" if found else ""

    def finding(self, code: str) -> str:
        """Return what a check found; empty if it was not run."""
        found = [one for one in self.case.findings if one.code == code]
        return f"{code} {found[0].state}: {found[0].found}." if found else ""


def _joined(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _sites(log: Log) -> str:
    return f"{log.counts('site')[:1].upper()}{log.counts('site')[1:]}." if log.parts else ""


def _treatments(log: Log) -> str:
    if not log.parts:
        return ""
    return f"{log.counts('medication')}; {log.counts('stimulation')}; neither is an input."


def _preparation(log: Log) -> str:
    checks = [f"{one.code} {one.state}" for one in log.case.findings]
    return _joined(
        methods.pictures(log.case),
        "Every recording was prepared with the same settings.",
        f"Checks of data and results: {', '.join(checks)}." if checks else "No check was run.",
    )


def _raters(log: Log) -> str:
    names = sorted(fact for fact in log.table if fact.startswith("rater_"))
    if not names:
        return ""
    told = [
        f"{name} graded {log.table[name].get('graded', {}).get('analysed recordings', '0')}"
        for name in names
    ]
    return f"{len(names)} raters; recordings: {', '.join(told)}."


def _inputs(log: Log) -> str:
    modality = methods.chosen(log.case, "modality")
    read = f" ({modality})" if modality is not None else ""
    return (
        f"The model reads the recording alone{read}; nothing else in the manifest is an input, and "
        "no input was left out by hand."
    )


def _measured(log: Log) -> str:
    length = log.quartiles("length of a recording [s]")
    return _joined(methods.pictures(log.case), f"{length}." if length else "")


def _judged(log: Log) -> str:
    if value_at(log.case.settings, "data.marks") is not None:
        return ""
    return "Inputs are computed from recordings by software; nobody judges them."


def _size(log: Log) -> str:
    return _joined(methods.people(log.case, log.parts), log.finding("PDR009"))


def _missing(log: Log) -> str:
    if log.parts is None:
        return ""
    lacks = [
        f"{fact} {values[NOT_GIVEN]['analysed people']}"
        for fact, values in log.table.items()
        if values.get(NOT_GIVEN, {}).get("analysed people", "0") != "0"
    ]
    told = (
        f"People of whom it is not given: {', '.join(lacks)}." if lacks else "No fact is missing."
    )
    return _joined(
        methods.people(log.case, log.parts), told, "No value was filled in for a missing one."
    )


def _changed(log: Log) -> str:
    flip, bright = (methods.chosen(log.case, f"augment.{one}") for one in ("flip", "brightness"))
    varied, known = "", isinstance(flip, float) and isinstance(bright, float)
    if known and methods.uses(log.case, "augment"):
        varied = (
            f"In training, snippets were mirrored with probability {flip:g} and their brightness "
            f"changed by up to {bright:g} of its range."
        )
    read = methods.pictures(log.case)
    return _joined(read, varied) or (
        "" if methods.learns_in_steps(log.case) else methods.model(log.case)
    )


def _tuned(log: Log) -> str:
    case = log.case
    return _joined(methods.model(case), methods.partition(case, log.parts), methods.search(case))


def _clusters(log: Log) -> str:
    if log.parts is None or not len(log.case.units):
        return ""
    sites = [one for one in log.groups if one.fact == "site"]
    if len(sites) > 1:
        return "The model has no term for sites; its score at each site is item 23b."
    lacking = "one site alone is given" if sites else "no site is given"
    return f"The model has no term for sites, and {lacking}, so that no difference was measured."


def _measures(log: Log) -> str:
    numbers = log.case.numbers
    if not len(numbers):
        return ""
    names = numbers[numbers["table"] == "scores"]["metric"].unique().tolist()
    return (
        f"Scores: {', '.join(names)}. Pictures, as far as there are data for them: confusion "
        "matrix, ROC curve, reliability, learning curves. "
        f"The winner was chosen by {log.case.metric}, and always guessing the same class "
        "is the baseline."
    )


def _updates(log: Log) -> str:
    kind = value_at(log.case.settings, "decision.calibration") or "none"
    return (
        "No: nothing was changed after testing."
        if kind == "none"
        else f"Probabilities were calibrated ({kind}) on inner predictions, before testing."
    )


def _computed(log: Log) -> str:
    return _joined(methods.decision(log.case), methods.software(log.case))


def _imbalance(log: Log) -> str:
    told = methods.loss(log.case)
    if not told:  # such as an estimator, whose rule for rare classes is its own
        return ""
    if methods.chosen(log.case, "loss.kind") == "class_balanced_focal":
        told += " Its weights make rare classes count as much as frequent ones."
    else:
        told += " Classes were not weighted or drawn anew."
    if log.parts is None:
        return told
    counts = [f"{name} {log.parts.shown[key].people}" for name, key in log.parts.classes().items()]
    return _joined(told, f"People by class: {', '.join(counts)}.", _updates(log))


def _fairness(log: Log) -> str:
    if log.parts is None or not len(log.case.units):
        return ""
    known = sorted({one.fact for one in log.groups})
    told = f"Scores are given by {', '.join(known)} (item 23a)." if known else (
        "No score of a group could be given, since the log has no facts of people."
    )  # fmt: skip
    return f"{told} Training and thresholds were the same for all groups."


def _output(log: Log) -> str:
    if not len(log.case.units):
        return methods.decision(log.case)
    number = sum(str(name).startswith("probability_") for name in log.case.units)
    return f"{number} class probabilities per recording. {methods.decision(log.case)}"


def _difference(log: Log) -> str:
    if log.case.external is not None:
        return _joined(_OUTSIDE, _developed(log))
    if value_at(log.case.settings, "folds.from_split") is True:
        return ""
    nested = methods.is_nested(log.case)
    return f"{_INSIDE} {'Everybody is tested' if nested else 'Who is tested was drawn at random'}."


def _flow(log: Log) -> str:
    found = flow(log.case)
    return "" if found is None else "\n".join(found.lines())


def _characteristics(log: Log) -> str:
    if log.parts is None:
        return ""
    facts = [log.counts(fact) for fact in ("sex", "diagnosis", "medication", "site")]
    told = [log.quartiles("age [years]"), log.quartiles("disease years"), *facts]
    return f"Table 1 is cohort.csv. {'; '.join(filter(None, told))}."


def _comparison(log: Log) -> str:
    if log.parts is None:
        return ""
    if log.case.external is not None:
        return f"Table 1 (cohort.csv) has those of testing. {_developed(log)}"
    if TRAINING not in log.parts.rows:
        return "Everybody was tested and, in other folds, learnt from, so that they are the same."
    return f"Table 1 (cohort.csv) has both. {_of_part(log, SCORED)} {_of_part(log, TRAINING)}"


def _developed(log: Log) -> str:
    """Return the people of the study whose models are validated externally."""
    one = log.case.external
    described = "" if one is None else one.described
    return f"People of the study, {described}" if described else ""


def people_of(case: Reported) -> str:
    """Return who was analysed in a study, in one sentence; empty if it is not known."""
    log = Log(case)
    return "" if log.parts is None else _of_part(log, ANALYSED)


def _of_part(log: Log, part: str) -> str:
    label = "grade" if "grade" in log.table else "diagnosis"
    told = [log.quartiles("age [years]", part), log.counts("sex", part), log.counts(label, part)]
    return f"{part}: {'; '.join(filter(None, told))}."


def _specification(log: Log) -> str:
    params = {one["number"]: one["params"] for one in log.case.trials}.get(log.case.best, {})
    told = ", ".join(f"{key}={value}" for key, value in sorted(params.items()))
    searched = f"Searched settings of the model: {told}." if told else "No setting was searched."
    where = (
        "All settings are in study.json, the weights of a network in winner/model.pt; whoever has "
        "the study's folder can use them."
    )
    return _joined(methods.model(log.case), searched, where, methods.software(log.case))


def _performance(log: Log) -> str:
    row = methods.headline(log.case)
    if row is None:
        return ""
    return "\n".join([score_words(row), *(one.text for one in log.groups)])


def _by_site(log: Log) -> str:
    sites = [one.text for one in log.groups if one.fact == "site"]
    return "\n".join(sites) if len(sites) > 1 else _clusters(log)


def _warnings(log: Log) -> str:
    told = [f"{one.code}: {one.found}" for one in log.case.findings if one.state == "warning"]
    return f"Checks that warn: {'; '.join(told)}." if told else ""


def _poor(log: Log) -> str:
    del log
    return (
        "pdray refuses recordings that it cannot read completely; it does not judge their quality."
    )


FROM_LOG: dict[str, Callable[[Log], str]] = {
    "4": lambda log: _INSIDE if log.case.external is None else _OUTSIDE,
    "5a": _sites,
    "6a": _sites,
    "6b": lambda log: methods.people(log.case, log.parts),
    "6c": _treatments,
    "7": _preparation,
    "8a": lambda log: methods.outcome(log.case),
    "8b": _raters,
    "9a": _inputs,
    "9b": _measured,
    "9c": _judged,
    "10": _size,
    "11": _missing,
    "12a": lambda log: methods.partition(log.case, log.parts),
    "12b": _changed,
    "12c": _tuned,
    "12d": _clusters,
    "12e": _measures,
    "12f": _updates,
    "12g": _computed,
    "13": _imbalance,
    "14": _fairness,
    "15": _output,
    "16": _difference,
    "18f": lambda log: methods.software(log.case),
    "20a": _flow,
    "20b": _characteristics,
    "20c": _comparison,
    "21": lambda log: methods.partition(log.case, log.parts),
    "22": _specification,
    "23a": _performance,
    "23b": _by_site,
    "24": _updates,
    "26": _warnings,
    "27a": _poor,
}
"""What the log says on each item that it says anything on."""
ENOUGH = {
    "7", "9a", "11", "12a", "12b", "12c", "12d", "12e", "12f", "12g", "13", "14", "15", "16",
    "20a", "20b", "20c", "21", "22", "23a", "23b",
}  # fmt: skip
"""Items of which the log says all; the others are asked of the owner, too."""
OF_OWNER = {"16"}
"""Items of :data:`ENOUGH` that the owner answers, too, where recordings are from elsewhere."""
NOT_APPLICABLE = {"9c", "24"}
"""Items that do not apply, if the log says so: nobody judged inputs, no model was updated."""
