"""One set of made recordings: its provenance file, what is wrong with its rows, whom it carries.

What holds for all rows of a set is found once, so that thousands of rows take seconds.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from pdray.data.cohort.digests import Digests
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.provenance import Provenance
from pdray.data.modalities import is_table
from pdray.data.tables.features import is_single
from pdray.errors import DecodeError

LEARN, CHANGE, SHOW = "learn", "change", "show"
AGAIN = "make the recordings again, or remove the row"
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class Made:
    """A made recording.

    Attributes:
        recording: Its row; its subject is that of its source.
        provenance: Who made it.
        people: Subjects of the manifest whom it carries: the source's, those that the generator
            learnt from, and those with a file of the same content as one of theirs.
        contents: SHA-256 of the files that went into it (those that the generator learnt from, and
            those of the sources), by subject; the key is empty for files that no row names.
    """

    recording: Recording
    provenance: Provenance
    people: frozenset[str]
    contents: Mapping[str, frozenset[str]] = field(default_factory=dict)


class Rows:
    """The real recordings of a manifest, and the files of all rows by their content.

    Args:
        recordings: All rows.
        digests: Of files that were read before.
    """

    def __init__(self, recordings: Sequence[Recording], digests: Digests) -> None:
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


def _contents(one: Recording, digests: Digests) -> dict[str, str]:
    """Return the SHA-256 of the files that are of a recording alone, by column."""
    found = {}
    for column, file in one.files.items():
        if not is_table(column) or is_single(file):
            try:
                found[column] = digests.digest(file)
            except (OSError, DecodeError):  # said of the file
                continue
    return found


class MadeSet:
    """The made recordings of one provenance file; what holds for all of them is found once."""

    def __init__(self, provenance: Provenance, rows: Rows) -> None:
        self.provenance, self._rows = provenance, rows
        learnt = set(provenance.learnt_subjects)
        self._learnt = learnt | rows.with_file_of(provenance.learnt_contents)
        self._all_faults = self._of_generator(learnt)
        self._sources: dict[str, set[str]] = {}
        for source in provenance.made.values():
            if source.recording_id in rows.real:
                subject = rows.real[source.recording_id].subject_id
                self._sources.setdefault(subject, set()).add(source.recording_id)
        self._contents: dict[str, set[str]] = {}
        for content in provenance.learnt_contents:
            for name in rows.with_file_of([content]) or {""}:
                self._contents.setdefault(name, set()).add(content)
        self._of_subject: dict[str, tuple[frozenset[str], Mapping[str, frozenset[str]]]] = {}

    def _of_generator(self, learnt: set[str]) -> list[str]:
        if absent := sorted(learnt - self._rows.subjects):
            return [
                f"its generator learnt from {len(absent)} subjects that the manifest lacks "
                f"({_some(absent)}), so that no split can keep them apart; add their rows, or "
                "remove this one"
            ]
        return _without_consent(LEARN, learnt, self._rows)

    def look_for_made(self, made_contents: Set[str]) -> None:
        """Note whether the generator learnt from made recordings.

        Args:
            made_contents: SHA-256 of all files that provenance files of the manifest list as made.
        """
        if again := made_contents & {*self.provenance.learnt_contents}:
            self._all_faults.append(
                f"its generator learnt from {len(again)} made recordings; nothing is made of made "
                f"ones: train it on real recordings, and {AGAIN}"
            )

    def faults(self, one: Recording) -> list[str]:
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

    def _file_faults(self, one: Recording, sources: Collection[str]) -> list[str]:
        """Return which files of a made recording are neither listed nor those of its sources."""
        tables = [name for name, file in one.files.items() if is_table(name) and not
                  is_single(file)]  # fmt: skip
        if tables:
            return [
                f"its {tables[0]} are a row of a table of many recordings, whose content does not "
                "tell what was made; write them into an .npz file of their own that made_by lists, "
                "or leave the cell empty"
            ]
        of_sources = {
            content for name in sources for content in self._rows.contents.get(name, {}).values()
        }
        wrong = [
            column
            for column, content in self._rows.contents[one.recording_id].items()
            if content not in self.provenance.made and content not in of_sources
        ]
        if sources and not wrong:
            return []
        named = f" ({', '.join(wrong)})" if wrong else ""
        return [f"its file is none of those that made_by lists, or was changed{named}; {AGAIN}"]

    def made(self, one: Recording) -> Made:
        """Return a recording without a fault as a made one."""
        if one.subject_id not in self._of_subject:
            sources = self._sources.get(one.subject_id, set())
            used = {name for source in sources for name in self._rows.contents[source].values()}
            people = self._learnt | self._rows.with_file_of(used) | {one.subject_id}
            contents = {name: set(self._contents.get(name, ())) for name in {*people, ""}}
            contents[one.subject_id] |= used
            self._of_subject[one.subject_id] = (
                frozenset(people),
                {name: frozenset(some) for name, some in contents.items() if some},
            )
        return Made(one, self.provenance, *self._of_subject[one.subject_id])


def _without_consent(word: str, people: Collection[str], rows: Rows) -> list[str]:
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


def renamed(rows: Rows, made_contents: Set[str]) -> list[tuple[str, str]]:
    """Return the rows that say they are real, and whose file a provenance file lists as made."""
    return [
        (
            name,
            f"recording {name}: its file is a made one, by a provenance file of this manifest; "
            "fill in its made_by, or remove the row",
        )
        for content in sorted(made_contents & rows.of_content.keys())
        for name in sorted(rows.of_content[content] & rows.real.keys())
    ]
