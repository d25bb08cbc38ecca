"""p against chance: the whole study again, with grades exchanged between subjects.

A test on fixed out-of-fold predictions is no such p: predictions of folds depend on each other, and
on noise it rejects too often. So folds, search, choice and refit run again on each exchange
(permutation test; Ojala and Garriga 2010, test 1). Each run is a study of its own in
``<study>/permuted/<number>``; nothing of it is listed as a scoring of the test subjects.
"""

import json
import math
from dataclasses import dataclass, replace
from typing import Any

from pdray.atomic import write_text
from pdray.command import Say
from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.exchange import alike, exchange_grades
from pdray.data.cohort.manifest import Manifest
from pdray.data.cohort.members import Cohort, rate
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import FoldsError
from pdray.evaluation.metrics import METRICS
from pdray.search.opening import OpenStudy, open_beside
from pdray.search.plan import StudyPlan, with_search
from pdray.search.protocol import Settled, check_metric, settle
from pdray.tracking.run_log import CHANCE, PERMUTED, REPORT, StudyLog

_ATTEMPTS = 100  # exchanges that are drawn for one whose subjects can be split


@dataclass(frozen=True)
class Chance:
    """The score of a study and of the same study with exchanged grades.

    Attributes:
        metric: Name of the score.
        value: Score of the study; nan if undefined.
        permuted: Score of each exchange; nan if undefined.
    """

    metric: str
    value: float
    permuted: tuple[float, ...]

    @property
    def p(self) -> float:
        """(1 + exchanges at least as good) / (1 + exchanges); nan if the score is undefined.

        The observed assignment is one of them, so that p is never 0 (Phipson and Smyth 2010). An
        exchange without a score counts as one that is as good.
        """
        if math.isnan(self.value):
            return math.nan
        sign = 1 if METRICS[self.metric].greater_is_better else -1
        worse = sum(sign * one < sign * self.value for one in self.permuted)
        return (1 + len(self.permuted) - worse) / (1 + len(self.permuted))

    @property
    def line(self) -> str:
        """The result in a sentence."""
        num = len(self.permuted)
        start = f"p against chance (test/{self.metric}):"
        if math.isnan(self.value):
            return f"{start} none, since the score is undefined"
        known = [one for one in self.permuted if not math.isnan(one)]
        told = f", which scored {min(known):.3f} to {max(known):.3f}" if known else ""
        return (
            f"{start} {self.p:.3g}, from {num} repetitions of the whole study with grades "
            f"exchanged between subjects{told}; the smallest p of {num} is {1 / (1 + num):.2g}"
        )


def check_permutations(plan: StudyPlan, cohort: Cohort) -> None:
    """Refuse a p against chance where no grades can change places, before anything starts.

    Raises:
        FoldsError: If no two subjects have equally many recordings of each item.
    """
    if plan.config.evaluation.permutations:
        alike(cohort.recordings)


def num_permuted(study: StudyLog) -> int:
    """Return from how many exchanges the study has its p; 0: it has none."""
    path = study.folder / CHANCE
    return len(json.loads(path.read_text(encoding="utf-8"))["permuted"]) if path.is_file() else 0


def report_chance(
    plan: StudyPlan, manifest: Manifest, ready: OpenStudy, study: StudyLog, say: Say
) -> str:
    """Run the exchanges that are missing, and add p to the report of a study.

    Args:
        plan: Its settings, with a protocol.
        manifest: Its manifest.
        ready: Its recordings, which are prepared.
        study: Its log, whose winner is scored and whose report is written.
        say: Prints a line.

    Returns:
        The line of the report; empty if ``evaluation.permutations`` is 0.

    Raises:
        FoldsError: If no exchange can be split as the study is.
        StudyError: If all trials of an exchange failed.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    asked, metric = plan.config.evaluation.permutations, plan.config.search.metric
    if not asked:
        return ""
    values = []
    for number in range(asked):
        log = study.permuted(number)
        if not log.is_complete():
            _run_one(plan, manifest, ready, log, number)
        values.append(_value(log, plan))
        say(f"permutation {number + 1} of {asked}: test/{metric} {values[-1]:.3f}")
    found = Chance(metric, _value(study, plan), tuple(values))
    write_text(study.folder / CHANCE, json.dumps(_plain(found), indent=1) + "\n")
    report = (study.folder / REPORT).read_text(encoding="utf-8").rstrip()
    write_text(study.folder / REPORT, f"{report}\n{found.line}\n")
    return found.line


def exchanged(
    plan: StudyPlan, manifest: Manifest, cohort: Cohort, number: int
) -> tuple[Settled, Cohort]:
    """Return a study with exchanged grades, split as it would be with these grades.

    Args:
        plan: Settings of the study, with a protocol.
        manifest: Its manifest.
        cohort: Its recordings that can be read.
        number: Which exchange, from 0.

    Returns:
        The study, and the cohort whose recordings have the exchanged grades.

    Raises:
        FoldsError: If none of many exchanges can be split.
    """
    name = f"{plan.config.search.name}-{PERMUTED}-{number:03d}"
    named = with_search(plan, name=name, keep_folds=False)
    refused = FoldsError("no exchange was drawn")
    for attempt in range(_ATTEMPTS):
        seed = derive_seed(plan.seed, "permuted", number, attempt) % 2**32
        moved = {one.recording_id: one for one in exchange_grades(cohort.recordings, seed)}
        rows = tuple(moved.get(one.recording_id, one) for one in manifest.recordings)
        try:
            settled = settle(named, replace(manifest, recordings=rows))
            check_metric(settled)
        except FoldsError as error:
            refused = error
            continue
        return settled, replace(cohort, recordings=tuple(moved.values()))
    raise FoldsError(
        f"evaluation.permutations: none of {_ATTEMPTS} exchanges of grades can be split as the "
        f"study is: {refused}; set evaluation.permutations=0, or use fewer folds"
    )


def _run_one(
    plan: StudyPlan, manifest: Manifest, ready: OpenStudy, log: StudyLog, number: int
) -> None:
    """Run the searches of one exchange; its last search, which tests nobody, is left out."""
    from pdray.search.nested import run_outer
    from pdray.search.searching import run_search

    settled, cohort = exchanged(plan, manifest, ready.cohort, number)
    rows = _with_classes(ready.trials.recordings, cohort)
    trials = replace(ready.trials, recordings=rows)
    beside = replace(ready, cohort=cohort, trials=trials, is_permuted=True)
    beside = open_beside(beside, settled.plan, settled.cohort, log, _quiet)
    if settled.outer:
        run_outer(settled.outer, beside, log, _quiet)
        log.finish(state="complete")
    else:
        found = run_search(settled.plan, beside, log, _quiet)
        log.finish(state="complete", best=found.best)


def _with_classes(
    recordings: tuple[RatedRecording, ...], cohort: Cohort
) -> tuple[RatedRecording, ...]:
    """Return recordings with the grades of a cohort; files and entries stay."""
    grades = {
        one.recording_id: rate(one, cohort.grade_cuts, stored=None) for one in cohort.recordings
    }
    return tuple(
        replace(one, grade=new.grade, target=new.target, shares=new.shares, facts=new.facts)
        for one in recordings
        if not one.carries  # made with the class that it was to show
        for new in [grades[one.recording_id]]
    )


def _value(study: StudyLog, plan: StudyPlan) -> float:
    """Return the score of a study as its report prints it."""
    from pdray.evaluation.predictions import by_recording, read_predictions
    from pdray.evaluation.procedure import procedure_numbers
    from pdray.evaluation.score_intervals import score_interval
    from pdray.search.evaluating import outer_folds

    metric = plan.config.search.metric
    if study.pooled_path.is_file():
        numbers, _ = procedure_numbers(outer_folds(study), plan.config.decision, metric)
        return numbers[0].value
    table = by_recording(read_predictions(study.winner.predictions_path))
    return score_interval(table, metric).value


def _plain(found: Chance) -> dict[str, Any]:
    def known(value: float) -> float | None:  # JSON has no nan
        return None if math.isnan(value) else value

    return {
        "metric": found.metric,
        "value": known(found.value),
        "permuted": [known(one) for one in found.permuted],
        "p": known(found.p),
    }


def _quiet(line: str) -> None:
    """Print nothing: one line is enough for each exchange."""
