"""Makes the recordings of ``jobs/synthesize.py``, and a manifest of real and made ones.

    <output>                              manifest: real rows, and made rows of strength 1
    <output without .csv>.made/
      SYNTHETIC.txt                       what is in the folder
      progression.csv                     every made file: source, set, class, strength, flicker
      learnt.txt                          what the method of each set has learnt
      <set>/provenance.json               who made its files, from what, learnt from whom
      <set>/<source>_class<k>_<strength>  made files

There is one set for each training side (:mod:`pdray.synthesis.sides`). The folder appears at once
when all is made, then the manifest; what was there before stays as it is.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from pdray.atomic import file_digest, new_folder, safe_name, write_text
from pdray.command import Say
from pdray.config import require_writable
from pdray.data.cohort.csv_table import Row, table_text
from pdray.data.cohort.manifest import Manifest, Recording, open_manifest
from pdray.data.cohort.members import usable
from pdray.data.cohort.provenance import Provenance, Source, write_provenance
from pdray.data.cohort.rows import COLUMNS, MADE, read_rows
from pdray.errors import ManifestError, SettingsError, naming
from pdray.importers.files import outside
from pdray.synthesis.methods import METHODS, Edit, Editor, SynthesisMethod
from pdray.synthesis.people import People, choose_people
from pdray.synthesis.rows import label_cells, made_cells, moved_cells
from pdray.synthesis.settings import SynthesizeConfig
from pdray.synthesis.sides import training_sides
from pdray.tracking.provenance import source_identity

EVERYBODY = "set"  # of a method that learns nothing: one set for all folds
TABLE = "progression.csv"
_TABLE_COLUMNS = ("source", "set", "target_class", "strength", "file", "flicker")
README = """SYNTHETIC RECORDINGS - nobody has moved or looked like this.

The files in this folder were made by a program (pdray, method {method}, {date}) from recordings of
people who agreed to it. They are no evidence of anything about these people and no prediction of
the course of an illness. Strength is the strength of the edit: not severity, grade or years. Do not
show them as the person, and do not show them to the person or relatives as their future.
"""


@dataclass(frozen=True)
class MadeFile:
    """A made file.

    Attributes:
        name: Of the set.
        source: What was changed.
        target_class, strength: Of the edit.
        file: Its path below the folder.
        digest: SHA-256 of it.
        flicker: Mean change between frames over that of the source.
    """

    name: str
    source: Recording
    target_class: int
    strength: float
    file: str
    digest: str
    flicker: float


@dataclass(frozen=True)
class Made:
    """Result of the job.

    Attributes:
        manifest: The new manifest.
        folder: Folder of made files.
        num_rows: Made rows.
        num_sets: Sets of them.
        num_files: Made files.
        flicker: Mean flicker of each strength.
        told: What the method of the last set learnt, in lines.
        is_outside: Whether the new manifest names files outside its folder.
    """

    manifest: Path
    folder: Path
    num_rows: int
    num_sets: int
    num_files: int
    flicker: Mapping[float, float]
    told: Sequence[str]
    is_outside: bool


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
    sets = _plan_sets(manifest, config, method)
    fit = resolve_name(method.fit)
    editors: dict[str, Editor] = {name: fit(config, name, one.learnt) for name, one in sets.items()}
    folder = config.output.with_suffix(".made")
    date = datetime.now(UTC).date().isoformat()
    try:
        with new_folder(folder) as temporary:
            files = _make_files(config, sets, editors, temporary, date=date, say=say)
            _write_beside(config, files, editors, temporary, date=date)
            rows, cells = _rows(manifest, config, method, files, folder)
        if config.output.exists():  # since the settings were checked
            raise FileExistsError(config.output)
        write_text(config.output, table_text(_columns(rows), cells))
    except FileExistsError as error:
        raise SettingsError(
            f"output: {error.filename or error} exists, and nothing is replaced; delete it if a "
            "run was killed there, or choose another name"
        ) from error
    return _result(config, folder, files, editors, cells)


def _plan_sets(
    manifest: Manifest, config: SynthesizeConfig, method: SynthesisMethod
) -> dict[str, People]:
    needs = (method.modality,)
    recordings, _ = usable(manifest, config.data, needs)
    learns = bool(resolve_name(method.learns)(config))
    everybody = frozenset(one.subject_id for one in recordings)
    sides = training_sides(manifest, config, needs) if learns else {EVERYBODY: everybody}
    return choose_people(
        manifest.recordings, recordings, sides, config.data.grade_cuts, learns=learns
    )


def _make_files(
    config: SynthesizeConfig,
    sets: Mapping[str, People],
    editors: Mapping[str, Editor],
    folder: Path,
    *,
    date: str,
    say: Say,
) -> list[MadeFile]:
    """Make every file, source after source, so that each is read once."""
    sources = {one.recording_id: one for people in sets.values() for one in people.sources}
    wanted = [
        (target, strength)
        for target in range(1, len(config.data.grade_cuts) + 1)
        for strength in config.synthesis.strengths
    ]
    found = []
    for number, source in enumerate(sources.values(), start=1):
        names = [name for name, people in sets.items() if source in people.sources]
        for name, (target, strength) in product(names, wanted):
            text = f"class {target}, strength {strength:.2f}"
            mark = f"SYNTHETIC, {config.method}, {text}, {date}"
            file = f"{name}/{_file_name(config, source, target, strength)}"
            with naming(source.recording_id):
                edit = Edit(source, target, strength, mark)
                change = editors[name].write(edit, folder / file)
            digest = file_digest(folder / file)
            found.append(MadeFile(name, source, target, strength, file, digest, change))
        if number == len(sources) or number % max(1, len(sources) // 10) == 0:
            say(f"sources {number}/{len(sources)}")
    return found


def _file_name(config: SynthesizeConfig, source: Recording, target: int, strength: float) -> str:
    suffix = METHODS[config.method].suffix
    return f"{safe_name(source.recording_id)}_class{target}_{strength:.2f}{suffix}"


def _write_beside(
    config: SynthesizeConfig,
    files: Sequence[MadeFile],
    editors: Mapping[str, Editor],
    folder: Path,
    *,
    date: str,
) -> None:
    """Write provenance, the table of all files and the text."""
    for name, editor in editors.items():
        made = {
            one.digest: Source(
                recording_id=one.source.recording_id,
                target_class=one.target_class,
                strength=one.strength,
            )
            for one in files
            if one.name == name
        }
        learnt = [one.recording for one in editor.examples]
        contents = {file_digest(file) for one in learnt for file in _files(one, config.method)}
        provenance = Provenance(
            method=config.method,
            study=editor.study,
            commit=source_identity(),
            weights=editor.weights,
            seed=editor.seed,
            learnt_subjects=tuple(sorted({one.subject_id for one in learnt})),
            learnt_contents=tuple(sorted(contents)),
            made=made,
        )
        write_provenance(folder / name / "provenance.json", provenance)
    rows = [
        {
            "source": one.source.recording_id,
            "set": one.name,
            "target_class": one.target_class,
            "strength": f"{one.strength:g}",
            "file": one.file,
            "flicker": f"{one.flicker:.4f}",
        }
        for one in files
    ]
    write_text(folder / TABLE, table_text(_TABLE_COLUMNS, rows))
    told = [f"{name}: {line}\n" for name, editor in editors.items() for line in editor.told]
    write_text(folder / "learnt.txt", "".join(told))
    write_text(folder / "SYNTHETIC.txt", README.format(method=config.method, date=date))


def _files(recording: Recording, method: str) -> list[Path]:
    file = getattr(recording, METHODS[method].column)
    return [] if file is None else [file]


def _rows(
    manifest: Manifest,
    config: SynthesizeConfig,
    method: SynthesisMethod,
    files: Sequence[MadeFile],
    folder: Path,
) -> tuple[list[Row], list[dict[str, str]]]:
    """Return the rows of the old manifest, and the cells of all rows of the new one."""
    new = config.output.parent
    rows, _ = read_rows(manifest.path, manifest.path.read_bytes(), required=())
    cells = [moved_cells(row, manifest.path.parent, new) for row in rows]
    of_id = {row.cells["recording_id"]: row.cells for row in rows}
    ill = _ill_word(manifest) if config.data.target == "diagnosis" else None
    made = []
    for one in files:
        if one.strength != 1:
            continue
        source = one.source.recording_id
        given = {
            "recording_id": f"{source}_{config.method}_class{one.target_class}_{one.name}",
            method.column: f"{folder.name}/{one.file}",
            MADE: f"{folder.name}/{one.name}/provenance.json",
            **label_cells(one.target_class, config.data.grade_cuts, ill),
        }
        made.append(made_cells(of_id[source], one.source, made=given))
    if twice := sorted({row["recording_id"] for row in made} & of_id.keys()):
        raise ManifestError(
            f"{manifest.path.name} has a recording {twice[0]} already ({len(twice)} of those to "
            "make); start from the manifest without them"
        )
    return rows, cells + made


def _ill_word(manifest: Manifest) -> str:
    """Return the most frequent diagnosis of the ill."""
    words = Counter(str(one.diagnosis) for one in manifest.recordings if one.grade)
    return words.most_common(1)[0][0]


def _columns(rows: Sequence[Row]) -> list[str]:
    known = [name for name in COLUMNS if name in ("subject_id", "landmarks", "grade", "diagnosis")]
    return [*dict.fromkeys([*rows[0].cells, *known, MADE])]


def _result(
    config: SynthesizeConfig,
    folder: Path,
    files: Sequence[MadeFile],
    editors: Mapping[str, Editor],
    cells: Sequence[Mapping[str, Any]],
) -> Made:
    strengths = config.synthesis.strengths
    of_strength = {
        strength: [one.flicker for one in files if one.strength == strength]
        for strength in strengths
    }
    return Made(
        manifest=config.output,
        folder=folder,
        num_rows=sum(one.strength == 1 for one in files),
        num_sets=len(editors),
        num_files=len(files),
        flicker={key: sum(found) / len(found) for key, found in of_strength.items()},
        told=[*editors.values()][-1].told,
        is_outside=bool(outside(row.get(name) or "" for row in cells for name in COLUMNS)),
    )
