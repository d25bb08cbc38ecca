"""Made recordings: pictures of a person that a method changed, for training alone.

They are rows of the manifest with ``made_by``, and are kept apart from the real recordings from the
first reading on: folds, test groups, class frequencies, scores and reports are of real recordings.
A fold trains on a made one only if the people in it, and all whom its generator learnt from, are on
the training side of that fold.
"""

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.data.cohort.made_sets import AGAIN, Made, MadeSet, Rows, renamed
from pdray.data.cohort.provenance import read_provenance
from pdray.data.modalities import needed_fields
from pdray.errors import FoldsError, ManifestError

if TYPE_CHECKING:
    from pdray.data.cohort.digests import Digests
    from pdray.data.cohort.manifest import Recording
    from pdray.data.cohort.rated import FoldSides, RatedRecording
    from pdray.data.cohort.settings import DataConfig
    from pdray.data.modalities import Modality


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
    rows = Rows(recordings, digests)
    paths = {one.made_by for one in recordings if one.made_by is not None}
    sets = {path: _read(path, rows) for path in sorted(paths)}
    known = [one for one in sets.values() if not isinstance(one, str)]
    made_contents = {content for one in known for content in one.provenance.made}
    for each in known:
        each.look_for_made(made_contents)
    found, faults = [], []
    for one in recordings:
        if one.made_by is None:
            continue
        of = sets[one.made_by]
        told = [of] if isinstance(of, str) else of.faults(one)
        faults += [(one.recording_id, f"recording {one.recording_id}: {text}") for text in told]
        if not told and not isinstance(of, str):
            found.append(of.made(one))
    return found, faults + renamed(rows, made_contents)


def _read(path: Path, rows: Rows) -> MadeSet | str:
    """Return the set of a provenance file, or why there is none."""
    try:
        return MadeSet(read_provenance(path), rows)
    except ManifestError as error:
        return f"made_by {error}; {AGAIN}"


def usable_made(
    made: Sequence[Made], config: "DataConfig", needs: Collection["Modality"]
) -> tuple[Made, ...]:
    """Return the made recordings of a study's items that have all that it needs.

    Raises:
        ManifestError: If there is none.
    """
    wanted = [*needed_fields(needs), "grade"]
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
