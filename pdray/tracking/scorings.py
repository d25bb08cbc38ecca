"""Writes and reads the list of scorings: one line each time that test recordings are scored.

The list ``<output>/tables/scorings.csv`` is over all studies of an output folder. A line says which
manifest the recordings are of, by its digest, and which subjects were scored, by digests of their
ids. Lists of earlier versions lack both; they are read, and kept as ``scorings.earlier.csv``.
"""

import csv
import hashlib
import io
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from pdray.config import value_at
from pdray.data.cohort.folds import folds_from_json
from pdray.errors import FoldsError, StudyError
from pdray.tracking.provenance import source_identity
from pdray.tracking.run_log import StudyLog

_DIGITS = 8  # of the digest of a subject's id
_NAMES = ("scorings.earlier.csv", "scorings.csv")


class Scoring(NamedTuple):
    """One line of the list.

    Attributes:
        table: Name of the printed table, or of the job.
        study: Name of the study whose models are scored.
        seed: Seed of the study.
        source: Version of the code, from :func:`pdray.tracking.provenance.source_identity`.
        manifest: Name of the manifest file.
        runs: Names of the models.
        digest: Digest of the manifest's content; empty of an earlier version.
        study_id: Identity of the study; empty if it is not known.
        subjects: Those who were scored, from :func:`subject_marks`; empty if they are not known.
            Of recordings from elsewhere also the marks of their store entries.
    """

    table: str
    study: str
    seed: int
    source: str
    manifest: str
    runs: str
    digest: str = ""
    study_id: str = ""
    subjects: frozenset[str] = frozenset()


_HEADER = ["time", *Scoring._fields]


def subject_marks(subjects: Iterable[str]) -> frozenset[str]:
    """Return a short digest of each subject's id, by which the list knows them."""
    return frozenset(hashlib.sha256(name.encode()).hexdigest()[:_DIGITS] for name in subjects)


def tested_subjects(study: StudyLog) -> frozenset[str]:
    """Return :func:`subject_marks` of who a study scores: its test set, or every fold.

    They are empty if the study's folds cannot be read.
    """
    try:
        folds = folds_from_json(study.folds_path.read_text(encoding="utf-8"))
    except (OSError, ValueError, FoldsError):
        return frozenset()
    return subject_marks(folds.test or folds.development)


def scored_studies(output: Path, digest: str | None) -> list[StudyLog]:
    """Return the studies of an output folder that have scored test data of a manifest.

    Args:
        output: The output folder.
        digest: Digest of the manifest.
    """
    logs = [StudyLog(file.parent) for file in sorted((output / "studies").glob("*/study.json"))]
    return [log for log in logs if _has_scored(log, digest)]


def _has_scored(log: StudyLog, digest: str | None) -> bool:
    try:
        return log.read()["tags"].get("manifest_digest") == digest and (
            log.winner.predictions_path.is_file()
            or log.pooled_path.is_file()
            or any(one.read()["role"] == "fixed" for one in log.trials())
        )
    except (StudyError, KeyError):  # a study that is being written, or of another program
        return False


def note_study(output: Path, log: StudyLog, *, job: str, model: str) -> None:
    """Append a line about a study to the list, before its test side is scored.

    Args:
        output: Output folder of the list.
        log: The study.
        job: Name of the job.
        model: Names of the models, such as "winner".

    Raises:
        OSError: If the list cannot be written.
    """
    facts = log.read()
    settings = facts["settings"]
    note_scoring(
        output,
        Scoring(
            table=job,
            study=str(facts["name"]),
            seed=int(str(value_at(settings, "search.seed") or 0)),
            source=source_identity(),
            manifest=Path(str(value_at(settings, "data.manifest"))).name,
            runs=model,
            digest=str(facts["tags"].get("manifest_digest", "")),
            study_id=str(facts.get("study_id", "")),
            subjects=tested_subjects(log),
        ),
    )


def note_scoring(output: Path, scoring: Scoring) -> None:
    """Append a line to ``<output>/tables/scorings.csv``, before the score is computed.

    Raises:
        OSError: If the list cannot be written.
    """
    before, table = (output / "tables" / name for name in _NAMES)
    table.parent.mkdir(parents=True, exist_ok=True)
    if _is_earlier(table):
        # A link fails where another process has already made it, so that no line is lost.
        with suppress(OSError):
            os.link(table, before)
            table.unlink()
    line = io.StringIO()
    rows = csv.writer(line, lineterminator="\n")
    if not table.exists():
        rows.writerow(_HEADER)
    subjects = " ".join(sorted(scoring.subjects))
    rows.writerow((time.strftime("%Y-%m-%dT%H:%M:%S%z"), *scoring[:-1], subjects))
    with table.open("a", encoding="utf-8") as file:
        file.write(line.getvalue())


def read_scorings(output: Path) -> list[Scoring]:
    """Return the lines of the list, those of earlier versions first; none if there is no list.

    Lines that another program has damaged are left out, since the list is only counted.
    """
    found = []
    for name in _NAMES:
        try:
            text = (output / "tables" / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        for _, *cells in filter(None, csv.reader(io.StringIO(text))):
            try:
                table, study, seed, source, manifest, runs, *rest = cells
                digest, study_id, subjects = rest or ("", "", "")
                found.append(
                    Scoring(table, study, int(seed), source, manifest, runs, digest, study_id,
                            frozenset(subjects.split()))
                )  # fmt: skip
            except ValueError:  # the header, or a damaged line
                continue
    return found


def _is_earlier(table: Path) -> bool:
    try:
        with table.open(encoding="utf-8", errors="replace", newline="") as file:
            return next(csv.reader(file), _HEADER) != _HEADER
    except OSError:
        return False
