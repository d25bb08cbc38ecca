"""Made recordings: pictures of a person that a method changed, for training alone.

They are rows of the manifest with ``made_by``, and are kept apart from the real recordings from the
first reading on: folds, test groups, class frequencies, scores and reports are of real recordings.
A fold trains on a made one only if the people in it, and all whom its generator learnt from, are on
the training side of that fold.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.data.cohort.provenance import Provenance, read_provenance
from pdray.data.modalities import is_table, needed_field
from pdray.data.tables.features import is_single
from pdray.errors import DecodeError, FoldsError, ManifestError

if TYPE_CHECKING:
    from pdray.data.cohort.digests import Digests
    from pdray.data.cohort.manifest import Recording
    from pdray.data.cohort.rated import FoldSides, RatedRecording
    from pdray.data.cohort.settings import DataConfig
    from pdray.data.modalities import Modality

LEARN, CHANGE = "learn", "change"
_SHOWN = 3
_AGAIN = "make the recordings again, or remove the row"


@dataclass(frozen=True, slots=True)
class Made:
    """A made recording.

    Attributes:
        recording: Its row; its subject is that of its source.
        provenance: Who made it.
        people: Subjects of the manifest whom it carries: the source's, those that the generator
            learnt from, and those with a file of the same content as one of theirs.
        contents: SHA-256 of the files of these people that went into it, as far as they are known:
            those that the generator learnt from, and those of the source.
    """

    recording: "Recording"
    provenance: Provenance
    people: frozenset[str]
    contents: frozenset[str] = frozenset()


def find_made(
    recordings: Sequence["Recording"], digests: "Digests"
) -> tuple[list[Made], list[tuple[str, str]]]:
    """Return the made recordings of a manifest, and what is wrong with them.

    Args:
        recordings: All rows, of real and of made recordings.
        digests: Of files that were read before.

    Returns:
        The made recordings without a fault, in the order of the rows; and the id of each recording
        with a fault, with the fault.
    """
    rows = _Rows(recordings, digests)
    sets: dict[Path, _MadeSet | str] = {}
    found, faults = [], []
    for one in recordings:
        if one.made_by is None:
            continue
        if one.made_by not in sets:
            try:
                sets[one.made_by] = _MadeSet(read_provenance(one.made_by), rows)
            except ManifestError as error:
                sets[one.made_by] = f"made_by {error}; {_AGAIN}"
        of = sets[one.made_by]
        told = [of] if isinstance(of, str) else of.faults(one)
        faults += [(one.recording_id, f"recording {one.recording_id}: {text}") for text in told]
        if not told and not isinstance(of, str):
            found.append(of.made(one))
    known = [one for one in sets.values() if not isinstance(one, str)]
    return found, faults + _renamed(rows, known)


def usable_made(
    made: Sequence[Made], config: "DataConfig", needs: Collection["Modality"]
) -> tuple[Made, ...]:
    """Return the made recordings of a study's items that have all that it needs.

    Raises:
        ManifestError: If there is none.
    """
    wanted = [*dict.fromkeys(map(needed_field, needs)), "grade"]
    found = tuple(
        one
        for one in made
        if (config.items is None or one.recording.item in config.items)
        and all(one.recording.given(name) is not None for name in wanted)
    )
    if not found:
        raise ManifestError(
            f"data.made=training: none of {len(made)} made recordings of the manifest is of the "
            f"study's items and has {', '.join(wanted)}; set data.made=none"
        )
    return found


def made_lines(sides: Sequence["FoldSides"], recordings: Sequence["RatedRecording"]) -> list[str]:
    """Return how many made recordings each fold learns from, in words.

    Args:
        sides: Of the folds.
        recordings: To which their positions refer.

    Raises:
        FoldsError: If no fold learns from any, so that the study would be the one without them.
    """
    everyone = [place for place, one in enumerate(recordings) if one.carries]
    counts = [len({*side.training} & {*everyone}) for side in sides]
    if not any(counts):
        raise FoldsError(
            f"data.made=training: none of {len(everyone)} made recordings can be learnt from: each "
            "carries somebody whom every fold holds out; fit one generator in each fold, on its "
            "training subjects alone, or set data.made=none"
        )
    told = ", ".join(map(str, counts))
    return [f"made recordings learnt from: {told} of {len(everyone)}, by fold; none is scored"]


def refuse_made(made: Sequence[Made]) -> None:
    """Refuse to score made recordings, which nobody has rated.

    Raises:
        ManifestError: If there is one; names the first.
    """
    if made:
        raise ManifestError(
            f"{len(made)} rows are made recordings (column made_by), the first "
            f"{made[0].recording.recording_id}; nothing made is graded or scored: remove these rows"
        )


class _Rows:
    """The real recordings of a manifest, and the files of all rows by their content.

    Args:
        recordings: All rows.
        digests: Of files that were read before.
    """

    def __init__(self, recordings: Sequence["Recording"], digests: "Digests") -> None:
        self.real = {one.recording_id: one for one in recordings if one.made_by is None}
        self.subjects = {one.subject_id for one in self.real.values()}
        self.without = {
            word: {
                one.subject_id
                for one in self.real.values()
                if word not in (one.consent_synthesis or "").split()
            }
            for word in (LEARN, CHANGE)
        }
        self.contents: dict[str, dict[str, str]] = {}
        self.of_content: dict[str, set[str]] = {}
        for one in recordings:
            found = self.contents[one.recording_id] = _contents(one, digests)
            for content in found.values():
                self.of_content.setdefault(content, set()).add(one.recording_id)

    def with_file_of(self, contents: Iterable[str]) -> set[str]:
        """Return the subjects of the real recordings with a file of one of these contents."""
        names = {name for one in contents for name in self.of_content.get(one, ())}
        return {self.real[name].subject_id for name in names & self.real.keys()}


def _contents(one: "Recording", digests: "Digests") -> dict[str, str]:
    """Return the SHA-256 of the files that are of a recording alone, by column."""
    found = {}
    for column, file in one.files.items():
        if not is_table(column) or is_single(file):
            try:
                found[column] = digests.digest(file)
            except (OSError, DecodeError):  # said of the file
                continue
    return found


class _MadeSet:
    """The made recordings of one provenance file; what holds for all of them is found once."""

    def __init__(self, provenance: Provenance, rows: _Rows) -> None:
        self.provenance, self._rows = provenance, rows
        learnt = set(provenance.learnt_subjects)
        self._learnt = learnt | rows.with_file_of(provenance.learnt_contents)
        self._all_faults = self._of_generator(learnt)
        self._sources: dict[str, set[str]] = {}
        for source in provenance.made.values():
            if source.recording_id in rows.real:
                subject = rows.real[source.recording_id].subject_id
                self._sources.setdefault(subject, set()).add(source.recording_id)
        self._of_subject: dict[str, tuple[frozenset[str], frozenset[str]]] = {}

    def _of_generator(self, learnt: set[str]) -> list[str]:
        if absent := sorted(learnt - self._rows.subjects):
            return [
                f"its generator learnt from {len(absent)} subjects that the manifest lacks "
                f"({_some(absent)}), so that no split can keep them apart; add their rows, or "
                "remove this one"
            ]
        return _without_consent(LEARN, learnt, self._rows)

    def faults(self, one: "Recording") -> list[str]:
        """Return what is wrong with a made recording of the set."""
        if one.grade is None and one.diagnosis is None:
            return ["it has neither grade nor diagnosis; a made recording has those of its target"]
        contents, made = self._rows.contents[one.recording_id], self.provenance.made
        sources = {made[name].recording_id for name in contents.values() if name in made}
        if told := self._file_faults(one, sources):
            return told
        if absent := sources - self._rows.real.keys():
            return [
                f"its source {min(absent)} is no real recording of the manifest; nothing is made "
                "of a made recording, and the source's row must be there"
            ]
        if {self._rows.real[name].subject_id for name in sources} != {one.subject_id}:
            return [
                f"its subject {one.subject_id} is not that of its source; write the source's "
                "subject_id"
            ]
        return [*_without_consent(CHANGE, {one.subject_id}, self._rows), *self._all_faults]

    def _file_faults(self, one: "Recording", sources: Collection[str]) -> list[str]:
        """Return which files of a made recording are neither listed nor those of its sources."""
        tables = [name for name, file in one.files.items() if is_table(name) and not
                  is_single(file)]  # fmt: skip
        if tables:
            return [
                f"its {tables[0]} are a row of a table of many recordings, whose content does not "
                "tell what was made; write them into an .npz file of their own that made_by lists, "
                "or leave the cell empty"
            ]
        known = set(self.provenance.made)
        for name in sources:
            known.update(self._rows.contents.get(name, {}).values())
        contents = self._rows.contents[one.recording_id]
        wrong = [column for column, content in contents.items() if content not in known]
        if sources and not wrong:
            return []
        named = f"file ({', '.join(wrong)})" if wrong else "file"
        return [f"its {named} is none of those that made_by lists, or was changed; {_AGAIN}"]

    def made(self, one: "Recording") -> Made:
        """Return a recording without a fault as a made one."""
        if one.subject_id not in self._of_subject:
            sources = self._sources.get(one.subject_id, set())
            contents = {
                content for name in sources for content in self._rows.contents[name].values()
            }
            people = self._learnt | self._rows.with_file_of(contents) | {one.subject_id}
            contents |= set(self.provenance.learnt_contents)
            self._of_subject[one.subject_id] = frozenset(people), frozenset(contents)
        return Made(one, self.provenance, *self._of_subject[one.subject_id])


def _without_consent(word: str, people: Collection[str], rows: _Rows) -> list[str]:
    lacks = sorted(rows.without[word] & {*people})
    if not lacks:
        return []
    return [
        f"{len(lacks)} of {len(people)} subjects did not consent to {word!r} ({_some(lacks)}): "
        "consent_synthesis must have that word in all rows of a subject; an empty cell is no "
        "consent. Remove the made recording"
    ]


def _some(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"


def _renamed(rows: _Rows, sets: Sequence[_MadeSet]) -> list[tuple[str, str]]:
    """Return the rows that say they are real, and whose file a provenance file lists as made."""
    made = {content for one in sets for content in one.provenance.made}
    return [
        (
            name,
            f"recording {name}: its file is a made one, by a provenance file of this manifest; "
            "fill in its made_by, or remove the row",
        )
        for content in sorted(made & rows.of_content.keys())
        for name in sorted(rows.of_content[content] & rows.real.keys())
    ]
