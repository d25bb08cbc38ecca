"""Winner minus default, and PDR008: the winner of a search is not better than the default.

Both are compared on the out-of-fold predictions of the search, paired by subject. The winner was
chosen on these predictions, so the difference is too good: if it is not shown even so, the search
gave no evidence of a gain.
"""

import math
from dataclasses import dataclass

from pdray.checks.case import Case
from pdray.checks.finding import Finding, State
from pdray.evaluation.comparison_report import p_text
from pdray.evaluation.comparison_tests import Compared, comparison_numbers
from pdray.evaluation.metrics import metric_named
from pdray.evaluation.pairing import Predicted, pair
from pdray.evaluation.predictions import read_predictions
from pdray.evaluation.settings import CompareConfig
from pdray.evaluation.statistics.intervals import TRUTHS
from pdray.tracking.run_log import StudyLog

_CHOSEN = "the winner was chosen on these predictions, so the difference is too good"


@dataclass(frozen=True)
class Gain:
    """What a search gained over its default.

    Attributes:
        metric: The score that it optimised.
        winner: Number of the winning trial.
        default: Number of the trial with the study's own settings, or of the first settings of
            ``search.start``; None: there is none.
        compared: The difference of both; None: they cannot be compared.
        lacking: Why not; empty if they are compared, or the winner is the default.
    """

    metric: str
    winner: int
    default: int | None
    compared: Compared | None = None
    lacking: str = ""

    @property
    def is_default(self) -> bool:
        """Whether the default won."""
        return self.winner == self.default

    @property
    def is_shown(self) -> bool:
        """Whether the winner is shown to be better."""
        one = self.compared
        if one is None or one.verdict != "shown":
            return False
        return (one.value > 0) == metric_named(self.metric).greater_is_better

    @property
    def sentence(self) -> str:
        """The result in one sentence, for the report."""
        head = "winner minus default"
        if self.is_default:
            return f"{head}: none, the winner is the default itself (trial {self.default})"
        if self.compared is None:
            return f"{head}: not known, since {self.lacking}"
        return f"{head}: {self.words}; {_CHOSEN}"

    @property
    def words(self) -> str:
        """The difference with its interval, and whether it is shown."""
        one = self.compared
        assert one is not None, "it is asked for where there is a difference"
        parts = [f"{self.metric} {one.value:+.3f} (trial {self.winner} minus trial {self.default})"]
        if one.undefined:
            return f"{self.metric} undefined: {one.undefined}"
        if one.has_interval:
            parts.append(f"95% interval {one.low:.3f} to {one.high:.3f} {TRUTHS[one.truth]}")  # type: ignore[index]
        people = f"out-of-fold predictions of {one.num_subjects} subjects"
        parts = [", ".join(parts), people]
        if math.isnan(one.p):
            parts.append(f"not tested: {one.reason}")
        else:
            parts.append(f"{'shown' if self.is_shown else 'not shown'} (p {p_text(one.p)})")
        return "; ".join(parts)


def winner_and_default(study: StudyLog) -> tuple[int, int | None]:
    """Return the numbers of a finished search's winner and default; None: it has no default."""
    winner = int(study.winner.read()["number"])
    labels = {int(log.folder.name): log.read()["label"] for log in study.trials()}
    default = min((number for number, label in labels.items() if label), default=None)
    if default is None and study.read()["settings"].get("space") == {}:
        default = winner  # each trial has the study's own settings
    return winner, default


def gain_of(study: StudyLog, metric: str) -> Gain:
    """Compare the winner of a finished search with its default.

    Args:
        study: Its log, with a winner.
        metric: The score that it optimised.
    """
    winner, default = winner_and_default(study)
    if default is None:
        return Gain(metric, winner, None, lacking="no trial has the default settings "
                    "(search.start=sampler)")  # fmt: skip
    if default == winner:
        return Gain(metric, winner, default)
    files = [study.trial(number).predictions_path for number in (winner, default)]
    if not files[1].is_file():
        state = study.trial(default).read()["state"]
        return Gain(metric, winner, default, lacking=f"trial {default}, the default, is {state} "
                    "and kept no predictions")  # fmt: skip
    models = [
        Predicted(name, read_predictions(file))
        for name, file in zip(("winner", "default"), files, strict=True)
    ]
    # With search.reshuffle, both have the same rows in different folds.
    numbers = comparison_numbers(pair(models, common_rows=True), CompareConfig(), [metric])
    (compared,) = (one for one in numbers if one.table == "difference")
    return Gain(metric, winner, default, compared)


def run(case: Case) -> Finding:
    """Compare the winner with the default, and count the outer folds that kept the default."""
    if not case.study.winner.exists():
        return Finding(state="unknown", found="there is no winner")
    if case.config.get("space") == {}:
        return Finding(state="passed", found="nothing was searched: the space is empty")
    gain = gain_of(case.study, case.metric)
    state: State = "passed" if gain.is_shown else "warning"
    if not gain.is_default and (gain.compared is None or math.isnan(gain.compared.p)):
        state = "unknown"
    one = gain.compared
    found = gain.sentence.removeprefix("winner minus default: ").removesuffix(f"; {_CHOSEN}")
    outer = [winner_and_default(log) for log in case.searches if log.folder != case.study.folder]
    if outer:
        kept = sum(winner == default for winner, default in outer)
        found += f"; the default won {kept} of the {len(outer)} searches in outer folds"
    return Finding(
        state=state,
        looked_at="out-of-fold predictions of the winner and of the default (the study's own "
        "settings), paired by subject",
        found=found,
        sure=f"an exchange of whole subjects, p up to 0.05 is shown; {_CHOSEN}",
        advice="use the default settings, or search on with more trials or another space; do not "
        "report that the search improved the model",
        numbers={} if one is None else {"difference": one.value, "low": one.low, "high": one.high,
                                        "p": one.p},
    )  # fmt: skip
