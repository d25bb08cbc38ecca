"""Says what became of a folder of videos and a sheet of ratings."""

import textwrap
from collections.abc import Iterator, Sequence, Sized

from pdray.command import console
from pdray.data.cohort.rows import UNABLE
from pdray.importers.sheets.join import Joined, told
from pdray.importers.sheets.making import Made
from pdray.importers.sheets.raters import CONSENSUS
from pdray.importers.sheets.settings import MakeManifestConfig, aside_path
from pdray.importers.sheets.table import told_columns

_SHOWN = 3  # of one kind
_WIDTH, _COLUMNS = 11, 78  # of the first column and of the text [letters]


def report(config: MakeManifestConfig, made: Made) -> str:
    """Return what was written, what has no partner, and the command to run next."""
    texts = [*_written(config, made), *_found(made)]
    texts += [("columns", line) for table in made.tables for line in told_columns(table)]
    texts += [("words", line) for line in _words(made)]
    texts += [("raters", line) for line in made.agreement]
    if made.consensus and made.agreement:
        texts.append(("grade", f"{made.consensus}: the grade {CONSENSUS[made.consensus][0]}"))
    texts += [("hint", line) for one in made.joins for line in one.hints[:_SHOWN]]
    texts += [("note", line) for table in made.tables for line in table.notes]
    texts += _aside(config, made)
    given = [f"data.scale={config.scale}"] if config.scale else []
    given += [] if _is_below(config) else ["data.allow_outside=true"]
    job = "quick-look" if any(row.cells["grade"] for row in made.rows) else "describe"
    texts.append(("next", console(job, f"data.manifest={config.output}", *given)))
    lines, before = [], ""
    for name, text in texts:
        # A command and a path stay on one line, so that they can be copied.
        width = _COLUMNS if " " in text and name != "next" else len(text)
        for line in textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False):
            lines.append(f"{'' if name == before else name:<{_WIDTH}}{line}")
            before = name
    return "\n".join(lines)


def _is_below(config: MakeManifestConfig) -> bool:
    return config.folder.absolute().is_relative_to(config.output.parent)


def _written(config: MakeManifestConfig, made: Made) -> Iterator[tuple[str, str]]:
    cells = [row.cells for row in made.rows]
    people = len({one["subject_id"] for one in cells})
    graded = sum(bool(one["grade"]) for one in cells)
    unable = sum(one.get("grade_status") == UNABLE for one in cells)
    yield "manifest", str(config.output)
    yield "manifest", f"{_count(len(cells), 'recording')} of {_count(people, 'subject')}"
    rest = len(cells) - graded - unable
    if graded or unable:
        counts = f"{graded} with a grade, {unable} that could not be rated, {rest} without a grade"
        yield "manifest", counts
    else:
        yield "manifest", "grade is empty in all of them: recordings to predict"
    if not _is_below(config):
        above = config.folder / config.output.name
        far = "the videos lie outside its folder, so it names them by absolute paths, which hold on"
        yield "manifest", f"{far} this machine alone; an output above them is {above}"


def _found(made: Made) -> Iterator[tuple[str, str]]:
    """Count files and rows, and say which have no partner."""
    files = len({one.path for one in made.parts}) + len(made.strange)
    others = f"; {_count(made.num_others, 'other file')}" if made.num_others else ""
    yield "videos", f"{files} in the folder{others}"
    if made.strange:
        yield "videos", f"{len(made.strange)} with a name that does not fit the pattern"
    if made.damaged:
        of_reason: dict[str, list[str]] = {}
        for path, why in made.damaged.items():
            of_reason.setdefault(why, []).append(made.names[path])
        some = [f"{_listed(names[:_SHOWN], names)}: {why}" for why, names in of_reason.items()]
        told_ones = _listed(some[:_SHOWN], some)
        yield "videos", f"{len(made.damaged)} damaged and set aside ({told_ones})"
    for table, joined in zip(made.tables, made.joins, strict=True):
        if joined.parts:
            some = [told(one.cells) for one in joined.parts[:_SHOWN] if one.cells]
            named = f" ({_listed(some, joined.parts)})" if some else ""
            yield "videos", f"{len(joined.parts)} without a row in {table.name}{named}"
        yield "rows", f"{len(table.rows)} in {table.name}, compared by {', '.join(joined.columns)}"
        if joined.rows:
            yield "rows", f"{len(joined.rows)} without a video ({_rows(joined)})"


def _rows(joined: Joined) -> str:
    columns = [one for one in joined.columns if one != "video"]
    some = [
        f"row {row.number}" + (f": {told(row.cells, columns)}" if columns else "")
        for row in joined.rows[:_SHOWN]
    ]
    return _listed(some, joined.rows)


def _words(made: Made) -> Iterator[str]:
    """Say which words of items and sides were taken for which."""
    for table in made.tables:
        by_column: dict[str, list[str]] = {}
        for (column, word, meant), number in table.words.items():
            if word != meant:
                by_column.setdefault(column, []).append(f"{word} -> {meant} ({number})")
        yield from (f"{table.name}, {name}: {', '.join(some)}" for name, some in by_column.items())


def _aside(config: MakeManifestConfig, made: Made) -> Iterator[tuple[str, str]]:
    if aside_path(config.output).exists():
        yield "set aside", f"{aside_path(config.output)} lists what is not in the manifest, and why"


def _listed(some: Sequence[str], of_all: Sized) -> str:
    return "; ".join([*some, *["..."] * (len(of_all) > len(some))])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
