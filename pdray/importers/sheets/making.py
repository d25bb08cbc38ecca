"""Makes a manifest from a folder of videos and, if there is one, a sheet of ratings."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pdray.atomic import write_text
from pdray.config import nearest, require_writable
from pdray.data.cohort.csv_table import Row, table_text
from pdray.data.cohort.manifest import check_rows
from pdray.data.cohort.people import in_rows
from pdray.data.cohort.rows import COLUMNS, REQUIRED, UNABLE
from pdray.data.cohort.settings import KNOWN_ITEMS
from pdray.errors import ManifestError, refuse
from pdray.importers.files import shown
from pdray.importers.sheets.join import VIDEO, Joined, Part, join, told
from pdray.importers.sheets.raters import Kappa, agree, agreement, choice, grade_faults
from pdray.importers.sheets.settings import MakeManifestConfig, aside_path
from pdray.importers.sheets.table import Table, read_sheet
from pdray.importers.sheets.videos import damage, find_videos, read_names
from pdray.importers.sheets.words import Words

# What a recording is named by, behind the columns of the pattern.
_NAMING = ("subject_id", "visit_id", "item", "side", "medication_state", "stimulation_state")


@dataclass
class Made:
    """What became of a folder and a sheet.

    Attributes:
        rows: Of the manifest.
        parts: Videos, or parts of them, whose names fit the pattern.
        num_others: Files that are no videos.
        strange: Videos whose names do not fit the pattern.
        damaged: Why videos cannot be used, by path.
        names: Id of a recording of each video, by path.
        tables: The sheets that were read.
        joins: Videos and rows of each sheet.
        consensus: How the grades of raters became one; None where that was not done.
        agreement: How far raters agree, one sentence each.
    """

    rows: list[Row] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    num_others: int = 0
    strange: list[Path] = field(default_factory=list)
    damaged: dict[Path, str] = field(default_factory=dict)
    names: dict[Path, str] = field(default_factory=dict)
    tables: list[Table] = field(default_factory=list)
    joins: list[Joined] = field(default_factory=list)
    consensus: str | None = None
    agreement: list[str] = field(default_factory=list)


def make_manifest(
    config: MakeManifestConfig, kappa: Kappa, progress: Callable[[int, int], None]
) -> Made:
    """Write the manifest, and a table of what was set aside if there is such.

    Args:
        config: Checked settings.
        kappa: Agreement of two raters, see :func:`agreement`.
        progress: Called with (done, all) while videos are opened.

    Raises:
        PdrayError: If the folder or a sheet cannot be used, or the manifest would have faults:
            lists all. Nothing is written then.
    """
    require_writable(config.output.parent, key="output")
    words = Words(config.map)
    made = Made()
    videos, made.num_others = find_videos(config.folder)
    made.parts, made.strange = read_names(videos, config.pattern, words)
    pairs = _pairs(config, made, words, kappa)
    rows = [_row(part, row, config, number) for number, (part, row) in enumerate(pairs, start=2)]
    rows = _with_ids(rows, list(made.parts[0].cells))
    name = config.ratings.name if config.ratings else config.output.name
    refuse(in_rows(_faults(rows, config)), ManifestError, name)
    paths = [part.path for part, _ in pairs]
    found = damage(config.folder, paths, progress)
    made.damaged = {path: found[path] for path in paths if path in found}
    made.names = {path: row.cells["recording_id"] for path, row in zip(paths, rows, strict=True)}
    made.rows = [row for row, path in zip(rows, paths, strict=True) if path not in made.damaged]
    if not made.rows:
        why = next(iter(made.damaged.values()))
        raise ManifestError(f"{config.folder}: all {len(rows)} videos are damaged; the first {why}")
    _write(config.output, made)
    return made


def _pairs(
    config: MakeManifestConfig, made: Made, words: Words, kappa: Kappa
) -> list[tuple[Part, Row]]:
    """Return each recording with its row of ratings; without ratings the rows are empty."""
    parts = made.parts
    if config.times is not None:
        table = read_sheet(config.times, config.sheet if config.ratings is None else None, words)
        made.tables.append(table)
        joined = join(parts, table, splits=True)
        made.joins.append(joined)
        parts = [Part(one.path, {**_bare(row.cells), **one.cells}) for one, row in joined.pairs]
    if config.ratings is None:
        return [(part, Row(0, {})) for part in parts]
    table = read_sheet(config.ratings, config.sheet, words)
    made.tables.append(table)
    refuse(grade_faults(table), ManifestError, table.name)
    # A sheet may itself say where in a video each of its rows lies.
    joined = join(parts, table, splits=config.times is None and table.has("start_seconds"))
    made.joins.append(joined)
    rows = [row for _, row in joined.pairs]
    made.consensus = choice(table, config.consensus, rows, kappa)
    if len(table.raters) > 1:
        made.agreement = agreement(rows, table.raters, kappa)
    agreed = agree(rows, table.raters, made.consensus)
    return [(part, row) for (part, _), row in zip(joined.pairs, agreed, strict=True)]


def _bare(cells: Mapping[str, str]) -> dict[str, str]:
    return {column: cell for column, cell in cells.items() if column != VIDEO}


def _row(part: Part, row: Row, config: MakeManifestConfig, number: int) -> Row:
    """Return a row of the manifest; its number is that in the sheet, or in the manifest."""
    path = shown(config.folder / part.path, config.output.parent)
    cells = {**dict.fromkeys(REQUIRED, ""), **_bare(row.cells), **part.cells, VIDEO: path}
    cells |= {name: text for name, text in config.constant.items() if not cells.get(name)}
    if cells.setdefault("grade", "") == UNABLE:  # as a name of a file may say
        cells |= {"grade": "", "grade_status": UNABLE}
    return Row(row.number or number, cells)


def _with_ids(rows: Sequence[Row], named: Sequence[str]) -> list[Row]:
    """Name each recording by what its file's name says; number parts and files of one name."""
    columns = list(dict.fromkeys([*named, *_NAMING]))
    ids = [
        row.cells["recording_id"]
        or "_".join(filter(None, (row.cells.get(one, "") for one in columns if one != "grade")))
        for row in rows
    ]
    times, seen = Counter(ids), Counter[str]()
    found = []
    for row, name in zip(rows, ids, strict=True):
        seen[name] += 1
        is_part = row.cells.get("start_seconds") or not named  # the sheet names each file
        unique = f"{name}_{seen[name]}" if is_part and times[name] > 1 else name
        found.append(row._replace(cells={**row.cells, "recording_id": unique}))
    return found


def _faults(rows: Sequence[Row], config: MakeManifestConfig) -> list[tuple[int, str]]:
    lacking = [one for one in ("subject_id", "item") if not any(row.cells[one] for row in rows)]
    refuse(
        [
            f"nothing says the {one} of the recordings; write {{{one}}} into the pattern, name a "
            f"column of the sheet with map.column.NAME={one}, or give constant.{one}=..."
            for one in lacking
        ],
        ManifestError,
        "the manifest would be incomplete",
    )
    faults = []
    if config.scale is None:
        faults = [
            (row.number, f"item {item!r} is unknown: {nearest(item, KNOWN_ITEMS)}valid items: "
             f"{', '.join(KNOWN_ITEMS)}; if it means one of them, give map.item.{item}=..., and if "
             "it is an item of your own, give its grades: scale=0..4")
            for row in rows
            if (item := row.cells["item"]) and item not in KNOWN_ITEMS
        ]  # fmt: skip
    faults += [
        (row.number, f"{name} {told(row.cells, [name])!r}, but constant.{name}={text}; leave one "
         "of them out")
        for name, text in config.constant.items()
        for row in rows
        if row.cells[name] != text
    ]  # fmt: skip
    # Unknown items have been told, with the keys of this job.
    _, found = check_rows(rows, config.output.parent, scale=config.scale or "0..99")
    return [*faults, *found]


def _write(output: Path, made: Made) -> None:
    """Write both tables, the manifest last; if that fails, neither stays."""
    given = {name for row in made.rows for name, cell in row.cells.items() if cell} | {"grade"}
    own = sorted(one for one in given if one not in COLUMNS)
    columns = [*(one for one in COLUMNS if one in given), *own]
    aside = _set_aside(made)
    written = [aside_path(output)] if aside else []
    cells = [{name: row.cells.get(name, "") for name in columns} for row in made.rows]
    try:
        if aside:
            write_text(aside_path(output), table_text(("what", "name", "reason"), aside))
        write_text(output, table_text(columns, cells))
    except OSError as error:
        for path in written:
            path.unlink(missing_ok=True)
        raise ManifestError(f"{output}: cannot be written: {error.strerror or error}") from error


def _set_aside(made: Made) -> list[dict[str, str]]:
    """Return what is not in the manifest: files by path, rows by their number."""
    found = [("damaged", path.as_posix(), why) for path, why in made.damaged.items()]
    found += [("name does not fit the pattern", one.as_posix(), "") for one in made.strange]
    for table, joined in zip(made.tables, made.joins, strict=True):
        found += [(f"no row in {table.name}", one.path.as_posix(), "") for one in joined.parts]
        found += [(f"no video of a row in {table.name}", f"row {row.number}", "")
                  for row in joined.rows]  # fmt: skip
    return [dict(zip(("what", "name", "reason"), one, strict=True)) for one in found]
