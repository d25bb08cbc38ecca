"""Replays recorded learning curves under rules that end trials early, and prints what each loses.

    python -m benchmarks.search                # a few minutes on one core
    python -m benchmarks.search replays=20     # only a test run

``benchmarks/data/curves.json.xz`` holds the MCC of settings by fold and epoch, in several sets
(``benchmarks/curves.py`` recorded them). A replay puts the settings of a set and its folds into
random orders and lets a rule end trials, one trial after the other. The winner is the complete
trial with the best score, as in a study. Printed are, for each rule:

- ``cost``: trial-epochs that were trained, over those of the exhaustive search;
- ``kept``: share of replays whose winner is that of the exhaustive search, or at most 0.25 standard
  errors (SE) below it; the SE is of the mean difference between the two over the folds, paired;
- ``regret``: mean distance of the winner from the exhaustive one, in such SE.

``search.patience`` ends the whole search: the rows with it count the trials until then.

A replay cannot show what a sampler would have proposed after other trials had ended: it tests the
rule, not the search. One trial runs at a time.
"""

import json
import lzma
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import numpy as np
import optuna
from numpy.typing import NDArray
from pydantic import Field
from ray.tune.schedulers import AsyncHyperBandScheduler

from pdray.config import Settings, load
from pdray.search.budget import num_since_better
from pdray.search.pruning import FoldRule, QuantileRule, choose_epoch, mean_over_folds

KEPT = Path(__file__).resolve().parent / "data" / "curves.json.xz"
NEAR = 0.25  # SE below the exhaustive winner that still count as kept
Curves = Sequence[Sequence[float]]
Floats = NDArray[np.float64]


class ReplayConfig(Settings):
    """Settings of the replay."""

    replays: int = Field(200, ge=1, description="replays per set [count]")
    curves: Path = Field(KEPT, description="recorded curves")
    seed: int = Field(0, ge=0, description="seed of the orders")


class Rule(Protocol):
    """Ends trials of one search.

    Attributes:
        is_over: Whether no further trial starts.
    """

    is_over: bool

    def ends(self, trial: int, rows: Curves) -> bool:
        """Take a new epoch, the last of ``rows`` (by fold and epoch); return whether it ends."""

    def close(self, trial: int, rows: Curves, *, is_complete: bool) -> None:
        """Take a trial that has ended."""


class Never:
    """No pruning."""

    is_over = False

    def ends(self, trial: int, rows: Curves) -> bool:
        """Never."""
        return False

    def close(self, trial: int, rows: Curves, *, is_complete: bool) -> None:
        """Take nothing."""


class Ours(Never):
    """A rule of pdray."""

    def __init__(self, rule: FoldRule | QuantileRule) -> None:
        self.rule = rule

    def ends(self, trial: int, rows: Curves) -> bool:
        """Ask the rule, as a trial does."""
        return self.rule.decide(trial, rows) is not None


class Patient(Ours):
    """A rule of pdray, with ``search.patience``."""

    def __init__(self, rule: FoldRule | QuantileRule, patience: int) -> None:
        super().__init__(rule)
        self.patience = patience
        self.complete: list[Floats] = []

    def close(self, trial: int, rows: Curves, *, is_complete: bool) -> None:
        """Count the complete trials since the last one that was better beyond noise."""
        if is_complete:
            epoch, _ = choose_epoch(rows, greater_is_better=True)
            self.complete.append(np.array(rows)[:, epoch])
            self.is_over = num_since_better(self.complete) >= self.patience


class Between(Never):
    """Bergman, Purucker, Hutter (AutoML 2024), section 3: ends a trial between two folds.

    ``forgiving``: its mean over the folds so far is not above the worst fold of the best complete
    trial; ``aggressive``: not above that trial's mean. The mean is that of its best epoch.
    """

    def __init__(self, num_epochs: int, of_best: Callable[[Floats], float]) -> None:
        self.num_epochs, self.of_best = num_epochs, of_best
        self.best, self.limit = -np.inf, -np.inf

    def ends(self, trial: int, rows: Curves) -> bool:
        """Compare at the end of each fold."""
        is_end = len(rows[-1]) == self.num_epochs
        return is_end and choose_epoch(rows, greater_is_better=True)[1] <= self.limit

    def close(self, trial: int, rows: Curves, *, is_complete: bool) -> None:
        """Keep the limit of the best trial."""
        if not is_complete:
            return
        epoch, value = choose_epoch(rows, greater_is_better=True)
        if value > self.best:
            self.best, self.limit = value, self.of_best(np.array(rows)[:, epoch])


class OfOptuna(Never):
    """A pruner of Optuna, asked after each epoch or after each fold.

    After an epoch it gets the mean over the folds so far, after a fold the fold's best score.
    """

    def __init__(
        self, pruner: optuna.pruners.BasePruner, num_epochs: int, *, of_folds: bool
    ) -> None:
        self.study = optuna.create_study(direction="maximize", pruner=pruner, study_name="replay")
        self.num_epochs, self.of_folds = num_epochs, of_folds
        self.trials: dict[int, optuna.Trial] = {}

    def ends(self, trial: int, rows: Curves) -> bool:
        """Report a value and ask."""
        if trial not in self.trials:
            self.trials[trial] = self.study.ask()
        fold, epoch = len(rows) - 1, len(rows[-1]) - 1
        own = self.trials[trial]
        if not self.of_folds:
            own.report(mean_over_folds(rows, fold, epoch), fold * self.num_epochs + epoch)
        elif epoch == self.num_epochs - 1:
            own.report(max(rows[-1]), fold)
        else:
            return False
        return bool(own.should_prune())

    def close(self, trial: int, rows: Curves, *, is_complete: bool) -> None:
        """Tell the value of a complete trial."""
        if is_complete:
            self.study.tell(self.trials[trial], choose_epoch(rows, greater_is_better=True)[1])
        else:
            self.study.tell(self.trials[trial], state=optuna.trial.TrialState.PRUNED)


class OfTune(Never):
    """ASHA of Ray Tune; it gets the mean over the folds so far."""

    def __init__(self, num_folds: int, num_epochs: int, grace: int) -> None:
        self.num_epochs = num_epochs
        self.scheduler = AsyncHyperBandScheduler(
            time_attr="step",
            metric="value",
            mode="max",
            max_t=num_folds * num_epochs + 1,  # it ends nothing by itself
            grace_period=grace,
        )
        self.trials: dict[int, Any] = {}

    def ends(self, trial: int, rows: Curves) -> bool:
        """Report a value; stop where ASHA stops."""
        if trial not in self.trials:
            self.trials[trial] = SimpleNamespace(trial_id=str(trial), config={})
            self.scheduler.on_trial_add(None, self.trials[trial])
        fold, epoch = len(rows) - 1, len(rows[-1]) - 1
        result = {
            "step": fold * self.num_epochs + epoch + 1,
            "value": mean_over_folds(rows, fold, epoch),
        }
        answer = self.scheduler.on_trial_result(None, self.trials[trial], result)
        return bool(answer == AsyncHyperBandScheduler.STOP)


def _wilcoxon() -> optuna.pruners.BasePruner:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.pruners.WilcoxonPruner()


def rules(num_folds: int, num_epochs: int) -> dict[str, Callable[[], Rule]]:
    """Return the rules by name; each call makes one for a new search."""
    early = num_epochs // 4  # as search.prune_after_epochs=5 of 20
    ours: dict[str, Any] = {
        "num_epochs": num_epochs,
        "greater_is_better": True,
        "num_trials": 4,
        "first_epoch": early,
    }
    pruners = optuna.pruners
    steps = num_folds * num_epochs
    return {
        "no pruning": Never,
        "quantile, worst quarter": lambda: Ours(QuantileRule(quantile=0.25, **ours)),
        "between folds (pdray)": lambda: Ours(FoldRule(num_folds=num_folds, **ours)),
        "  and patience 10": lambda: Patient(FoldRule(num_folds=num_folds, **ours), 10),
        "  and patience 20": lambda: Patient(FoldRule(num_folds=num_folds, **ours), 20),
        "forgiving": lambda: Between(num_epochs, np.min),
        "aggressive": lambda: Between(num_epochs, np.mean),
        "Optuna Median": lambda: OfOptuna(pruners.MedianPruner(), num_epochs, of_folds=False),
        "Optuna Hyperband": lambda: OfOptuna(
            pruners.HyperbandPruner(min_resource=early, max_resource=steps),
            num_epochs,
            of_folds=False,
        ),
        "Optuna Wilcoxon": lambda: OfOptuna(_wilcoxon(), num_epochs, of_folds=True),
        "Tune ASHA": lambda: OfTune(num_folds, num_epochs, early),
    }


class Outcome(NamedTuple):
    """Result of one replay: share of the exhaustive cost, and regret in SE."""

    cost: float
    regret: float


class Recorded:
    """Recorded trials of one set.

    Attributes:
        scores: (T, F, E) score by trial, fold and epoch; more is better.
        values: (T,) score at the chosen epoch, over the folds.
        folds: (T, F) score of each fold at the chosen epoch.
    """

    def __init__(self, scores: Floats) -> None:
        self.scores = scores
        chosen = [choose_epoch(one.tolist(), greater_is_better=True) for one in scores]
        self.values = np.array([value for _, value in chosen])
        self.folds = np.array(
            [one[:, epoch] for one, (epoch, _) in zip(scores, chosen, strict=True)]
        )

    def regret(self, complete: Sequence[int]) -> float:
        """Return how far the best of some trials is below the best of all, in paired SE."""
        if not complete:
            return np.inf
        winner = max(complete, key=lambda trial: float(self.values[trial]))
        gaps = self.folds[int(self.values.argmax())] - self.folds[winner]
        if gaps.mean() <= 0:
            return 0.0
        error = gaps.std(ddof=1) / np.sqrt(len(gaps))
        return float(gaps.mean() / error) if error else np.inf


def replay(recorded: Recorded, order: Sequence[int], rule: Rule) -> Outcome:
    """Run one search over recorded scores, its trials in an order, with a new rule."""
    spent, complete = 0, []
    for number, trial in enumerate(order):
        if rule.is_over:
            break
        rows: list[list[float]] = []
        for step, (_, epoch) in enumerate(np.ndindex(recorded.scores.shape[1:])):
            if epoch == 0:
                rows.append([])
            rows[-1].append(float(recorded.scores[trial].flat[step]))
            # As in a study, the rule takes the last epoch too, but it ends nothing there.
            if rule.ends(number, rows) and step < recorded.scores[trial].size - 1:
                break
        else:
            complete.append(trial)
        spent += sum(map(len, rows))
        rule.close(number, rows, is_complete=bool(complete) and complete[-1] == trial)
    return Outcome(spent / recorded.scores.size, recorded.regret(complete))


def draw_searches(scores: Floats, config: ReplayConfig) -> list[tuple[Recorded, list[int]]]:
    """Draw the order of the folds and that of the trials for each replay."""
    generator = np.random.default_rng(config.seed)
    return [
        (
            Recorded(scores[:, generator.permutation(scores.shape[1])]),
            generator.permutation(len(scores)).tolist(),
        )
        for _ in range(config.replays)
    ]


def main(argv: list[str]) -> int:
    """Replay all sets."""
    config = load(ReplayConfig, argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    recorded: Mapping[str, list[dict[str, Any]]] = json.loads(
        lzma.decompress(config.curves.read_bytes())
    )
    for name, trials in recorded.items():
        scores = np.array([trial["mcc"] for trial in trials])
        print(f"{name}: {len(scores)} trials, {scores.shape[1]} folds, {scores.shape[2]} epochs")
        print(f"  {'':26}{'cost':>6}{'kept':>8}{'regret':>8}")
        searches = draw_searches(scores, config)
        for rule, make in rules(*scores.shape[1:]).items():
            found = [replay(*search, make()) for search in searches]
            cost, regret = (np.mean([getattr(one, of) for one in found]) for of in Outcome._fields)
            kept = np.mean([one.regret <= NEAR for one in found])
            print(f"  {rule:26}{cost:6.3f}{kept:8.1%}{regret:8.3f}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
