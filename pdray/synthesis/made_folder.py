"""Writes what stands beside made recordings in their folder: provenance, a table, words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

from pdray.atomic import file_digest, write_text
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.provenance import PROGRESSION, Provenance, Source, write_provenance
from pdray.data.media.marked import Mark
from pdray.synthesis.methods import Edit, Editor, Faces, Written
from pdray.synthesis.notice import NOTICE, notice
from pdray.tracking.provenance import source_identity

PROVENANCE = "provenance.json"
_TABLE_COLUMNS = (
    "recording_id", "set", "target_class", "strength", "file", "flicker", "unchanged_frames",
    "may_show",
)  # fmt: skip


@dataclass(frozen=True)
class MadeRecording:
    """A made recording.

    Attributes:
        name: Of the set.
        source: What was changed.
        target_class, strength: Of the edit.
        files: Its files below the folder, by the column of the manifest that names them.
        digests: SHA-256 of each.
        flicker, cells, faces, num_unchanged: As :class:`pdray.synthesis.methods.Written`.
        may_show: Whether the person agreed that it is shown outside the study.
    """

    name: str
    source: Recording
    target_class: int
    strength: float
    files: Mapping[str, str]
    digests: Sequence[str]
    flicker: float
    cells: Mapping[str, str]
    faces: Faces | None
    may_show: bool
    num_unchanged: int = 0


def made_recording(
    name: str, edit: Edit, written: Written, folder: Path, *, may_show: bool
) -> MadeRecording:
    """Return a made recording, whose files are in a folder of made recordings.

    Args:
        name: Of the set.
        edit: What was made.
        written: Its files.
        folder: The folder.
        may_show: Whether the person agreed that it is shown outside the study.
    """
    return MadeRecording(
        name=name,
        source=edit.source,
        target_class=edit.target_class,
        strength=edit.strength,
        files={key: str(file.relative_to(folder)) for key, file in written.files.items()},
        digests=[file_digest(file) for file in written.files.values()],
        flicker=written.flicker,
        cells=written.cells,
        faces=written.faces,
        num_unchanged=written.num_unchanged,
        may_show=may_show,
    )


def maker_of(method: str, editor: Editor) -> str:
    """Return the ``maker`` of a set's provenance, which is known before its files are."""
    return Provenance.model_construct(**_told_by(method, editor), made={}).maker


def write_beside(
    folder: Path,
    made: Sequence[MadeRecording],
    editors: Mapping[str, Editor],
    marks: Mapping[str, Mark],
    told: Sequence[str],
) -> None:
    """Write the provenance of each set, the table of all made recordings, and the words.

    Args:
        folder: Of the made recordings.
        made: All of them.
        editors: Of each set.
        marks: Of each set: what made them, and when.
        told: What the copy check found, in lines.
    """
    for name, editor in editors.items():
        sources = {
            digest: Source(
                recording_id=one.source.recording_id,
                target_class=one.target_class,
                strength=one.strength,
            )
            for one in made
            if one.name == name
            for digest in one.digests
        }
        provenance = Provenance(**_told_by(marks[name].method, editor), made=sources)
        write_provenance(folder / name / PROVENANCE, provenance)
    rows = [
        {
            "recording_id": one.source.recording_id,
            "set": one.name,
            "target_class": one.target_class,
            "strength": f"{one.strength:g}",
            "file": next(iter(one.files.values())),
            "flicker": "" if isnan(one.flicker) else f"{one.flicker:.4f}",
            "unchanged_frames": str(one.num_unchanged),
            "may_show": "yes" if one.may_show else "no",
        }
        for one in made
    ]
    write_text(folder / PROGRESSION, table_text(_TABLE_COLUMNS, rows))
    learnt = [f"{name}: {line}\n" for name, editor in editors.items() for line in editor.told]
    write_text(folder / "learnt.txt", "".join(learnt))
    mark = next(iter(marks.values()))
    notes = dict.fromkeys(note for editor in editors.values() for note in editor.notes)
    may_show = [one.may_show for one in made for _ in one.files]
    write_text(folder / NOTICE, notice(mark, may_show, [*notes, *told]))


def _told_by(method: str, editor: Editor) -> dict[str, Any]:
    return {
        "method": method,
        "study": editor.study,
        "commit": source_identity(),
        "weights": editor.weights,
        "seed": editor.seed,
        "learnt_subjects": tuple(editor.learnt_subjects),
        "learnt_contents": tuple(editor.learnt_contents),
    }
