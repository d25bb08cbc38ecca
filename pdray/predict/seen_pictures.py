"""Numbers that networks give pictures, computed once per set of pictures and kept in files.

A file's name is a digest of the network and of the pictures, so the same real faces are never seen
twice by the same network, whichever table asks. Each file names its subjects, so that
``jobs/withdraw.py`` finds those of a person.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from pdray.atomic import replacing_private

if TYPE_CHECKING:  # whoever asks for subjects alone needs no torch
    from pdray.predict.picture_networks import PictureNetwork

Pictures = NDArray[np.uint8]
Numbers = NDArray[np.float64]
What = Literal["features", "probabilities"]
SUFFIX = ".seen.npz"


def seen_by(
    network: "PictureNetwork",
    what: What,
    pictures: Pictures,
    subjects: Sequence[str],
    folder: Path,
) -> Numbers:
    """Return what a network makes of a set of pictures; compute it if no file has it.

    Args:
        network: The network.
        what: Its features, or its class probabilities.
        pictures: (N, S, S, 3) uint8 RGB, at least one.
        subjects: (N,) the person of each.
        folder: Where the files are, for their owner alone.

    Returns:
        (N, D) or (N, K) float64.

    Raises:
        PdrayError: If the network cannot see them.
    """
    path = folder / f"{_name(network, what, pictures)}{SUFFIX}"
    try:
        with closing(np.load(path, allow_pickle=False)) as kept:
            values: Numbers = kept["values"]
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile):
        values = getattr(network, what)(pictures)
        names = np.array(sorted({*subjects}))
        with replacing_private(path) as temporary, temporary.open("wb") as file:
            np.savez(file, values=values, subjects=names)
    return values


def subjects_of(path: Path) -> frozenset[str]:
    """Return whose pictures a file is of.

    Raises:
        ValueError: If it is damaged.
        OSError: If it cannot be read.
    """
    try:
        with closing(np.load(path, allow_pickle=False)) as kept:
            return frozenset(map(str, kept["subjects"]))
    except (EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged") from error


def _name(network: "PictureNetwork", what: What, pictures: Pictures) -> str:
    digest = hashlib.sha256(f"{what} {network.digest} {pictures.shape}".encode())
    digest.update(np.ascontiguousarray(pictures).tobytes())
    return digest.hexdigest()[:32]
