"""Makes the recordings of ``jobs/synthesize.py``, and a manifest of real and made ones.

    <output>                              manifest: real rows, and made rows of strength 1
    <output without .csv>.made/
      SYNTHETIC.txt                       what is in the folder
      progression.csv                     every made file: source, set, class, strength, flicker,
                                          and whether it may be shown outside the study
      copies.csv                          of pictures: faces that look like another training person
      learnt.txt                          what the method of each set has learnt
      <set>/provenance.json               who made its files, from what, learnt from whom
      <set>/<source>_class<k>_<strength>  made files

There is one set for each training side (:mod:`pdray.synthesis.sides`). The folder appears at once
when all is made, then the manifest; what was there before stays as it is.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from math import isnan
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from pdray.atomic import new_folder, safe_name, write_text
from pdray.command import Say
from pdray.config import require_writable
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import Manifest, Recording, open_manifest
from pdray.data.cohort.members import usable
from pdray.data.cohort.rows import COLUMNS, MADE, read_rows
from pdray.data.media.marked import Mark
from pdray.errors import ManifestError, SettingsError, naming
from pdray.importers.files import outside
from pdray.synthesis.made_folder import (
    PROVENANCE,
    MadeRecording,
    made_recording,
    maker_of,
    write_beside,
)
from pdray.synthesis.methods import METHODS, Edit, Editor, SynthesisMethod
from pdray.synthesis.people import People, choose_people
from pdray.synthesis.rows import label_cells, made_cells, moved_cells
from pdray.synthesis.settings import SynthesizeConfig
from pdray.synthesis.sides import training_sides
from pdray.synthesis.terms import terms_line

if TYPE_CHECKING:
    from pdray.synthesis.copies import CopyCheck

EVERYBODY = "set"  # of a method that learns nothing: one set for all folds


@dataclass(frozen=True)
class Made:
    """Result of the job.

    Attributes:
        manifest: The new manifest.
        folder: Folder of made files.
        num_rows: Made rows.
        num_sets: Sets of them.
        num_files: Made files.
        num_shown: Those of them that may be shown outside the study.
        flicker: Mean flicker of each strength.
        told: What the method of the last set learnt, in lines.
        copies: What the copy check found, in lines.
        is_outside: Whether the new manifest names files outside its folder.
    """

    manifest: Path
    folder: Path
    num_rows: int
    num_sets: int
    num_files: int
    num_shown: int
    flicker: Mapping[float, float]
    told: Sequence[str]
    is_outside: bool
    copies: Sequence[str] = ()


def synthesize(config: SynthesizeConfig, say: Say) -> Made:
    """Make recordings and write the manifest.

    Args:
        config: Checked settings.
        say: Called with lines on the progress.

    Raises:
        PdrayError: If the manifest cannot be used, people have not agreed, there are too few to
            learn from, or a recording cannot be read; nothing is written.
    """
    method = METHODS[config.method]
    manifest = open_manifest(config.data)
    require_writable(config.output.parent, key="output")
    sets = _plan_sets(manifest, config, method, say)
    _refuse_made_before(manifest, config, sets)
    if line := terms_line(method.terms):
        say(line)
    editors: Mapping[str, Editor] = resolve_name(method.fit)(config, sets)
    folder = config.output.with_suffix(".made")
    marks = _marks(config.method, editors)
    check = _copy_check(config, manifest, editors)
    try:
        with new_folder(folder) as temporary:
            made = []
            for one in _make(config, sets, editors, marks, temporary, say=say):
                if check is not None:
                    check.see(one)
                made.append(replace(one, faces=None))  # they would fill the memory
            told = [] if check is None else check.finish(temporary, config.synthesis.max_copies)
            write_beside(temporary, made, editors, marks, told)
            cells = _rows(manifest, config, made, folder)
        if config.output.exists():  # since the settings were checked
            raise FileExistsError(config.output)
        write_text(config.output, table_text(_columns(cells), cells))
    except FileExistsError as error:
        raise SettingsError(
            f"output: {error.filename or error} exists, and nothing is replaced; delete it if a "
            "run was killed there, or choose another name"
        ) from error
    return replace(_result(config, folder, made, editors, cells), copies=told)


def _plan_sets(
    manifest: Manifest, config: SynthesizeConfig, method: SynthesisMethod, say: Say
) -> dict[str, People]:
    needs = (method.modality,)
    recordings, lacking = usable(manifest, config.data, needs)
    for column, names in lacking.items():
        if names:
            say(f"left out   {len(names)} recordings without {column}")
    learns = bool(resolve_name(method.learns)(config))
    everybody = frozenset(one.subject_id for one in recordings)
    sides = training_sides(manifest, config, needs) if learns else {EVERYBODY: everybody}
    return choose_people(
        manifest.recordings, recordings, sides, config.data.grade_cuts, learns=learns
    )


def _made_id(config: SynthesizeConfig, source: Recording, target: int, name: str) -> str:
    return f"{source.recording_id}_{config.method}_class{target}_{name}"


def _refuse_made_before(
    manifest: Manifest, config: SynthesizeConfig, sets: Mapping[str, People]
) -> None:
    """Refuse a manifest that has a recording which is to be made."""
    there = {one.recording_id for one in manifest.recordings}
    there |= {one.recording.recording_id for one in manifest.made}
    wanted = {
        _made_id(config, source, target, name)
        for name, people in sets.items()
        for source, target in product(people.sources, range(1, len(config.data.grade_cuts) + 1))
    }
    if twice := sorted(wanted & there):
        raise ManifestError(
            f"{manifest.path.name} has a recording {twice[0]} already ({len(twice)} of those to "
            "make); start from the manifest without them"
        )


def _copy_check(
    config: SynthesizeConfig, manifest: Manifest, editors: Mapping[str, Editor]
) -> "CopyCheck | None":
    if METHODS[config.method].terms != "faces":
        return None
    from pdray.synthesis.copies import open_check  # heavy, and of pictures alone

    return open_check(config, manifest, editors)


def _marks(method: str, editors: Mapping[str, Editor]) -> dict[str, Mark]:
    date = datetime.now(UTC).date()
    return {name: Mark(method, date, maker_of(method, one)) for name, one in editors.items()}


def _make(
    config: SynthesizeConfig,
    sets: Mapping[str, People],
    editors: Mapping[str, Editor],
    marks: Mapping[str, Mark],
    folder: Path,
    *,
    say: Say,
) -> Iterator[MadeRecording]:
    """Make every recording, source after source."""
    sources = {one.recording_id: one for people in sets.values() for one in people.sources}
    wanted = [
        (target, strength)
        for target in range(1, len(config.data.grade_cuts) + 1)
        for strength in config.synthesis.strengths
    ]
    for number, source in enumerate(sources.values(), start=1):
        names = [name for name, people in sets.items() if source in people.sources]
        for name, (target, strength) in product(names, wanted):
            stem = f"{safe_name(source.recording_id)}_class{target}_{strength:.2f}"
            with naming(source.recording_id):
                edit = Edit(source, target, strength, marks[name])
                written = editors[name].write(edit, folder / name / stem)
            may_show = source.subject_id in sets[name].may_show
            yield made_recording(name, edit, written, folder, may_show=may_show)
        if number == len(sources) or number % max(1, len(sources) // 10) == 0:
            say(f"sources {number}/{len(sources)}")


def _rows(
    manifest: Manifest,
    config: SynthesizeConfig,
    recordings: Sequence[MadeRecording],
    folder: Path,
) -> list[dict[str, str]]:
    """Return the cells of all rows of the new manifest."""
    new = config.output.parent
    rows, _ = read_rows(manifest.path, manifest.path.read_bytes(), required=())
    cells = [moved_cells(row, manifest.path.parent, new) for row in rows]
    of_id = {row.cells["recording_id"]: row.cells for row in rows}
    ill = _ill_word(manifest) if config.data.target == "diagnosis" else None
    made = []
    for one in recordings:
        if one.strength != 1:
            continue
        source = one.source.recording_id
        given = {
            "recording_id": _made_id(config, one.source, one.target_class, one.name),
            **{column: f"{folder.name}/{file}" for column, file in one.files.items()},
            **one.cells,
            MADE: f"{folder.name}/{one.name}/{PROVENANCE}",
            **label_cells(one.target_class, config.data.grade_cuts, ill),
        }
        made.append(made_cells(of_id[source], one.source, made=given))
    return cells + made


def _ill_word(manifest: Manifest) -> str:
    """Return the most frequent diagnosis of the ill."""
    words = Counter(str(one.diagnosis) for one in manifest.recordings if one.grade)
    return words.most_common(1)[0][0]


def _columns(cells: Sequence[Mapping[str, str]]) -> list[str]:
    found = dict.fromkeys(name for row in cells for name in row)
    return [*dict.fromkeys([*cells[0], *(name for name in COLUMNS if name in found)])]


def _result(
    config: SynthesizeConfig,
    folder: Path,
    recordings: Sequence[MadeRecording],
    editors: Mapping[str, Editor],
    cells: Sequence[Mapping[str, Any]],
) -> Made:
    strengths = config.synthesis.strengths
    of_strength = {
        strength: [one.flicker for one in recordings if one.strength == strength]
        for strength in strengths
    }
    last = [*editors.values()][-1]
    changes = {
        key: [change for change in found if not isnan(change)] for key, found in of_strength.items()
    }
    return Made(
        manifest=config.output,
        folder=folder,
        num_rows=sum(one.strength == 1 for one in recordings),
        num_sets=len(editors),
        num_files=sum(len(one.files) for one in recordings),
        num_shown=sum(len(one.files) for one in recordings if one.may_show),
        flicker={key: sum(found) / len(found) for key, found in changes.items() if found},
        told=(*last.told, *dict.fromkeys(note for one in editors.values() for note in one.notes)),
        is_outside=bool(outside(row.get(name) or "" for row in cells for name in COLUMNS)),
    )
