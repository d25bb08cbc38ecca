from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rivals import source_readers


@pytest.mark.parametrize("name", ["decord", "TorchCodec"])
def test_a_decoder_reads_the_asked_frames(
    name: str, numbered_video: Path, read_frame_number: Callable[..., int]
) -> None:
    readers = source_readers()
    if name not in readers:
        pytest.skip(f"{name} is not installed")
    # At 16 and 48 px wide, decord 0.6.0 cannot copy its own frames.
    frames = readers[name](numbered_video, np.array([7, 3, 20]), 32, 64)
    assert frames.shape == (3, 32, 64, 3)
    assert [read_frame_number(frame) for frame in frames] == [7, 3, 20]
