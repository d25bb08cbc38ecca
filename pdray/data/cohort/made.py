"""Made recordings: pictures of a person that a method changed, for training alone.

They are rows of the manifest with ``made_by``, and are kept apart from the real recordings from the
first reading on: folds, test groups, class frequencies, scores and reports are of real recordings.
A fold trains on a made one only if the people in it, and all whom its generator learnt from, are on
the training side of that fold.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.data.cohort.provenance import Provenance, read_provenance
from pdray.data.modalities import needed_field
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
    """

    recording: "Recording"
    provenance: Provenance
    people: frozenset[str]


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
    known: dict[Path, Provenance | str] = {}
    for one in recordings:
        if one.made_by is not None and one.made_by not in known:
            try:
                known[one.made_by] = read_provenance(one.made_by)
            except ManifestError as error:
                known[one.made_by] = str(error)
    real = {one.recording_id: one for one in recordings if one.made_by is None}
    of_content = _contents(recordings, digests)
    found, faults = [], []
    for one in recordings:
        if one.made_by is None:
            continue
        provenance = known[one.made_by]
        if isinstance(provenance, str):
            told = [f"made_by {provenance}; {_AGAIN}"]
        else:
            contents = [name for name, ids in of_content.items() if one.recording_id in ids]
            told = _faults(one, provenance, real, contents)
        faults += [(one.recording_id, f"recording {one.recording_id}: {text}") for text in told]
        if not told and not isinstance(provenance, str):
            found.append(Made(one, provenance, _people(one, provenance, real, of_content)))
    sets = [one for one in known.values() if isinstance(one, Provenance)]
    return found, faults + _renamed(real, of_content, sets)


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


def _contents(recordings: Sequence["Recording"], digests: "Digests") -> dict[str, frozenset[str]]:
    """Return the ids of the recordings with a file of each content."""
    found: dict[str, set[str]] = {}
    for one in recordings:
        for file in (one.video, one.landmarks, one.audio):
            if file is not None:
                try:
                    found.setdefault(digests.digest(file), set()).add(one.recording_id)
                except (OSError, DecodeError):  # said of the file
                    continue
    return {content: frozenset(ids) for content, ids in found.items()}


def _faults(
    one: "Recording",
    provenance: Provenance,
    real: Mapping[str, "Recording"],
    contents: Collection[str],
) -> list[str]:
    """Return what is wrong with a made recording; ``contents`` are the digests of its files."""
    if one.grade is None and one.diagnosis is None:
        return ["it has neither grade nor diagnosis; a made recording has those of its target"]
    listed = [provenance.made[name] for name in contents if name in provenance.made]
    if not listed:
        return [f"its file is none of those that made_by lists, or was changed; {_AGAIN}"]
    sources = {source.recording_id for source in listed}
    if made := sources - real.keys():
        return [
            f"its source {min(made)} is no real recording of the manifest; nothing is made of a "
            "made recording, and the source's row must be there"
        ]
    if {real[name].subject_id for name in sources} != {one.subject_id}:
        return [
            f"its subject {one.subject_id} is not that of its source; write the source's subject_id"
        ]
    subjects = {row.subject_id for row in real.values()}
    if absent := sorted({*provenance.learnt_subjects} - subjects):
        return [
            f"its generator learnt from {len(absent)} subjects that the manifest lacks "
            f"({', '.join(absent[:_SHOWN])}{', ...' if len(absent) > _SHOWN else ''}), so that no "
            "split can keep them apart; add their rows, or remove this one"
        ]
    return _without_consent(one, provenance, real)


def _without_consent(
    one: "Recording", provenance: Provenance, real: Mapping[str, "Recording"]
) -> list[str]:
    asked = {CHANGE: {one.subject_id}, LEARN: set(provenance.learnt_subjects)}
    faults = []
    for word, people in asked.items():
        lacks = {
            row.subject_id
            for row in real.values()
            if row.subject_id in people and word not in (row.consent_synthesis or "").split()
        }
        if lacks:
            faults.append(
                f"{len(lacks)} of {len(people)} subjects did not consent to {word!r} "
                f"({', '.join(sorted(lacks)[:_SHOWN])}): consent_synthesis must have that word in "
                "all rows of a subject; an empty cell is no consent. Remove the made recording"
            )
    return faults


def _people(
    one: "Recording",
    provenance: Provenance,
    real: Mapping[str, "Recording"],
    of_content: Mapping[str, frozenset[str]],
) -> frozenset[str]:
    named = {one.subject_id, *provenance.learnt_subjects}
    learnt = {
        name for content in provenance.learnt_contents for name in of_content.get(content, ())
    }
    sources = {source.recording_id for source in provenance.made.values()} & real.keys()
    same = {
        name
        for ids in of_content.values()
        if any(other in sources and real[other].subject_id == one.subject_id for other in ids)
        for name in ids
    }
    return frozenset(named | {real[name].subject_id for name in (learnt | same) & real.keys()})


def _renamed(
    real: Mapping[str, "Recording"],
    of_content: Mapping[str, frozenset[str]],
    sets: Sequence[Provenance],
) -> list[tuple[str, str]]:
    """Return the rows that say they are real, and whose file a provenance file lists as made."""
    made = {content for one in sets for content in one.made}
    return [
        (
            name,
            f"recording {name}: its file is a made one, by a provenance file of this manifest; "
            "fill in its made_by, or remove the row",
        )
        for content in sorted(made)
        for name in sorted(of_content.get(content, ()))
        if name in real
    ]
