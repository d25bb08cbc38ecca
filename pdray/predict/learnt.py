"""Whom a network of a study learnt from, by id and by the content of files."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from pdray.data.cohort.digests import Digests
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rows import FILES
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, StoreError, StudyError, refuse
from pdray.predict.models import Model
from pdray.predict.posed_visits import PosedVisit
from pdray.predict.studied import Studied, open_study
from pdray.tracking.run_log import study_of_winner

_BY_ID = "by its id"


@dataclass(frozen=True)
class Learnt:
    """Whom a network learnt from.

    Attributes:
        studies: Its study, and those that trained the weights it started from, each with the ids
            of its subjects; without those of data that name nobody.
        files: Subject by the SHA-256 of each file that the network learnt from.
    """

    studies: tuple[tuple[Studied, frozenset[str]], ...]
    files: Mapping[str, str]

    @property
    def subjects(self) -> frozenset[str]:
        """Ids of all subjects."""
        return frozenset[str]().union(*(subjects for _, subjects in self.studies))

    def subject_of(
        self, row: Recording, contents: Sequence[str], *, other_people: bool
    ) -> tuple[str, str] | None:
        """Return the subject that a recording is of, and how that is known; None if it is new.

        Args:
            row: A recording.
            contents: SHA-256 of its files.
            other_people: Whether an equal id is another person.
        """
        for studied, subjects in () if other_people else self.studies:
            if (named := studied.subject_named(row.subject_id)) in subjects:
                return str(named), _BY_ID
        known = next((self.files[one] for one in contents if one in self.files), None)
        return None if known is None else (known, "by the content of its file")


def contents_of(visits: Sequence[PosedVisit], digests: Digests) -> dict[str, tuple[str, ...]]:
    """Return the SHA-256 of the files of each recording, by its id; of those that can be read.

    Args:
        visits: The visits.
        digests: Of files that were read before.
    """
    found = {}
    for one in (one for visit in visits for one in visit.recordings):
        with suppress(OSError, DecodeError):  # it is told when it is decoded
            files = [file for name in FILES if (file := getattr(one, name)) is not None]
            found[one.recording_id] = tuple(digests.digest(file) for file in files)
    return found


def refuse_learnt(
    visits: Sequence[PosedVisit],
    learnt: Learnt,
    contents: Mapping[str, Sequence[str]],
    *,
    other_people: bool,
) -> None:
    """Refuse visits of people that the network learnt from.

    Args:
        visits: The visits.
        learnt: Whom it learnt from.
        contents: Result of :func:`contents_of`.
        other_people: Whether an equal id is another person; equal files are always the same.

    Raises:
        StudyError: Names the visits and how each is known.
    """
    faults: dict[str, str] = {}
    for visit in visits:
        for one in visit.recordings:
            some = contents.get(one.recording_id, ())
            if known := learnt.subject_of(one, some, other_people=other_people):
                told = f"is of its subject {known[0]}, {known[1]} ({one.recording_id})"
                faults.setdefault(visit.name, told)
    if not faults:
        return
    right = "remove their rows from the manifest, or use a network that did not learn from them"
    if any(_BY_ID in one for one in faults.values()):
        right += "; if only the ids are equal and the people are others, write other_people=true"
    name = learnt.studies[0][0].name
    headline = f"the network of study {name} learnt from some visits; {right}"
    refuse([f"visit {name}: {told}" for name, told in faults.items()], StudyError, headline)


def find_learnt(studied: Studied, model: Model) -> Learnt:
    """Return whom a network learnt from, and the networks of pdray whose weights it started from.

    Raises:
        StudyError: If the content of the files of a study is not known here.
    """
    studies: list[tuple[Studied, frozenset[str]]] = []
    files: dict[str, str] = {}
    for one in _with_starts(studied):
        learnt = model.learnt if one is studied else frozenset(one.folds.development)
        found = {**one.subject_of_digest, **_by_entries(one)}
        found = {digest: subject for digest, subject in found.items() if subject in learnt}
        if lacking := learnt - set(found.values()):
            raise StudyError(
                f"study {one.name}: the files of {len(lacking)} of the {len(learnt)} subjects that "
                "its network learnt from are not known here, so a copy of one could not be found; "
                f"restore its manifest {one.data.manifest.name} and the frame store "
                f"{one.store.root}"
            )
        files |= found
        studies.append((one, learnt - _unnamed(one)))
    return Learnt(tuple(studies), files)


def _with_starts(studied: Studied) -> Iterator[Studied]:
    """Yield a study, and those that trained the weights that it started from."""
    yield studied
    file = studied.config.pretrained
    if file is not None and (study := study_of_winner(file)) is not None:
        yield from _with_starts(open_study(study.folder))


def _unnamed(studied: Studied) -> set[str]:
    """Return the ids that stand for subjects whom the data do not name."""
    if studied.data.subjects != "none":
        return set()
    pairs = zip(studied.inner["recording_id"], studied.inner["subject_id"], strict=True)
    return {str(subject) for name, subject in pairs if name == subject}


def _by_entries(studied: Studied) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, subject in studied.subject_of_entry.items():
        try:
            made_of = Entry(studied.store.root / name[:2] / f"{name}.arrow").made_of
        except StoreError:  # it was deleted; the notes of files may be there
            continue
        found |= dict.fromkeys(made_of, subject)
    return found
