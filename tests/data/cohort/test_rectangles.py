"""Column ``crop``: the rectangle of a video's picture that a recording is."""

import numpy as np
import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.errors import ManifestError


def rows(**columns):
    """Return a row for each cell of the columns."""
    row = {"subject_id": "S1", "item": "gait"}
    cells = [dict(zip(columns, one, strict=True)) for one in zip(*columns.values(), strict=True)]
    return [{"recording_id": f"r{n}", **row, **one} for n, one in enumerate(cells)]


@pytest.mark.parametrize(
    "cell", ["0 0 64", "0 0 64 64 1", "0,0,64,64", "0 0 64.0 64", "-1 0 64 64", "all"]
)
def test_a_rectangle_is_four_whole_numbers(write_manifest, cell):
    path = write_manifest(rows(crop=["", "0 0 64 16", cell, "8 8 15 64"]))
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    assert f"row 4: crop {cell!r} is not four whole numbers with a space between, left top wid" in (
        text := str(caught.value)
    )
    assert "row 5: crop 8 8 15 64 is 15 x 64 px, less than 16 x 16; its numbers are left" in text
    assert "row 2" not in text
    assert "row 3" not in text


def test_a_rectangle_outside_its_picture_is_refused_with_its_row(write_manifest, write_video):
    write_video("a.mp4", np.zeros((2, 48, 64, 3), np.uint8))
    write_video(
        "turned.mp4",
        np.zeros((2, 48, 64, 3), np.uint8),
        prepare=lambda stream: stream.set_display_rotation(90),
    )
    cells = ["0 0 64 48", "0 1 64 48", "0 0 64 48", "0 0 48 64", ""]
    videos = ["a.mp4", "a.mp4", "turned.mp4", "turned.mp4", "a.mp4"]
    path = write_manifest(rows(video=videos, crop=cells))
    with pytest.raises(ManifestError) as caught:
        load_manifest(path)
    told = "(left top width height) reaches out of the picture, which is shown with"
    assert f"row 3: video a.mp4: its crop 0 1 64 48 {told} 64 x 48 px" in (
        text := str(caught.value)
    )
    assert f"row 4: video turned.mp4: its crop 0 0 64 48 {told} 48 x 64 px" in text
    assert text.count("row ") == 2
    table = load_manifest(path, check_files=False).table()
    assert table["crop"].tolist()[:4] == cells[:4]
    assert table["crop"].isna().tolist() == [False] * 4 + [True]
