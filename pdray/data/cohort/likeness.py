"""Groups recordings without subject ids that are alike, so that a split does not part them.

The same person stands in several public clips, and a voice embedding recognises the voice. Without
subject ids a random split has people on both sides, which favours models that recognise people.
Recordings whose features are alike are therefore kept on one side. The groups are guesses: they
hold different people, and parts of one person. They are numbers that exist in memory only; nothing
writes, prints or names them.

Features are standardised over the recordings; the distance is 1 minus the cosine, and clusters are
joined by their average distance (average linkage) up to :data:`DISTANCE`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pdray.data.cohort.manifest import Recording
from pdray.errors import ManifestError, SettingsError

if TYPE_CHECKING:  # numpy
    from pdray.data.tables.features import Features

DISTANCE = 0.8
"""Largest average distance inside a group; of different voices most distances are near 1. Of WavLM
embeddings of YouTubePD it leaves 18 groups with ill people in batch A, where Zhou et al. 2023 tell
of 16 people; with 0.6 there are 29."""


def keep_alike_together(recordings: Sequence[Recording], modality: str) -> tuple[Recording, ...]:
    """Return the recordings, of which those that are alike form one :attr:`Recording.group`.

    Args:
        recordings: Of a cohort without subject ids.
        modality: ``features`` or ``features.NAME``; absent numbers become the mean. A recording
            without them is a group of its own.

    Raises:
        SettingsError: If fewer than two recordings have these features.
        PdrayError: If they cannot be read, or recordings have different columns.
    """
    has = [one for one in recordings if modality in one.features]
    if len(has) < 2:
        raise SettingsError(
            f"folds.alike: {len(has)} recordings have {modality}; add this column to the "
            "manifest, or leave folds.alike out"
        )
    members: dict[int, set[str]] = {}
    numbers = _clusters([_values(one, modality) for one in has], modality)
    for one, number in zip(has, numbers, strict=True):
        members.setdefault(number, set()).update(one.together or {one.subject_id})
    of_recording = dict(zip([one.recording_id for one in has], numbers, strict=True))
    return tuple(
        replace(one, together=frozenset(members[of_recording[one.recording_id]]))
        if one.recording_id in of_recording
        else one
        for one in recordings
    )


def _values(recording: Recording, modality: str) -> "Features":
    from pdray.data.tables.features import read_features

    return read_features((recording.features[modality], recording.recording_id))


def _clusters(found: Sequence["Features"], modality: str) -> list[int]:
    import numpy as np  # few studies are split so
    from scipy.cluster.hierarchy import fcluster, linkage

    if any(one.names != found[0].names for one in found):
        raise ManifestError(f"folds.alike: recordings have different columns of {modality}")
    values = np.stack([one.values for one in found])
    values = values[:, ~np.isnan(values).all(axis=0)]
    spread = np.nanstd(values, axis=0)
    values = np.nan_to_num((values - np.nanmean(values, axis=0)) / np.where(spread > 0, spread, 1))
    norms = np.linalg.norm(values, axis=1, keepdims=True)
    values = values / np.where(norms > 0, norms, 1)
    # Half the squared distance of vectors of length 1 is 1 minus their cosine.
    joined = linkage(values, "average", metric="sqeuclidean")
    return [int(number) for number in fcluster(joined, 2 * DISTANCE, "distance")]
