"""Ray Tune callbacks: print the progress of a study and mirror its log to MLflow."""

import math
import time
from dataclasses import dataclass
from threading import Thread
from typing import Any

from ray import tune

from pdray.command import Say
from pdray.config import value_at
from pdray.display import clock, detail, is_live, step
from pdray.errors import ClusterError, TrackingError
from pdray.search.course import Course
from pdray.search.restarts import last_error, told
from pdray.tracking.run_log import SYSTEM_METRICS, StudyLog

_MIRROR_SECONDS = 10.0
_DEAD_SECONDS = 60.0
_LINE_SECONDS = 5.0
_MEASURE_SECONDS = 30.0
_MIRROR_SHARE = 0.2  # of the driver's time at most, since short trials may outpace a server


class Mirror:
    """Mirrors a study's log to MLflow at intervals; without a server the study continues.

    A thread sends it, so that trials never wait for a server that is slow, hangs or is locked.
    """

    def __init__(self, study: StudyLog, *, uri: str, experiment: str, say: Say) -> None:
        self._where = (study.folder, uri, experiment)
        self._say = say
        self._next = self._earliest = 0.0
        self._thread: Thread | None = None
        self._fault: Exception | None = None
        self.error: TrackingError | None = None
        self.page = ""
        self._study = study
        self._machine: Any = None
        self._next_measure = 0.0

    def __getstate__(self) -> dict[str, Any]:
        """Give Tune nothing to save: the study's folder holds everything."""
        return {}

    def measure(self) -> None:
        """Log the use of this machine at intervals, if ``tracking.system_metrics`` asks for it."""
        if time.monotonic() < self._next_measure:
            return
        if self._machine is None:
            if not value_at(self._study.read()["settings"], "tracking.system_metrics"):
                self._next_measure = math.inf
                return
            from pdray.tracking.system_metrics import Machine

            self._machine = Machine()
        self._machine.note(self._study.folder / SYSTEM_METRICS)
        self._next_measure = time.monotonic() + _MEASURE_SECONDS

    def finish(self) -> None:
        """Send what is new without waiting for the interval; return when it is sent.

        Raises:
            PdrayError: If the log of the study cannot be read.
        """
        with step("sending the log to MLflow"):
            is_sending = self._thread is not None and self._thread.is_alive()
            if self._thread is not None:
                self._thread.join()
            if not (is_sending and self.error):  # which it would only wait for again
                self._fault = None
                self._send()
        if self._fault is not None:
            raise self._fault

    def update(self, *, now: bool = False) -> None:
        """Begin to send what is new if the interval has passed; do not wait for it.

        Args:
            now: Send before the interval has passed, unless the server failed or was slow last
                time, since short trials may outpace it.
        """
        if self._fault is not None or (self._thread is not None and self._thread.is_alive()):
            return
        started = time.monotonic()
        if started >= self._earliest and (started >= self._next or now):
            # Not waited for at the end of the process, as if that was killed: nothing is lost.
            self._thread = Thread(target=self._send, name="mirror", daemon=True)
            self._thread.start()

    def _send(self) -> None:
        started = time.monotonic()
        try:
            self._mirror()
        except Exception as fault:  # noqa: BLE001 - this thread cannot end the study
            self._fault = fault
        ended = time.monotonic()
        pause = _DEAD_SECONDS if self.error else _MIRROR_SECONDS
        self._next = ended + pause
        slow = (ended - started) * (1 / _MIRROR_SHARE - 1)
        self._earliest = self._next if self.error else ended + slow

    def _mirror(self) -> None:
        from pdray.tracking.mlflow_log import mirror_study  # it takes seconds to import

        try:
            sent = mirror_study(*self._where)
        except TrackingError as error:
            if self.error is None:
                self._say(f"tracking: {error}; the study continues and sends it later")
            self.error = error
            return
        if self.error is not None:
            self._say("tracking: MLflow is up to date again")
        self.error, self.page = None, sent.page
        for note in sent.notes:
            self._say(f"tracking: {note}")


@dataclass(frozen=True)
class Extent:
    """The amount of work of a study.

    Attributes:
        num_trials: Trials of the whole study.
        num_ended: Trials that ended before this session.
        num_folds: Folds per trial.
        num_epochs: Epochs per fold.
    """

    num_trials: int
    num_ended: int
    num_folds: int
    num_epochs: int


class Progress(tune.Callback):
    """Prints a line at intervals and at the end of each trial; updates the mirror.

    Args:
        study: The study's log.
        mirror: The mirror to update.
        say: Prints a line.
        extent: The amount of work.
        course: Estimates the time left; it is given every result.
        direction: Name of the score, and whether more is better.

    Attributes:
        best: Score and number of the best complete trial so far; None: there is none.
        lost: Numbers of the trials that this session gave up; the next one goes on with them.
    """

    def __init__(
        self,
        study: StudyLog,
        mirror: Mirror,
        say: Say,
        *,
        extent: Extent,
        course: Course,
        direction: tuple[str, bool],
    ) -> None:
        self._study, self._mirror, self._say = study, mirror, say
        self._extent, self._course = extent, course
        self._metric, self._greater = direction
        self._started = time.monotonic()
        self._last_line = 0.0
        self._num_ended = extent.num_ended
        self.best: tuple[float, int] | None = None
        self.lost: dict[int, str] = {}  # trials given up, and why

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Count an epoch; print it if the last line was printed long enough ago."""
        number, state = result["number"], result["state"]
        is_last = state != "running"
        self._course.take(number, result["step"] + 1, time.monotonic(), is_last=is_last)
        if state == "complete" and self._is_better(result["value"]):
            self.best = (result["value"], number)
        if is_last:
            self._num_ended += 1
            outcome = f"{self._metric} {_told(result['value'])}"
            if state == "failed":
                outcome = self._study.trial(number).read()["reason"]
            self._line(f"trial {number} {state}: {outcome}")
        elif time.monotonic() - self._last_line > _LINE_SECONDS:
            self._line(
                f"trial {number} fold {result['fold'] + 1}/{self._extent.num_folds} "
                f"epoch {result['epoch'] + 1}/{self._extent.num_epochs}: "
                f"{self._metric} {_told(result['value'])}",
                is_kept=False,
            )
        self._mirror.update(now=is_last)

    def resize(self, at_once: int) -> None:
        """Take the number of trials that run at once from now on."""
        self._course.resize(at_once)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Log the use of the machine; Tune takes a step at least every few seconds."""
        self._mirror.measure()

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Log and print that a trial is given up, since its processes were lost."""
        number = trial.config["number"]
        self._course.end(number, time.monotonic())
        reason = f"{told(last_error(trial))}; see {trial.error_file}"
        log = self._study.trial(number)
        if not log.exists() or log.lose(reason):
            self.lost[number] = reason
            self._line(f"trial {number} is given up until --resume: {reason}")
            return
        self._num_ended += 1
        self._line(f"trial {number} failed: {reason}")

    def refuse_lost(self) -> None:
        """Refuse to end a study without the trials that this session gave up.

        Raises:
            ClusterError: Names them, and says how they go on.
        """
        if not self.lost:
            return
        self._mirror.update(now=True)
        raise ClusterError(
            f"trials {', '.join(map(str, sorted(self.lost)))} were given up; of the first: "
            f"{next(iter(self.lost.values()))}. All others are kept. Correct the cause, then "
            "continue with --resume: they go on after the last epoch that they ended. One that "
            "is given up again before it ends an epoch fails, and the study goes on without it"
        )

    def _is_better(self, value: float) -> bool:
        if value != value or self.best is None:
            return value == value
        return value > self.best[0] if self._greater else value < self.best[0]

    def _line(self, what: str, *, is_kept: bool = True) -> None:
        self._last_line = time.monotonic()
        best = "-" if self.best is None else f"{self.best[0]:.3f} (trial {self.best[1]})"
        # Fixed trials are scored on test subjects, and none of them is selected.
        best = f", best {best}" if self._metric.startswith("val/") else ""
        now = time.monotonic()
        spent, seconds = now - self._started, self._course.seconds_left(now)
        left = f"about {clock(seconds)}" if seconds else "-"
        ended = f"{self._num_ended}/{self._extent.num_trials} trials"
        detail(f"{ended}, {left} left{best}; {what}")
        if is_kept or not is_live():
            self._say(f"[{ended}, {clock(spent)} spent, {left} left{best}] {what}")


class RefitProgress(tune.Callback):
    """Prints the progress of the winner's refit, or of its folds."""

    def __init__(self, mirror: Mirror, say: Say, *, num_epochs: int, folds: bool = False) -> None:
        self._mirror, self._say, self._num_epochs = mirror, say, num_epochs
        self._folds = folds
        self._last_line = time.monotonic()

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Print the epoch if the last line was printed long enough ago."""
        if time.monotonic() - self._last_line > _LINE_SECONDS:
            self._last_line = time.monotonic()
            what = f"fold {result['fold']}" if self._folds else "refit"
            done = f"{what}: epoch {result['epoch'] + 1}/{self._num_epochs}"
            detail(done)
            if not is_live():
                self._say(done)
        self._mirror.update()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        """Log the use of the machine."""
        self._mirror.measure()


def _told(value: float) -> str:
    """Return a score as text; ``-`` for an epoch without a score."""
    return "-" if value != value else f"{value:.3f}"
