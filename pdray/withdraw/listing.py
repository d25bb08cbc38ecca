"""Writes what is left of a person, and what to do, as text for the owner of the data."""

from collections import Counter
from collections.abc import Iterator

from pdray.data.cohort.settings import SYNTHETIC
from pdray.tracking.generators import generator_of
from pdray.tracking.withdrawn import LEARNT, sent_runs
from pdray.withdraw.find import Found
from pdray.withdraw.trace import KINDS

_MANY = 12  # artefacts of a kind from which they are counted by folder
_WIDTH = 10


def listed(found: Found) -> str:
    """Return what is left of a person: what holds data of theirs, what learnt, what stays."""
    mark = f" ({SYNTHETIC})" if found.is_synthetic else ""
    lines = [f"{found.person.subject} in {found.output}{mark}:"]
    lines += [*_data(found), *_learnt(found), *_made(found), *_kept(found), *_owner(found)]
    if len(lines) == 1:
        lines.append("nothing is left")
    return "\n".join(lines)


def done(found: Found) -> str:
    """Return what was done, and the commands that train again without the person."""
    lines = [
        f"deleted    the data of {found.person.subject}: files and folders, {len(found.traces)}; "
        f"marked: studies and searches, {len(found.touched)}; exports, {len(found.exports)}",
    ]
    again = [one for one in found.again.values() if one.command]
    if again:
        lines += [
            "",
            "a model cannot forget one person; delete their rows of the manifest and train again:",
            *(one.command for one in again),
        ]
    others = [one.study.name for one in found.again.values() if not one.command]
    if others:
        lines.append(f"make again with another search.name what made {', '.join(others)}")
    methods = sorted({one.provenance.method for one in found.made})
    if methods:
        lines.append(
            "make the made recordings again, when the generators are trained again: "
            f"jobs/synthesize.py with method={' or '.join(methods)}; until then remove their rows"
        )
    if found.exports:
        lines.append("ask everybody who has an export to delete it; export the new model instead")
    return "\n".join(lines)


def _data(found: Found) -> Iterator[str]:
    for kind, about in KINDS.items():
        traces = [one for one in found.traces if one.kind == kind]
        if not traces:
            continue
        yield f"{kind:{_WIDTH}} {len(traces)} ({about})"
        rows = [(_short(found, str(one.path)), one.told) for one in traces]
        if len(rows) > _MANY and kind in ("frames", "features"):
            counts = Counter(text for _, text in rows)
            yield from (f"{'':{_WIDTH}}   {count} {text}" for text, count in counts.items())
        else:
            yield from (f"{'':{_WIDTH}}   {path}: {text}" for path, text in rows)


def _learnt(found: Found) -> Iterator[str]:
    for one in found.touched:
        path = _short(found, str(one.log.folder))
        if one.start:
            told = f"started from a model of {one.start}, so that {', '.join(one.learnt)} {LEARNT}"
        elif one.learnt:
            told = f"{', '.join(one.learnt)} {LEARNT}"
            if generator_of(one.log.read()["settings"]):
                told += "; it makes pictures, and its weights can bring out the face: delete them"
        else:
            told = "scored the subject; no model learnt from them"
        yield f"{'study':{_WIDTH}} {path}: {told}"
        if (one.log.folder / "mirror.json").is_file():
            uris = ", ".join(sent_runs(one.log)) or "a database that is not there now: look for it"
            yield f"{'tracking':{_WIDTH}} runs, models and versions of {path} in {uris}"
    for export in found.exports:
        there = "" if export.folder.is_dir() else ", which is not there now: find its copies"
        yield (
            f"{'export':{_WIDTH}} {export.folder}: {export.model} of {export.study.name}, "
            f"{export.time}{there}"
        )


def _made(found: Found) -> Iterator[str]:
    for one in found.made:
        of = one.provenance
        by = f"{of.method}, study {of.study}" if of.study else of.method
        path = _short(found, str(one.path))
        if one.own:
            yield f"{'made':{_WIDTH}} {path} ({by}): files made of the person, {len(one.own)}"
        if one.has_learnt and one.num_others:
            yield (
                f"{'made':{_WIDTH}} {path} ({by}): files of others, {one.num_others}, by a "
                "generator that learnt from the person; no study takes them when the person's rows "
                "are gone"
            )


def _kept(found: Found) -> Iterator[str]:
    if found.num_scorings:
        yield (
            f"{'stays':{_WIDTH}} tables/scorings.csv: {found.num_scorings} lines know the subject "
            "by a digest; they say how often test data were scored"
        )
    yield from (f"{'note':{_WIDTH}} {note}" for note in found.notes)


def _owner(found: Found) -> Iterator[str]:
    person = found.person
    for manifest in dict.fromkeys(row.manifest for row in person.rows):
        numbers = [str(row.number) for row in person.rows if row.manifest == manifest]
        made = [str(row.number) for row in person.rows if row.manifest == manifest and
                row.recording.made_by is not None]  # fmt: skip
        told = f" (made recordings: {', '.join(made)})" if made else ""
        yield f"{'yours':{_WIDTH}} {manifest}: delete its rows {', '.join(numbers)}{told}"
    for one in found.made:
        for manifest, rows in one.rows.items():
            yield (
                f"{'yours':{_WIDTH}} {manifest}: delete its rows {', '.join(map(str, rows))}, made "
                "of others by a generator that learnt from the person"
            )
    for table in dict.fromkeys(table for row in person.rows for table in row.tables):
        ids = [row.recording.recording_id for row in person.rows if table in row.tables]
        yield f"{'yours':{_WIDTH}} {table}: delete the rows of {', '.join(dict.fromkeys(ids))}"
    yield from _made_outside(found)


def _made_outside(found: Found) -> Iterator[str]:
    """Yield what is left outside of the output folder, beside the rows of manifests and tables."""
    outside = [one for one in found.made if not one.path.is_relative_to(found.output)]
    shown = [file for one in outside for file in one.files]
    for file in dict.fromkeys([*found.person.files, *shown]):
        if file.is_file():
            yield f"{'yours':{_WIDTH}} {file}: delete it and its copies"
    for table in dict.fromkeys(table for one in outside for table in one.tables):
        yield f"{'yours':{_WIDTH}} {table}: delete the rows of the person's recordings"
    for one in outside:
        yield f"{'yours':{_WIDTH}} {one.path}: names the person; delete it with what it lists"


def _short(found: Found, path: str) -> str:
    return path.removeprefix(f"{found.output}/")
