"""Portraits of a cohort, some of each recording, as arrays."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pdray.data.cohort.manifest import Recording
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.errors import DecodeError, StudyError, refuse
from pdray.predict.picture_networks import MODALITY, Pictures


@dataclass(frozen=True)
class Portraits:
    """Pictures of some recordings, in their order and in that of time.

    Attributes:
        pictures: (F, S, S, 3) uint8 RGB.
        rows: (F,) number of the recording of each.
        places: (F,) which portrait of its recording each is.
    """

    pictures: Pictures
    rows: NDArray[np.int64]
    places: NDArray[np.int64]


def read_portraits(rows: Sequence[Recording], store: FrameStore, number: int) -> Portraits:
    """Read portraits of recordings, at even distances; make the missing entries of the store.

    Args:
        rows: Recordings with a video and landmarks, at least one.
        store: Where their portraits are.
        number: Portraits of each; all of one that has fewer.

    Raises:
        DecodeError: If recordings cannot be read; names each.
        StoreError: If the store cannot be written.
    """
    found, faults = list[tuple[int, Pictures, NDArray[np.int64]]](), list[str]()
    for place, row in enumerate(rows):
        try:
            entry = Entry(store.add(row, (MODALITY,)).paths[MODALITY])
        except DecodeError as error:
            faults.append(str(error))
            continue
        chosen = np.unique(np.linspace(0, len(entry) - 1, number).round().astype(np.int64))
        found.append((place, entry.read(chosen), chosen))
    refuse(faults, DecodeError, "recordings without portraits; leave them out of the manifest")
    return Portraits(
        np.concatenate([pictures for _, pictures, _ in found]),
        np.concatenate([np.full(len(chosen), place) for place, _, chosen in found]),
        np.concatenate([chosen for *_, chosen in found]),
    )


def read_at(row: Recording, store: FrameStore, places: NDArray[np.int64], length: int) -> Pictures:
    """Read the portraits of a recording at places of another one of the same moments.

    Args:
        row: The recording.
        store: Where its portraits are.
        places: Which portraits.
        length: Portraits that the other recording has.

    Raises:
        StudyError: If the recordings differ in length.
        PdrayError: If it cannot be read.
    """
    entry = Entry(store.add(row, (MODALITY,)).paths[MODALITY])
    if len(entry) != length:
        raise StudyError(
            f"recording {row.recording_id} has {len(entry)} portraits, and the recording whose "
            f"true picture it is has {length}; draw both anew"
        )
    pictures: Pictures = entry.read(places)
    return pictures
