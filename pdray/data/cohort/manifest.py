"""Manifest: the table of recordings a user hands over, checked whole before anything runs.

One row a recording, as CSV (UTF-8, commas) or Parquet. An empty cell means absent - never zero,
never guessed; ``NA`` or ``nan`` in a numeric cell is an error. Without ``audio`` the sound is the
video's own, where it has any. Cells are taken literally: a space around one is reported, not
stripped, because 'S01 ' and 'S01' would silently be two subjects. Every fault of a file is reported
at once, with its row: the line in a CSV file (line 1 is the header), the record from 1 in Parquet.
"""

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pdray.config import nearest
from pdray.data.cohort.csv_table import Row
from pdray.data.cohort.rows import COLUMNS, FILES, MADE, REQUIRED, UNABLE, Sheet, read_rows
from pdray.data.cohort.settings import (
    ACTION,
    KNOWN_ITEMS,
    SYNTHETIC_SITE,
    VISIT,
    DataConfig,
    Subjects,
    item_fault,
)
from pdray.data.media.part import Box, Part
from pdray.data.modalities import FEATURES, is_table
from pdray.errors import ManifestError, refuse

if TYPE_CHECKING:  # 0.4 s, for a table alone
    import pandas as pd

    from pdray.data.cohort.digests import Digests
    from pdray.data.cohort.made_sets import Made
    from pdray.data.cohort.people import Fault


@dataclass(frozen=True, slots=True)
class Recording:
    """One row. None (or an empty tuple of raters) is an empty cell or a column that is not there.

    Attributes:
        recording_id: Unique in the manifest.
        subject_id: Pseudonym; what folds are made of. The recording's own id where an action names
            none and that is allowed.
        item: One of :data:`KNOWN_ITEMS`, or a word of the user's, on the scale that is given.
        video: Absolute path.
        grade: 0 to the item's highest; the class of an action.
        visit_id: Names one visit of the subject.
        side: "left" or "right", and the other places of :data:`PLACES`.
        start_seconds: Where the recording starts inside the video, at least 0.
        end_seconds: Where it ends, greater than the start.
        audio: Absolute path of its sound; where None, the video's own sound is taken, if any.
        landmarks, regions, intensities: Absolute paths.
        features: Absolute path of the table of each column ``features`` or ``features.NAME`` that
            the row fills in, by the column's name.
        split: A split fixed by the cohort's owner; one value a subject.
        visit_score: The visit's total score, finite.
        raters: Grade by each rater, ``rater_1`` first; None where one did not rate.
        age: Years, 0 to 120.
        grade_status: "rated" or "unable" (to rate), which has no grade.
        medication_state, stimulation_state, dyskinesia: Words of :data:`WORDS`.
        hoehn_yahr: Stage, 0 to 5, with 1.5 and 2.5.
        disease_years: Since the diagnosis, 0 to 120.
        hours_since_dose: Since the last dose, 0 to 720.
        diagnosis, sex, site, recording_protocol, consent_version: Free text.
        consent_pictures: "yes" if the subject agreed that pictures of it are shown.
        consent_synthesis: What the subject agreed to, of "learn", "change" and "show", with spaces
            between; see :mod:`pdray.data.cohort.made`.
        crop: Rectangle of the video's shown picture that is read; None is all of it [px].
        made_by: Absolute path of the provenance file, if the recording is made; None is real.
        together: Subjects that share a file with this one, and this one; empty if none does. All
            of them belong on one side of a split.
    """

    recording_id: str
    subject_id: str
    item: str
    video: Path | None = None
    grade: int | None = None
    visit_id: str | None = None
    side: str | None = None
    start_seconds: float | None = None
    end_seconds: float | None = None
    audio: Path | None = None
    landmarks: Path | None = None
    regions: Path | None = None
    intensities: Path | None = None
    split: str | None = None
    diagnosis: str | None = None
    visit_score: float | None = None
    raters: tuple[int | None, ...] = ()
    medication_state: str | None = None
    sex: str | None = None
    age: float | None = None
    site: str | None = None
    grade_status: str | None = None
    stimulation_state: str | None = None
    dyskinesia: str | None = None
    hoehn_yahr: float | None = None
    disease_years: float | None = None
    hours_since_dose: float | None = None
    recording_protocol: str | None = None
    consent_pictures: str | None = None
    consent_synthesis: str | None = None
    consent_version: str | None = None
    crop: Box | None = None
    made_by: Path | None = None
    together: frozenset[str] = frozenset()
    features: Mapping[str, Path] = field(default_factory=dict, hash=False)

    def given(self, column: str) -> Any:
        """Return the value of a column of the manifest; None where its cell is empty."""
        return self.features.get(column) if is_table(column) else getattr(self, column)

    @property
    def files(self) -> dict[str, Path]:
        """The files that the row names, by column."""
        own = {name: file for name in FILES if (file := getattr(self, name)) is not None}
        return own | dict(self.features)

    @property
    def group(self) -> str:
        """The subject, or one name for all the subjects that share a file with it."""
        return min(self.together, default=self.subject_id)

    @property
    def is_unable(self) -> bool:
        """Whether who rated it could not grade it, as MDS-UPDRS allows."""
        return self.grade_status == UNABLE

    @property
    def sound(self) -> Path | None:
        """Where its sound is: ``audio``, else the video, which may have none."""
        return self.audio or self.video

    @property
    def part(self) -> Part:
        """Span and rectangle of its video."""
        return Part(self.start_seconds, self.end_seconds, self.crop)

    @property
    def is_synthetic(self) -> bool:
        """Whether it was rendered."""
        return self.site == SYNTHETIC_SITE


@dataclass(frozen=True)
class Manifest:
    """A checked manifest.

    Attributes:
        path: Absolute path of the file.
        digest: SHA-256 of the file's content, hexadecimal.
        recordings: The real ones in the order of the file, at least one.
        made: The made ones; they take part in training alone, where that is asked for.
        listed: Both, in the order of the file.
        notes: What the user should know of the file and its people, one sentence each.
        digests: Of the files that had to be compared; a reader that has accepted its settings
            keeps them.
    """

    path: Path
    digest: str
    recordings: tuple[Recording, ...]
    notes: tuple[str, ...] = ()
    digests: "Digests | None" = None
    made: "tuple[Made, ...]" = ()
    listed: tuple[Recording, ...] = ()

    def keep_digests(self) -> None:
        """Write the digests of sources that had to be computed beside the frame store.

        Raises:
            StoreError: If the store cannot be written.
        """
        if self.digests is not None:
            self.digests.keep()

    def recording(self, recording_id: str) -> Recording:
        """Return one recording.

        Raises:
            ManifestError: If no row has this id; names the nearest one.
        """
        by_id = {one.recording_id: one for one in self.recordings}
        if recording_id not in by_id:
            hint = nearest(recording_id, list(by_id))
            raise ManifestError(
                f"{self.path.name}: no row of {len(by_id)} has recording_id {recording_id!r}; "
                f"{hint}table() lists them"
            )
        return by_id[recording_id]

    def table(self) -> "pd.DataFrame":
        """Return the recordings as a data frame, a row each, in the order of the file.

        Returns:
            The manifest's columns and ``rater_1``, ... ; an absent cell is <NA>, numbers are Int64
            or Float64, files are absolute paths as text, ``crop`` is as the file has it.
        """
        from pdray.data.cohort.data_frame import recordings_table

        return recordings_table(self.recordings)


class Allowed(NamedTuple):
    """What would be refused if nobody had named it.

    Attributes:
        different_subjects: Groups of ids that look alike and are different people.
        shared_files: Files with parts of several people, which then stay on one side of a split.
        outside: Whether files may lie outside the manifest's folder.
        any_id: Whether ids may hold any character: a study of them was begun by an earlier version.
    """

    different_subjects: Sequence[Sequence[str]] = ()
    shared_files: Sequence[Path] = ()
    outside: bool = True
    any_id: bool = False


NOTHING = Allowed()


def grade_class(grade: int, cuts: Sequence[int]) -> int:
    """Return the class of a grade: the number of cuts, which rise, that are not above it."""
    return bisect_right(cuts, grade)


def open_manifest(
    data: DataConfig,
    *,
    output: Path | None = None,
    check_files: bool = True,
    any_id: bool = False,
) -> Manifest:
    """Read and check the manifest that settings name; see :func:`load_manifest`.

    Where ``data.target`` is the diagnosis, grades are labels of it.

    Args:
        data: The settings.
        output: Folder with the frame store, where digests of files are kept.
        check_files: As :func:`load_manifest` takes it.
        any_id: As :class:`Allowed` takes it.
    """
    from pdray.data.cohort.digests import SOURCES, Digests

    kept = None if output is None else output / "store" / SOURCES
    manifest = load_manifest(
        data.manifest,
        check_files=check_files,
        subjects=data.subjects,
        scale=data.scale,
        allowed=Allowed(data.different_subjects, data.shared_files, data.allow_outside, any_id),
        digests=Digests(kept, writes=False),
    )
    if data.target == "grade":
        return manifest
    from pdray.data.cohort.labels import labelled  # few studies learn another label

    return labelled(manifest, data.target)


def load_manifest(
    path: Path | str,
    *,
    check_files: bool = True,
    subjects: Subjects = "required",
    scale: str | None = None,
    allowed: Allowed | None = NOTHING,
    digests: "Digests | None" = None,
) -> Manifest:
    """Read and check a manifest.

    Args:
        path: ``.csv`` or ``.parquet``. Relative paths inside it are relative to its folder.
        check_files: Also check that every file exists and every video's header can be read.
        subjects: "none" gives a public video that names no subject its own id for one.
        scale: Grades of items that are not among the known ones, such as "0..4"; None refuses them.
        allowed: What the user has allowed. None looks for nothing of it: the manifest was accepted
            when a study of it began.
        digests: Of files that were read before; None is none.

    Returns:
        The manifest.

    Raises:
        ManifestError: With every fault of the file at once.

    Example:
        >>> manifest = pdray.load_manifest("demo/manifest.csv")
        >>> manifest.table()[["subject_id", "item", "grade"]].dtypes.astype(str).tolist()
        ['string', 'string', 'Int64']
        >>> manifest.recording("S001_V1_finger_tapping_left").side
        'left'
    """
    # Not at the top: the processes of trials need recordings alone.
    from pdray.data.cohort.files import file_faults
    from pdray.data.cohort.people import in_rows

    path = Path(path).absolute()
    content, (rows, notes), unnamed = _read(path, subjects)
    recordings, faults = check_rows(
        rows, path.parent, unnamed=unnamed, scale=scale, allowed=allowed, digests=digests
    )
    if check_files:
        faults += file_faults(rows, path.parent)
        if any(is_table(name) for row in rows[:1] for name in row.cells):
            from pdray.data.tables.checks import table_faults

            wrong, told_of_tables = table_faults(rows, path.parent)
            faults, notes = faults + wrong, notes + told_of_tables
    made: tuple[Made, ...] = ()
    listed = tuple(recordings)
    if any(one.made_by is not None for one in recordings):
        recordings, made, wrong = _apart(recordings, rows, digests, check_files=check_files)
        faults += wrong
        notes.append(f"{len(made)} made recordings: never scored, and learnt from only if asked")
    refuse(in_rows(faults), ManifestError, path.name)
    notes += _people_notes(recordings, unnamed, scale)
    digest = hashlib.sha256(content).hexdigest()
    return Manifest(path, digest, tuple(recordings), tuple(notes), digests, made, listed)


def _people_notes(
    recordings: Sequence[Recording], unnamed: frozenset[str], scale: str | None
) -> list[str]:
    """Return what to know of items of the user's own, and of the people and their raters."""
    from pdray.data.cohort.people import age_notes, id_notes, rater_notes

    own = Counter(one.item for one in recordings if one.item not in KNOWN_ITEMS)
    told = ", ".join(f"{item} ({number} recordings)" for item, number in own.items())
    named = dict.fromkeys(one.subject_id for one in recordings if one.recording_id not in unnamed)
    return [
        *[f"items on the scale {scale}, which are not among the known ones: {told}"] * any(own),
        *id_notes(list(named)),
        *rater_notes([one.raters for one in recordings]),
        *age_notes((one.subject_id, one.visit_id, one.age) for one in recordings),
    ]


def _apart(
    recordings: Sequence[Recording],
    rows: Sequence[Row],
    digests: "Digests | None",
    *,
    check_files: bool,
) -> tuple[list[Recording], "tuple[Made, ...]", list["Fault"]]:
    """Return real and made recordings apart from each other, and what is wrong with the made ones.

    Without a look at files, made recordings whose provenance cannot be followed are left out.
    """
    from pdray.data.cohort.digests import Digests
    from pdray.data.cohort.made import find_made

    made, faults = find_made(recordings, digests or Digests(None))
    number = {row.cells["recording_id"]: row.number for row in rows}
    real = [one for one in recordings if one.made_by is None]
    if not real:
        faults.append((recordings[0].recording_id, "every row is a made recording; add real ones"))
    wrong = [(number[name], text) for name, text in faults] if check_files or not real else []
    return real, tuple(made), wrong


def check_rows(
    rows: Sequence[Row],
    folder: Path,
    *,
    unnamed: frozenset[str] = frozenset(),
    scale: str | None = None,
    allowed: Allowed | None = NOTHING,
    digests: "Digests | None" = None,
) -> tuple[list[Recording], list["Fault"]]:
    """Return the recordings of rows without a fault, and the faults of all rows.

    Args:
        rows: With the columns of :data:`REQUIRED`; others may be absent.
        folder: Of the manifest; paths are relative to it.
        unnamed: Recordings whose id stands for a subject's.
        scale: Grades of items that are not among the known ones; None refuses them.
        allowed: What the user has allowed; None looks for nothing of it.
        digests: Of files that were read before; None is none.
    """
    from pdray.data.cohort.cells import is_personal, outside_faults, read_row, word_faults
    from pdray.data.cohort.files import Owners, find_owners
    from pdray.data.cohort.people import fact_faults, id_faults, repeated_ids

    checks = [read_row(row, folder, unnamed, scale) for row in rows]
    pairs = zip(rows, checks, strict=True)
    faults = [(row.number, text) for row, (_, texts) in pairs for text in texts]
    faults += repeated_ids(rows)
    owners = Owners()
    if allowed is not None:
        # What is said of others would print a name.
        people = [row for row in rows if not is_personal(row.cells["subject_id"])]
        owners = find_owners(people, folder, allowed.shared_files, digests)
        faults += id_faults(people, unnamed, allowed.different_subjects)
        # A made recording of a healthy person may show an ill one.
        real = [row for row in people if not row.cells.get(MADE)]
        faults += [*fact_faults(real), *owners.faults]
        for row in people:
            texts = [] if allowed.any_id else word_faults(row)
            texts += [] if allowed.outside else outside_faults(row, folder)
            faults += [(row.number, text) for text in texts]
    recordings = [
        Recording(**values, together=owners.together.get(values["subject_id"], frozenset()))
        for values, _ in checks
        if values is not None
    ]
    return recordings, faults


def _read(path: Path, subjects: Subjects) -> tuple[bytes, Sheet, frozenset[str]]:
    """Return a manifest's content, its rows and the recordings that name no subject."""
    from pdray.data.cohort.cells import is_unnamed, with_subject

    try:
        content = path.read_bytes()
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    required = tuple(name for name in REQUIRED if subjects == "required" or name != "subject_id")
    rows, notes = read_rows(path, content, required=required)
    if not rows:
        raise ManifestError(f"{path}: is empty: expected one row a recording below the header")
    unnamed = frozenset[str]()
    if subjects == "none":
        unnamed = frozenset(row.cells["recording_id"] for row in rows if is_unnamed(row))
        rows = [with_subject(row) for row in rows]
    return content, Sheet(rows, notes), unnamed


def select(
    manifest: Manifest, *, items: Sequence[str] | None, needs: Sequence[str]
) -> tuple[tuple[Recording, ...], dict[str, list[str]]]:
    """Return the recordings a job can use, and those it cannot.

    Args:
        manifest: The checked manifest.
        items: Items to use; None uses every one.
        needs: Fields of :class:`Recording` that must be present.

    Returns:
        The usable recordings, and for each needed field the ids of recordings (of the asked
        items) that lack it - to be listed by the job. Who could not be rated lacks no grade, and
        takes no part where one is needed; see ``unable.py``.

    Raises:
        ManifestError: If an item is unknown, or no recording is left; with the counts.
    """
    name = manifest.path.name
    there = {one.item for one in manifest.recordings}
    faults = [item_fault(item, None) or "" for item in items or () if item not in KNOWN_ITEMS
              and item not in there]  # fmt: skip
    if items is None and any(one.item == ACTION for one in manifest.recordings):
        faults.append(f"it holds item {ACTION}, whose classes are no grades; name the items to use")
    refuse(faults, ManifestError, f"{name} cannot be selected from")
    of_items = [one for one in manifest.recordings if items is None or one.item in items]
    asked = [one for one in of_items if not ("grade" in needs and one.is_unable)]
    lacking = {
        need: [one.recording_id for one in asked if one.given(need) in (None, ())] for need in needs
    }
    left_out = {key for keys in lacking.values() for key in keys}
    usable = tuple(one for one in asked if one.recording_id not in left_out)
    if not usable:
        counts = [f"{len(keys)} have no {need}" for need, keys in lacking.items() if keys]
        if unable := len(of_items) - len(asked):
            counts.append(f"{unable} could not be rated")
        wanted = [f"{len(of_items)} are of the items {', '.join(items)}"] if items else []
        raise ManifestError(
            f"{name}: none of its {len(manifest.recordings)} recordings can be used: "
            f"{'; '.join([*wanted, *counts])}. Fill in what is missing in the manifest, or choose "
            f"other items with data.items{_or_diagnosis(of_items, needs)}{_or_visits(items)}"
        )
    return usable, lacking


def _or_visits(items: Sequence[str] | None) -> str:
    is_asked = VISIT in (items or ())
    return "; make the rows of visits with jobs/extract_intensities.py" if is_asked else ""


def _or_diagnosis(recordings: Sequence[Recording], needs: Sequence[str]) -> str:
    known = "grade" in needs and any(one.diagnosis for one in recordings)
    return "; to learn who is ill, set data.target=diagnosis" if known else ""


assert {field.name for field in fields(Recording)} == {*COLUMNS, FEATURES, "raters", "together"}
