"""Folders of numbered pictures are read like a video of their rate: whole, or with a reason."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.audio import read_waveform
from pdray.data.media.decode import check_readable, declared_length, decode, inspect
from pdray.data.media.part import Part
from pdray.data.media.picture_list import list_text, numbered_pictures, read_list
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig
from pdray.errors import DecodeError, ManifestError

CONFIG = DecodeConfig(height=32, width=48)
SIZE = (48, 32)


def level(number: int) -> tuple[int, int, int]:
    return 8 * number % 256, 100, 50


@pytest.fixture(params=[".jpg", ".png"])
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a folder of twelve pictures, numbered from 3, without zeros in front."""
    made = tmp_path / "clip"
    made.mkdir()
    for number in range(3, 15):
        Image.new("RGB", SIZE, level(number)).save(made / f"frame{number}{request.param}")
    (made / "notes.txt").write_text("of the publisher")
    return made


def listed(folder: Path, rate: float = 12.5) -> Path:
    path = folder.parent / "one.pictures"
    path.write_text(list_text(numbered_pictures(folder), folder.name, rate))
    return path


def test_pictures_are_shown_in_their_order_at_their_rate(folder: Path) -> None:
    path = listed(folder)
    assert check_readable(path) is None
    clip = decode(path, CONFIG)
    np.testing.assert_allclose(clip.pts_seconds, np.arange(12) / 12.5, atol=1e-6)
    shown = clip.frames[:, 16, 24].astype(int)
    assert np.abs(shown - [level(number) for number in range(3, 15)]).max() <= 3
    slower = decode(path, CONFIG.model_copy(update={"frame_rate": 5}), part=Part(start_seconds=0.4))
    np.testing.assert_allclose(slower.pts_seconds, [0.4, 0.6, 0.8])
    assert declared_length(path) == (pytest.approx(12 / 12.5), 12)
    assert inspect(path, CONFIG).is_end_told
    index = scan(path, CONFIG)
    wanted = np.array([1, 7])
    assert np.array_equal(read_frames(path, index, wanted, CONFIG), clip.frames[wanted])


def test_a_manifest_may_name_a_list_and_the_list_may_move_with_its_folder(
    folder: Path, tmp_path: Path
) -> None:
    text = listed(folder).read_text()
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    folder.rename(moved / folder.name)
    (moved / "one.pictures").write_text(text)
    assert len(decode(moved / "one.pictures", CONFIG).frames) == 12
    manifest = tmp_path / "m.csv"
    manifest.write_text("recording_id,subject_id,item,video\nr,S1,gait,elsewhere/one.pictures\n")
    assert load_manifest(manifest).recordings[0].video == moved / "one.pictures"
    manifest.write_text("recording_id,subject_id,item,video\nr,S1,gait,one.pictures\n")
    with pytest.raises(ManifestError, match=r"video one\.pictures: lacks picture frame3\..*"):
        load_manifest(manifest)


def test_sound_is_not_looked_for_among_pictures(folder: Path) -> None:
    with pytest.raises(DecodeError, match="has no audio"):
        read_waveform(listed(folder), max_seconds=60)


def change(folder: Path, kind: str) -> None:
    last = sorted(folder.glob("frame*"))[-1]
    if kind == "lost":
        last.unlink()
    elif kind == "replaced":
        Image.new("RGB", SIZE, (9, 9, 9)).save(last)
    elif kind == "no list":
        (folder.parent / "one.pictures").write_text("{}")
    elif kind == "a path":
        path = folder.parent / "one.pictures"
        path.write_text(path.read_text().replace("frame3.", "../frame3."))


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("lost", r"lacks picture frame9\.\w+: No such file"),
        ("replaced", r"has another picture frame9\.\w+ than was imported; restore it"),
        ("no list", "is no picture list: KeyError.*import the pictures again"),
        ("a path", r"is no picture list: 12 pictures, 12.5 per second, '\.\./frame3\."),
    ],
)
def test_what_was_not_listed_so_is_refused(folder: Path, kind: str, message: str) -> None:
    path = listed(folder)
    change(folder, kind)
    with pytest.raises(DecodeError, match=message):
        decode(path, CONFIG)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"has no picture \(\.jpg"),
        (("1.jpg", "2.jpg", "4.jpg"), "has pictures 1 to 4, but none of number 3"),
        (("1.jpg", "01.jpg"), r"has 01\.jpg and 1\.jpg: one number twice"),
        (("1.jpg", "2.png"), "has pictures of 2 kinds; keep JPEG or PNG files alone"),
        (("1.jpg", "cover.jpg"), r"has picture cover\.jpg, whose name does not end with a number"),
    ],
)
def test_a_folder_that_is_no_row_of_pictures_is_refused(
    tmp_path: Path, names: tuple[str, ...], message: str
) -> None:
    for name in names:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(DecodeError, match=message):
        numbered_pictures(tmp_path)


def test_a_list_reads_back_what_was_written(folder: Path) -> None:
    found = read_list(listed(folder, rate=29.97))
    assert (found.rate, found.folder, len(found.digests)) == (29.97, folder, 12)
