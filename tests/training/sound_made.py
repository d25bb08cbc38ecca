"""SYNTHETIC recordings of faces and voices whose class shows in all of them, stored and rated."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from pdray.data.modality import Modality
from pdray.data.plan import RatedRecording

NUM = 24


def stored_recordings(
    folder: Path,
    write_entry: Callable[..., Path],
    *,
    lacks: Mapping[int, tuple[Modality, ...]] | None = None,
    num_classes: int = 3,
) -> tuple[RatedRecording, ...]:
    """Return recordings of class number % num_classes.

    The brightness of the pictures, the scale of the face and the level of the spectra tell it.
    """
    found = []
    for number in range(NUM):
        rng = np.random.default_rng(number)
        label = number % num_classes
        sound = rng.normal(0, 1, (30, 4)) + 6.0 * label
        picture = rng.integers(0, 40, (6, 32, 32, 3)) + 60 * label
        points = rng.uniform(-1, 1, (6, 106, 2)) * (10 + 10 * label)
        made = {
            "rgb": picture.astype(np.uint8),
            "mfcc": sound.astype(np.float32),
            "log_mel": (sound - 20).astype(np.float32),
            "landmarks": points.astype(np.float32),
        }
        stored: dict[Modality, Path] = {}
        for modality, items in made.items():
            if modality in (lacks or {}).get(number, ()):
                continue
            path = folder / "ab" / f"{number}_{modality}.arrow"
            path.parent.mkdir(parents=True, exist_ok=True)
            stored[modality] = write_entry(path, items)  # type: ignore[index]
        found.append(
            RatedRecording(
                f"r{number}", f"S{number}", "face_interview", label, label, None, stored=stored
            )
        )  # fmt: skip
    return tuple(found)
