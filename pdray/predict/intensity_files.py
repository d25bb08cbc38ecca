"""Intensities of visits as files: one of each visit, their manifest, tables and a report."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pdray.atomic import safe_name, write_text
from pdray.data.cohort.csv_table import table_text
from pdray.data.face.intensities import Intensities, text_digest, write_intensities
from pdray.errors import ManifestError
from pdray.evaluation.report import aligned, headline
from pdray.predict.intensity_settings import ExtractIntensitiesConfig
from pdray.predict.posed_visits import PosedVisit

SAFETY = (
    "for research, not for care: a low intensity is no diagnosis. Posed expressions differ by "
    "culture, age, depression and dentures"
)
Floats = NDArray[np.float64]

_BESIDE = ("table.csv", "lacks.csv", "report.txt")
_LACKS = ("visit", "expression", "why")


class Video(NamedTuple):
    """What was measured of one recording.

    Attributes:
        cosines: (P,) with the phrase of each expression.
        features: (E,) features of the network.
        seconds: Length [s].
        contents: SHA-256 of its files.
    """

    cosines: Floats
    features: Floats
    seconds: float
    contents: Sequence[str]


@dataclass(frozen=True)
class Measured:
    """Intensities of visits.

    Attributes:
        visits: Those with at least one video that can be read, with their intensities.
        without: The others.
        lacks: Visit, expression and reason of each absent video, and of each whose mean lacks a
            recording.
    """

    visits: tuple[tuple[PosedVisit, Intensities], ...]
    without: tuple[PosedVisit, ...]
    lacks: tuple[tuple[str, str, str], ...]


def measured_visits(
    visits: Sequence[PosedVisit],
    videos: Mapping[str, Video],
    failures: Mapping[str, str],
    shared: Mapping[str, Any],
) -> Measured:
    """Put the recordings of each visit together.

    Args:
        visits: The visits.
        videos: What was measured, by recording id.
        failures: Why the others cannot be read, by recording id.
        shared: Fields of :class:`Intensities` that are the same for all visits.
    """
    made, without, lacks = [], [], []
    for visit in visits:
        some = {
            name: [videos[id] for one in visit.videos.get(name, ()) if (id := one.recording_id)
                   in videos]
            for name in shared["classes"]
        }  # fmt: skip
        lacks += [
            (visit.name, name, _reason(visit, name, failures))
            for name, found in some.items()
            if not found or len(found) < len(visit.videos[name])
        ]
        if any(some.values()):
            made.append((visit, _intensities(visit, some, videos, shared)))
        else:
            without.append(visit)
    return Measured(tuple(made), tuple(without), tuple(lacks))


def _reason(visit: PosedVisit, expression: str, failures: Mapping[str, str]) -> str:
    some = [one.recording_id for one in visit.videos.get(expression, ())]
    told = [f"{name}: {failures[name]}" for name in some if name in failures]
    if len(told) < len(some):
        told.append("its intensities are the mean of the others")
    return "; ".join(told) or "the manifest has no recording"


def _intensities(
    visit: PosedVisit,
    some: Mapping[str, Sequence[Video]],
    videos: Mapping[str, Video],
    shared: Mapping[str, Any],
) -> Intensities:
    ids = [
        [one.recording_id for one in visit.videos.get(name, ()) if one.recording_id in videos]
        for name in some
    ]
    digests = {one for found in some.values() for video in found for one in video.contents}
    return Intensities(
        cosines=_means(some, "cosines"),
        features=_means(some, "features"),
        seconds=_means(some, "seconds"),
        recording_ids=tuple(text_digest(*names) if names else "" for names in ids),
        contents=tuple(sorted(digests)),
        **shared,
    )


def _means(some: Mapping[str, Sequence[Video]], field: str) -> Floats:
    """Return the mean of a field over the recordings of each expression; NaN where it is absent."""
    first = next(video for found in some.values() for video in found)
    absent = np.full(np.shape(getattr(first, field)), np.nan)
    return np.stack([
        np.mean([getattr(video, field) for video in found], axis=0) if found else absent
        for found in some.values()
    ])  # fmt: skip


def write_measured(
    measured: Measured,
    columns: Sequence[str],
    config: ExtractIntensitiesConfig,
    *,
    is_synthetic: bool,
) -> str:
    """Write files of intensities, tables and a report, and last the manifest.

    Args:
        measured: Intensities of visits.
        columns: Columns of the manifest.
        config: Settings.
        is_synthetic: Whether the network learnt from SYNTHETIC recordings, or measured some.

    Returns:
        What was done, as text.

    Raises:
        ManifestError: If a file cannot be written; the manifest is the last one.
    """
    output = config.output
    folder = output.with_name(f"{output.stem}.intensities")
    beside = {name: output.with_suffix(f".{name}") for name in _BESIDE}
    words = _words(measured, is_synthetic=is_synthetic)
    report = "\n".join([*words, "", *_report(measured)])
    rows = []
    try:
        folder.mkdir(exist_ok=True)
        for visit, intensities in measured.visits:
            name = f"{safe_name(visit.name)}.npz"
            write_intensities(folder / name, intensities)
            rows.append(visit.row(f"{folder.name}/{name}"))
        write_text(beside["table.csv"], _table(measured))
        lacks = [dict(zip(_LACKS, one, strict=True)) for one in measured.lacks]
        if lacks:
            write_text(beside["lacks.csv"], table_text(_LACKS, lacks))
        else:  # that of an earlier run is not taken for this one's
            beside["lacks.csv"].unlink(missing_ok=True)
        write_text(beside["report.txt"], f"{report}\n")
        write_text(output, table_text(columns, rows))
    except OSError as error:
        raise ManifestError(f"{error.filename}: cannot be written: {error.strerror}") from error
    files = {"manifest": output, "numbers": beside["table.csv"], "report": beside["report.txt"]}
    if measured.lacks:
        files["lacking"] = beside["lacks.csv"]
    return "\n".join([*words, *(f"{name:<10} {path}" for name, path in files.items())])


def _words(measured: Measured, *, is_synthetic: bool) -> list[str]:
    visits = [visit for visit, _ in measured.visits]
    first = measured.visits[0][1]
    present = [one.is_present for _, one in measured.visits]
    absent = (len(visits) + len(measured.without)) * len(first.classes) - int(np.sum(present))
    subjects = {one.cells["subject_id"] for one in visits}
    graded = Counter(one.grade_of for one in visits)
    lines = [
        headline("Intensities of expressions", is_synthetic),
        f"visits     {len(visits)} of {len(subjects)} subjects; {len(measured.without)} more have "
        "no video that can be read",
        f"videos     {int(np.sum(present))} measured; {absent} absent",
        f"log I      cosine / {first.tau:g} of a video of {first.num_frames} frames and a phrase; "
        "only differences count",
        *(f"phrase     {name}: {text}" for name, text in zip(first.classes, first.phrases,
                                                            strict=True)),
        f"highest    own phrase in {_highest(measured)}",
    ]  # fmt: skip
    if graded[""]:
        lines.append(
            f"note: {graded['']} visits have no grade: their rows of item "
            "facial_expression have several, or have none, and so have their videos"
        )
    if graded["its videos"]:
        lines.append(
            f"note: the grade of {graded['its videos']} visits is the one that all their graded "
            "videos share"
        )
    differing = Counter(column for one in visits for column in one.differing)
    lines += [
        f"note: {column} differs between the videos of {count} visits; its cells stay empty"
        for column, count in differing.items()
    ]
    return [*lines, SAFETY]


def _highest(measured: Measured) -> str:
    """Return in how many videos of each expression its own phrase has the highest cosine."""
    told = []
    for place, name in enumerate(measured.visits[0][1].classes):
        rows = [one.cosines[place] for _, one in measured.visits if one.is_present[place]]
        told.append(f"{name} {sum(int(row.argmax()) == place for row in rows)} of {len(rows)}")
    return ", ".join(told)


def _table(measured: Measured) -> str:
    """Return log intensities as CSV, one row per video."""
    first = measured.visits[0][1]
    columns = ("recording_id", "subject_id", "video", "seconds", *first.classes)
    rows = []
    for visit, one in measured.visits:
        for name, seconds, numbers in zip(one.classes, one.seconds, one.log, strict=True):
            cells = dict(zip(one.classes, map(_number, numbers), strict=True))
            known = {"recording_id": visit.name, "subject_id": visit.cells["subject_id"]}
            rows.append({**known, "video": name, "seconds": _number(seconds), **cells})
    return table_text(columns, rows)


def _number(value: float) -> str:
    return "" if np.isnan(value) else f"{value:.6g}"


def _report(measured: Measured) -> Iterator[str]:
    """Yield the lines of a table of log intensities of each visit."""
    for visit, one in measured.visits:
        yield f"visit {visit.name}: log I of each video (rows) and phrase (columns)"
        numbers = [
            [name, *(f"{value:.2f}" if is_there else "absent" for value in row)]
            for name, row, is_there in zip(one.classes, one.log, one.is_present, strict=True)
        ]
        yield from aligned([["video", *one.classes], *numbers])
        yield ""
