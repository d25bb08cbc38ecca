"""The modalities of a recording."""

from typing import Literal, get_args

Modality = Literal[
    "rgb", "flow", "boundaries", "waveform", "log_mel", "mfcc", "landmarks", "regions"
]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
PICTURES: tuple[Modality, ...] = ("rgb", "flow", "boundaries")
SOUND: tuple[Modality, ...] = ("waveform", "log_mel", "mfcc")
TRACKS: tuple[Modality, ...] = ("landmarks", "regions")


def needed_field(modality: Modality) -> str:
    """Return the field of :class:`Recording` that must be there for a modality."""
    if modality in TRACKS:
        return modality
    return "sound" if modality in SOUND else "video"
