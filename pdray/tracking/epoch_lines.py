"""The lines of ``epochs.jsonl``: the scores of a trial's epochs."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pdray.errors import StudyError


@dataclass(frozen=True)
class EpochRecord:
    """One line of ``epochs.jsonl``.

    Attributes:
        fold: From 0.
        epoch: From 0, within the fold.
        step: fold * num_epochs + epoch.
        time: When the epoch ended [unix s].
        metrics: Value of each metric, by logged name; nan where a score is undefined.
    """

    fold: int
    epoch: int
    step: int
    time: float
    metrics: dict[str, float]

    @property
    def line(self) -> str:
        """The record as a line of the file."""
        return json.dumps(vars(self) | {"metrics": encoded(self.metrics)}, allow_nan=False) + "\n"


def read_epochs(path: Path) -> Iterator[EpochRecord]:
    """Yield the complete lines of a file in order; a half-written last line is left out.

    Raises:
        StudyError: If a line before the last cannot be read; names file and line.
    """
    if not path.is_file():
        return
    *lines, rest = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            metrics = decoded(entry.pop("metrics"))
            yield EpochRecord(metrics=metrics, **entry)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # A power cut may leave a last line of zeros that ends with a newline.
            if number == len(lines) and not rest:
                return
            raise StudyError(
                f"{path} line {number}: cannot be read: {error}; restore the file from "
                "a copy, or start a new study with another search.name"
            ) from error


def undefined_steps(records: Iterable[EpochRecord]) -> str:
    """List the steps at which metrics are not finite: "val/auroc at step 0 3; ..."."""
    found: dict[str, list[str]] = {}
    for record in records:
        for name, value in record.metrics.items():
            if not math.isfinite(value):
                found.setdefault(name, []).append(str(record.step))
    return "; ".join(f"{name} at step {' '.join(at)}" for name, at in sorted(found.items()))


def encode(value: float) -> float | str:
    """Return a number for JSON, which has no nan: as the text nan, inf or -inf if need be."""
    return float(value) if math.isfinite(value) else repr(float(value))


def encoded(numbers: Mapping[str, float]) -> dict[str, float | str]:
    """Return numbers for JSON; see :func:`encode`."""
    return {name: encode(value) for name, value in numbers.items()}


def decoded(numbers: Mapping[str, float | str]) -> dict[str, float]:
    """Return the numbers that :func:`encoded` was given."""
    return {name: float(value) for name, value in numbers.items()}
