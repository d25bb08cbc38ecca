"""Writes and reads the list of scorings: one line each time that test recordings are scored."""

import csv
import io
import time
from pathlib import Path
from typing import NamedTuple


class Scoring(NamedTuple):
    """One line of the list.

    Attributes:
        table: Name of the printed table, or of the job.
        study: Name of the study whose models are scored.
        seed: Seed of the study.
        source: Version of the code, from :func:`pdray.tracking.provenance.source_identity`.
        manifest: Name of the manifest file.
        runs: Names of the models.
    """

    table: str
    study: str
    seed: int
    source: str
    manifest: str
    runs: str


def note_scoring(output: Path, scoring: Scoring) -> None:
    """Append a line to ``<output>/tables/scorings.csv``, before the score is computed."""
    table = _file(output)
    line = io.StringIO()
    rows = csv.writer(line, lineterminator="\n")
    if not table.exists():
        rows.writerow(("time", *Scoring._fields))
    rows.writerow((time.strftime("%Y-%m-%dT%H:%M:%S%z"), *scoring))
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("a", encoding="utf-8") as file:
        file.write(line.getvalue())


def read_scorings(output: Path) -> list[Scoring]:
    """Return the lines of ``<output>/tables/scorings.csv``; none if there is no such file.

    Lines that another program has damaged are left out, since the list is only counted.
    """
    try:
        text = _file(output).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for row in csv.DictReader(io.StringIO(text)):
        try:
            table, study, seed, source, manifest, runs = (row[name] for name in Scoring._fields)
            found.append(Scoring(table, study, int(seed), source, manifest, runs))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def _file(output: Path) -> Path:
    return output / "tables" / "scorings.csv"
