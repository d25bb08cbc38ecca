"""The log of a study: files in one folder, complete without any tracking server.

    <study>/study.json                       name, study_id, settings, tags, state, best
    <study>/digests.jsonl                    digests of these files, see digests.py
    <study>/report.txt                       leaderboard, test scores and checks, as printed
    <study>/checks.json                      what the checks found
    <study>/time.json                        seconds of trials, refit and folds, and their forecast
    <study>/evaluation/                      every number of the winner, report, pictures
    <study>/report/                          the report to publish, without pseudonyms
    <study>/exports.jsonl                    a line for each export of its models
    <study>/private/                         who took part, by pseudonym; its owner may read it
    <study>/history.png, importance.png      scores of the trials, and which settings mattered
    <study>/importance.json                  the numbers of that picture
    <study>/system_metrics.jsonl             use of the driver's machine, if it is asked for
    <study>/trials/0007/trial.json           params, settings, state, value, chosen epoch
    <study>/trials/0007/epochs.jsonl         one line per fold and epoch, appended and flushed
    <study>/trials/0007/predictions/*.parquet    predictions of each epoch, while the trial runs
    <study>/trials/0007/predictions.parquet      predictions of the chosen epoch, all folds
    <study>/trials/0007/translations.parquet     of a translator: its rows, in place of predictions
    <study>/winner/                          the same files, with test scores, and model.pt
    <study>/winner/folds/0/                  the same files of the winner without its fold 0
    <study>/winner/learnt.json               of a translator: whom its weights learnt from
    <study>/outer/00/, <study>/outer/1-00/   the same of the search in an outer fold (of repeat 1)
    <study>/outer/predictions.parquet        test predictions of the winners of all outer folds

If the process is killed, all files are whole, except perhaps the last line of ``epochs.jsonl``,
which is dropped on reading and before the next line is written. One process writes to a trial.
"""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pdray.atomic import held, replacing, write_text
from pdray.errors import StudyError, TrackingError
from pdray.tracking.digests import Digests
from pdray.tracking.epoch_lines import EpochRecord, decoded, encode, encoded, read_epochs

if TYPE_CHECKING:  # pandas takes 0.4 s to import, also for a command line with a mistake
    import pandas as pd

State = Literal["running", "complete", "pruned", "failed"]
PREDICTIONS = "predictions.parquet"
TRANSLATIONS = "translations.parquet"
LEARNT = "learnt.json"
PICTURES = ("confusion.png", "roc.png")
MODEL = "model.pt"
OUTER = "outer"
PERMUTED = "permuted"
CHANCE = "permutations.json"
SEARCH_PICTURES = ("history.png", "importance.png")
REPORT = "report.txt"
PAGE = "report/report.html"
IMPORTANCE = "importance.json"
FINDINGS = "checks.json"
SYSTEM_METRICS = "system_metrics.jsonl"
NUMBERS = "numbers.csv"
EXPORTS = "exports.jsonl"


class StudyLog:
    """The folder of one study."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.folds_path = folder / "folds.json"
        self.optuna_path = folder / "optuna.db"
        self.weights_path = folder / "weights.json"  # digests of files that trials start from
        self.winner = TrialLog(folder / "winner")
        self.evaluation = folder / "evaluation"
        self.pooled_path = folder / OUTER / PREDICTIONS
        names = ("study.json", "folds.json", "entries.json", "weights.json")
        self.own_files = tuple(folder / name for name in names)  # with which it goes on
        # Written again until the study is complete.
        self.final_files = (folder / REPORT, folder / FINDINGS, folder / CHANCE, self.pooled_path)

    @property
    def name(self) -> str:
        """Name of the study; that of a search inside another study begins with its name."""
        kind = self.folder.parent.name
        if kind not in (OUTER, PERMUTED):
            return self.folder.name
        return f"{StudyLog(self.folder.parents[1]).name}-{kind}-{self.folder.name}"

    def outer(self, key: str) -> "StudyLog":
        """Return the log of the search in an outer fold, even if it has not started."""
        return StudyLog(self.folder / OUTER / key)

    def permuted(self, number: int) -> "StudyLog":
        """Return the log of the study with exchanged grades, even if it has not started."""
        return StudyLog(self.folder / PERMUTED / f"{number:03d}")

    def outer_studies(self) -> list["StudyLog"]:
        """Return the logs of the searches in outer folds that have started, in their order."""
        found = [path.parent for path in (self.folder / OUTER).glob("*/study.json")]
        by_number = sorted(found, key=lambda path: [int(part) for part in path.name.split("-")])
        return [StudyLog(folder) for folder in by_number]

    def whole(self) -> "StudyLog | None":
        """Return the study to which the search in an outer fold belongs; None: it is no such."""
        study = StudyLog(self.folder.absolute().parents[1])
        return study if self.folder.parent.name == OUTER and study.exists() else None

    def exists(self) -> bool:
        """Return whether the folder contains a study."""
        return (self.folder / "study.json").is_file()

    def start(
        self, *, name: str, settings: Mapping[str, Any], tags: Mapping[str, str]
    ) -> dict[str, Any]:
        """Write ``study.json``, or continue a study: keep its id and tags, replace its settings.

        Args:
            name: Name of the study.
            settings: All settings, nested plain values.
            tags: Tags that identify code, data and versions: see ``provenance.py``. The tag
                ``synthetic`` ("true") marks a SYNTHETIC cohort.

        Returns:
            The content of ``study.json``.
        """
        now = time.time()
        new = {"name": name, "study_id": uuid.uuid4().hex, "started": now, "settings": settings}
        study = self.read() if self.exists() else {**new, "tags": dict(tags)}
        study |= {"settings": settings, "state": "running", "ended": None, "best": None}
        self.write("study.json", _json(study))
        return study

    def is_complete(self) -> bool:
        """Return whether the folder contains a study that ran to its end."""
        return self.exists() and self.read()["state"] == "complete"

    def finish(self, *, state: State, best: int | None = None) -> None:
        """Write how the study ended and, if there is a winner, which trial it is."""
        ended = {"state": state, "ended": time.time(), "best": best}
        if state == "complete":
            Digests(self.folder).add(self.final_files)
        self.write("study.json", _json(self.read() | ended))

    def write(self, name: str, text: str) -> None:
        """Replace a file of the study that the driver alone writes; its digest is listed."""
        Digests(self.folder).write(self.folder / name, text.encode())

    def read(self) -> dict[str, Any]:
        """Return the content of ``study.json``.

        Raises:
            StudyError: If it is absent or is not JSON.
        """
        path = self.folder / "study.json"
        if not path.exists():
            raise StudyError(
                f"{self.folder}: holds no study, whose folder has a study.json; give the folder of "
                "one, such as OUTPUT/studies/NAME"
            )
        return read_json(path)

    def system_metrics(self) -> list[tuple[float, dict[str, float]]]:
        """Return the time [unix s] and the numbers of each complete line of system metrics."""
        try:
            *lines, _ = (self.folder / SYSTEM_METRICS).read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return []
        found = []
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # a kill may leave half a line
                entry = json.loads(line)
                found.append((float(entry["time"]), dict(entry["metrics"])))
        return found

    @contextmanager
    def mirroring(self) -> Iterator[None]:
        """Lock the study for one upload to a tracking server.

        Raises:
            TrackingError: If another process has locked it.
        """
        with ExitStack() as stack:
            try:
                stack.enter_context(held(self.folder / "mirror.lock"))
            except BlockingIOError as error:
                message = f"{self.folder}: another process is sending this study; try again later"
                raise TrackingError(message) from error
            yield

    def trial(self, number: int) -> "TrialLog":
        """Return the log of a trial, even if it has not started."""
        return TrialLog(self.folder / "trials" / f"{number:04d}")

    def kept_fold(self, fold: int) -> "TrialLog":
        """Return the log of a fold of the winner that is trained again, even if it has not started.

        Its ``model.pt`` has the weights that did not learn from the subjects of this fold.
        """
        return TrialLog(self.winner.folder / "folds" / str(fold))

    def trials(self) -> list["TrialLog"]:
        """Return the logs of all started trials, sorted by number."""
        found = [path.parent for path in (self.folder / "trials").glob("*/trial.json")]
        return [TrialLog(folder) for folder in sorted(found, key=lambda path: int(path.name))]


class TrialLog:
    """The log of one trial, or of the winner."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.predictions_path = folder / PREDICTIONS
        self.translations_path = folder / TRANSLATIONS
        self.learnt_path = folder / LEARNT
        self.model_path = folder / MODEL
        self._lines = folder / "epochs.jsonl"
        # What is left of a trial that has ended; its state is written last.
        ended = (PREDICTIONS, TRANSLATIONS, MODEL, LEARNT, "trial.json")
        self.files = (self._lines, *(folder / name for name in ended))
        self._last_step: int | None = None

    def exists(self) -> bool:
        """Return whether the trial was started."""
        return (self.folder / "trial.json").is_file()

    def start(
        self,
        *,
        number: int,
        num_epochs: int,
        params: Mapping[str, Any],
        settings: Mapping[str, Any],
        role: Literal["trial", "winner", "fixed", "fold"] = "trial",
        label: str | None = None,
    ) -> None:
        """Write ``trial.json``; a resumed trial keeps its start time.

        Args:
            number: The trial's number; for a winner and its folds, that of the trial that won.
            num_epochs: Epochs per fold.
            params: Values of the searched settings, by dotted key.
            settings: All settings, nested plain values.
            role: "winner" for the refit, "fold" for a fold of the winner that is trained again,
                "fixed" for a trial of a comparison.
            label: Name of the trial; None: its number.
        """
        before = self.read() if self.exists() else {}
        trial = {
            "number": number,
            "role": role,
            "label": label,
            "num_epochs": num_epochs,
            "params": dict(params),
            "settings": settings,
            "started": before.get("started", time.time()),
            "ended": None,
            "state": "running",
            "value": None,
            "chosen_epoch": None,
            "reason": None,
            "lost_after": before.get("lost_after"),
        }
        _write_json(self.folder / "trial.json", trial)

    def read(self) -> dict[str, Any]:
        """Return the content of ``trial.json``; ``value`` and scores are floats or None.

        Raises:
            StudyError: If it is absent or is not JSON.
        """
        trial = read_json(self.folder / "trial.json")
        scores = {name: decoded(numbers) for name, numbers in trial.get("scores", {}).items()}
        value = trial["value"]
        return trial | {"value": None if value is None else float(value), "scores": scores}

    def write_epoch(
        self,
        *,
        fold: int,
        epoch: int,
        metrics: Mapping[str, float],
        predictions: "pd.DataFrame | None" = None,
    ) -> None:
        """Append one epoch of one fold; writing it again replaces it and everything after it.

        Args:
            fold: From 0.
            epoch: From 0, within the fold.
            metrics: Value of each metric, by logged name ("val/mcc").
            predictions: Predictions of this epoch; written to disk before the line.
        """
        step = fold * int(self.read()["num_epochs"]) + epoch
        if self._last_step is None or step <= self._last_step:
            self.truncate(step)
        if predictions is not None:
            with replacing(self._epoch_predictions(fold, epoch)) as temporary:
                predictions.to_parquet(temporary, index=False)
        with self._lines.open("a", encoding="utf-8") as file:
            file.write(EpochRecord(fold, epoch, step, time.time(), dict(metrics)).line)
            file.flush()
            os.fsync(file.fileno())
        self._last_step = step

    def epochs(self) -> list[EpochRecord]:
        """Return all complete lines in order; a half-written last line is left out.

        Raises:
            StudyError: If a line before the last cannot be read; names file and line.
        """
        return list(read_epochs(self._lines))

    def whole_epochs(self) -> tuple[list[EpochRecord], str]:
        """Return the lines before the first one that cannot be read, and what is wrong with it."""
        found: list[EpochRecord] = []
        try:
            for record in read_epochs(self._lines):
                found.append(record)
        except StudyError as error:
            return found, str(error).partition(";")[0]
        return found, ""

    def has_table(self, record: EpochRecord) -> bool:
        """Return whether the predictions of an epoch are there, by their first and last bytes."""
        path = self._epoch_predictions(record.fold, record.epoch)
        content = path.read_bytes() if path.is_file() else b""
        return len(content) > 8 and content[:4] == content[-4:] == b"PAR1"

    def truncate(self, num_steps: int) -> None:
        """Keep only the steps 0..num_steps-1, as after a restart from a checkpoint."""
        kept = [record for record in self.whole_epochs()[0] if record.step < num_steps]
        write_text(self._lines, "".join(record.line for record in kept))
        names = {self._epoch_predictions(record.fold, record.epoch).name for record in kept}
        for path in (self.folder / "predictions").glob("*.parquet"):
            if path.name not in names:
                path.unlink()
        self._last_step = kept[-1].step if kept else -1

    def read_epoch(self, epoch: int) -> "pd.DataFrame | None":
        """Return the predictions of one epoch of all folds, or None if there are none."""
        import pandas as pd

        paths = sorted(
            (self.folder / "predictions").glob(f"fold*_epoch{epoch:03d}.parquet"),
            key=lambda path: int(path.name.removeprefix("fold").partition("_")[0]),
        )
        tables = [pd.read_parquet(path) for path in paths]
        return pd.concat(tables, ignore_index=True) if tables else None

    def finish(
        self,
        *,
        state: State,
        value: float | None = None,
        chosen_epoch: int | None = None,
        reason: str | None = None,
        scores: Mapping[str, Mapping[str, float]] | None = None,
        draw: "Callable[[pd.DataFrame, Path], None] | None" = None,
    ) -> None:
        """End the trial: keep the chosen epoch's predictions, then write the state.

        The state is written last, so a reader that sees a finished trial finds all its files.

        Args:
            state: How it ended.
            value: The score that the search compares, or None.
            chosen_epoch: Epoch whose predictions are kept; None keeps none.
            reason: Why it was pruned or failed.
            scores: Test scores by logged name ("test/mcc"), each with "value", "low", "high" and
                any other number.
            draw: Called with the kept table and this folder, to write the pictures of
                :data:`PICTURES`.
        """
        table = None if chosen_epoch is None else self.read_epoch(chosen_epoch)
        if table is not None:
            name = TRANSLATIONS if "target_class" in table else PREDICTIONS
            with replacing(self.folder / name) as temporary:
                table.to_parquet(temporary, index=False)
            if draw is not None:
                draw(table, self.folder)
        ended = {
            "state": state,
            "value": None if value is None else encode(value),
            "chosen_epoch": chosen_epoch,
            "reason": reason,
            "ended": time.time(),
            "scores": {name: encoded(numbers) for name, numbers in (scores or {}).items()},
        }
        _write_json(self.folder / "trial.json", read_json(self.folder / "trial.json") | ended)
        shutil.rmtree(self.folder / "predictions", ignore_errors=True)

    def lose(self, reason: str) -> bool:
        """Note that a session gave the trial up, because its processes were lost.

        Args:
            reason: How they were lost.

        Returns:
            Whether another session goes on with it. If it was given up before and has ended no
            epoch since, it has failed.
        """
        path, num_epochs = self.folder / "trial.json", len(self.epochs())
        trial = read_json(path)
        if trial.get("lost_after") == num_epochs:
            self.finish(state="failed", reason=reason)
            return False
        _write_json(path, trial | {"reason": reason, "lost_after": num_epochs})
        return True

    def _epoch_predictions(self, fold: int, epoch: int) -> Path:
        return self.folder / "predictions" / f"fold{fold}_epoch{epoch:03d}.parquet"


def learnt_from_rendered(file: Path) -> bool:
    """Return whether a weights file is the winner of a study on SYNTHETIC recordings."""
    study = study_of_winner(file)
    return study is not None and study.read()["tags"].get("synthetic") == "true"


def study_of_winner(file: Path) -> StudyLog | None:
    """Return the study whose winner is in a weights file, or None."""
    file = file.absolute()
    study = StudyLog(file.parent.parent)
    return study if file == study.winner.model_path and study.exists() else None


def study_around(file: Path) -> StudyLog | None:
    """Return the study in whose folder a file lies, or None."""
    studies = map(StudyLog, file.absolute().parents[1:4])
    return next((study for study in studies if study.exists()), None)


def flat_scores(trial: Mapping[str, Any]) -> dict[str, float]:
    """Turn a trial's scores {"test/mcc": {"value": 1, "low": 0}} into single numbers.

    Returns:
        Such as {"test/mcc": 1, "test/mcc_low": 0}.
    """
    return {
        name if key == "value" else f"{name}_{key}": value
        for name, numbers in trial["scores"].items()
        for key, value in numbers.items()
    }


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_text(path, _json(content))


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, indent=2, default=str, allow_nan=False) + "\n"


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        StudyError: If it cannot be read or holds something else; names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StudyError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise StudyError(
            f"{path}: got a JSON {type(content).__name__}, expected an object; restore the file"
        )
    return content
