"""Finds what is left of a person in an output folder."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pdray.config import nearest
from pdray.errors import StudyError
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import read_scorings
from pdray.withdraw.again import Again, commands
from pdray.withdraw.artefacts import (
    artefact_traces,
    evaluated_traces,
    evaluation_traces,
    seen_traces,
    shown_traces,
)
from pdray.withdraw.frames import entries_of, stored_traces
from pdray.withdraw.made import MadeSet, made_sets, made_traces
from pdray.withdraw.models import Export, Touched, find_exports, find_touched, sides_of
from pdray.withdraw.person import Person, Row, rows_of_manifests, study_logs
from pdray.withdraw.tables import (
    files_of,
    is_of_a_folder,
    names_files,
    recordings_in,
    table_traces,
)
from pdray.withdraw.trace import KINDS, Trace


@dataclass(frozen=True)
class Found:
    """Everything that is left of a person.

    Attributes:
        person: The person.
        output: The output folder.
        traces: What holds data of theirs, in the order of deletion.
        touched: Studies and searches that they took part in, or that started from such.
        exports: Exported models that learnt from them.
        made: Made recordings that carry them.
        again: How each study whose models learnt is trained again, by its folder.
        num_scorings: Lines of the list of scorings that know them by a digest.
        notes: What the owner should look into.
    """

    person: Person
    output: Path
    traces: tuple[Trace, ...]
    touched: tuple[Touched, ...]
    exports: tuple[Export, ...]
    made: tuple[MadeSet, ...]
    again: dict[Path, Again]
    num_scorings: int
    notes: tuple[str, ...]

    @property
    def is_synthetic(self) -> bool:
        """Whether a study is of SYNTHETIC recordings."""
        return any(one.log.read()["tags"].get("synthetic") == "true" for one in self.touched)


def find(output: Path, subject: str, manifests: Sequence[Path] = ()) -> Found:
    """Return everything that is left of a person in an output folder.

    Args:
        output: The folder.
        subject: Their id.
        manifests: Beside those of the studies.

    Raises:
        StudyError: If nothing is known of them; names the nearest id. If a study is damaged.
    """
    logs, notes = study_logs(output), list[str]()
    known = rows_of_manifests(logs, manifests, notes)
    files = [path for path in files_of(output) if path not in known]
    rows = tuple(
        Row(path, number, recording)
        for path, recordings in known.items()
        for number, recording in enumerate(recordings, start=2)
        if recording.subject_id == subject
    )
    named = {row.recording.recording_id for row in rows}
    told = set[str]()
    for path in files:
        with _noting(path, notes):
            told |= recordings_in(path, subject)
    person = Person(subject, frozenset(named | told), rows, output / "store")
    touched = find_touched(logs, person)
    in_tables = [*_in_tables(files, person, touched, notes), *seen_traces(output, person, notes)]
    sets = made_sets(person, known, output, notes)
    if not (rows or touched or in_tables or sets):
        raise StudyError(_unknown(output, subject, logs))
    entries = entries_of(logs)
    read = {one for names in entries.values() for one in names}
    if (unread := sorted(told - named - read)) and person.store.is_dir():
        notes.append(
            f"no study read {', '.join(unread[:3])}{', ...' * (len(unread) > 3)}: which frames in "
            f"{person.store} are of these recordings cannot be told; name their manifest with "
            "manifests=[FILE], or delete the store, which is made again"
        )
    notes += [
        f"{path} may hold predictions of theirs; delete it unless jobs/predict.py is running"
        for path in sorted(output.glob("**/.*.csv.parts"))
    ]
    traces = [*stored_traces(person, entries, notes), *in_tables]
    traces += [trace for one in touched for trace in artefact_traces(one)]
    traces += [*shown_traces(output, touched, person), *evaluated_traces(output, touched)]
    traces += made_traces(sets, person, output)
    order = list(KINDS)
    return Found(
        person=person,
        output=output,
        traces=tuple(sorted(traces, key=lambda one: order.index(one.kind))),
        touched=tuple(touched),
        exports=tuple(find_exports(touched)),
        made=tuple(sets),
        again=commands(touched, person, output),
        num_scorings=sum(person.key in line.subjects for line in read_scorings(output)),
        notes=tuple(dict.fromkeys(notes)),
    )


def _in_tables(
    files: Sequence[Path], person: Person, touched: Sequence[Touched], notes: list[str]
) -> Iterator[Trace]:
    for path in files:
        with _noting(path, notes):
            hers = list(table_traces(path, person))
            if hers and names_files(path):
                notes.append(f"{path} is a manifest of no study here; delete their rows yourself")
                continue
            yield from hers
            if hers:
                yield from evaluation_traces(path, touched)
            if is_of_a_folder(path):
                notes.append(
                    f"{path} has predictions of a folder of videos, whose rows name no subject; if "
                    "some are theirs, name a manifest with the same recording_id: manifests=[FILE]"
                )


@contextmanager
def _noting(path: Path, notes: list[str]) -> Iterator[None]:
    """Turn a file that cannot be read into a note: the owner may keep others in the folder."""
    try:
        yield
    except (OSError, ValueError) as error:
        told = next(iter(str(error).splitlines()), type(error).__name__)
        notes.append(f"{path} cannot be read, look into it yourself: {told}")


def _unknown(output: Path, subject: str, logs: Sequence[StudyLog]) -> str:
    known = {one for log in logs for side in sides_of(log) for one in side}
    return (
        f"subject: got '{subject}', of whom nothing is in {output} or in the manifests of its "
        f"{len(logs)} studies; {nearest(subject, sorted(known))}write the id as the manifest does, "
        "give the other output folders that you used, or name a manifest with manifests=[FILE]"
    )
