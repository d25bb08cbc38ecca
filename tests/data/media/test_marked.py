"""Marked pictures and videos: they say what they are, and through ``crop`` nothing tells it."""

from collections.abc import Callable, Sequence
from datetime import date
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GroupKFold
from sklearn.preprocessing import StandardScaler

from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import SnippetReader
from pdray.data.batches.settings import SnippetConfig
from pdray.data.cohort.cells import read_crop
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.cohort.rated import RatedRecording
from pdray.data.media.decode import decode, shown_size_of
from pdray.data.media.encode import CAMERA, LOSSLESS, encode
from pdray.data.media.marked import (
    ALONE,
    Mark,
    marked_png,
    write_marked_picture,
    write_marked_video,
)
from pdray.data.media.part import Box, Part
from pdray.data.media.picture_list import list_text
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.demo.cohort import draw_recording
from pdray.demo.illness.severity import DemoConfig, plan_cohort
from pdray.errors import ManifestError, SettingsError

Pixels = NDArray[np.uint8]

MARK = Mark("cyclegan", date(2026, 3, 14), "ab" * 32)
NUM_FRAMES = 12


def part_of(cell: str) -> Part:
    """Return what the cell of a manifest says."""
    faults: list[str] = []
    crop = read_crop(cell, faults)
    assert not faults
    return Part(crop=crop)


@cache
def people(count: int, size: int, fps: int = 25) -> list[Pixels]:
    """Draw two visits of some SYNTHETIC people."""
    config = DemoConfig(
        num_subjects=count, num_visits=2, size=size, items=("face_interview",), missing=0.0,
        min_seconds=1.0, max_seconds=1.1, seed=11, fps=fps,
    )  # fmt: skip
    return [draw_recording(one, config).frames[:NUM_FRAMES] for one in plan_cohort(config)]


@cache
def frames_of(kind: str) -> Pixels:
    """Return frames that are hard for a coder, or whose last rows are."""
    face, draw = people(1, 96)[0], np.random.default_rng(0)
    if kind == "face":
        return face
    if kind == "moving":  # rows come out of the strip's place and go there
        moved = np.stack([np.roll(one, 5 * n - 30, axis=0) for n, one in enumerate(face)])
        return np.clip(moved + draw.integers(-12, 13, moved.shape), 0, 255).astype(np.uint8)
    if kind == "dark below":  # an edge to the black strip that a filter of edges would smooth
        return (face * np.linspace(1, 0.05, 96)[:, None, None]).astype(np.uint8)
    height, width = map(int, kind.split(" x "))
    return face[:, :height, :width]


@pytest.mark.parametrize("kind", ["face", "moving", "dark below", "80 x 64", "90 x 70", "66 x 96"])
def test_of_a_marked_video_the_rectangle_is_read_as_if_there_were_no_strip(
    tmp_path: Path, kind: str
) -> None:
    frames = frames_of(kind)
    height, width = frames.shape[1:3]
    cell = write_marked_video(tmp_path / "marked.mp4", frames, np.arange(NUM_FRAMES) / 25, MARK)
    assert cell == f"0 0 {width} {height}"
    encode(tmp_path / "alone.mp4", frames, rate=25, coding=ALONE)
    for config in (DecodeConfig(height=height, width=width), DecodeConfig(height=50, width=40)):
        found = decode(tmp_path / "marked.mp4", config, part=part_of(cell))
        wanted = decode(tmp_path / "alone.mp4", config)
        # The aim was a mean difference of 0.5 and at most 4 grey levels, also in the last 16 rows.
        np.testing.assert_array_equal(found.frames, wanted.frames)
        np.testing.assert_allclose(found.pts_seconds, wanted.pts_seconds, atol=1e-9)
    # The loss of the coding itself: colours at half the size, and noise.
    exact = DecodeConfig(height=height, width=width)
    loss = np.abs(decode(tmp_path / "alone.mp4", exact).frames.astype(int) - frames)
    assert loss.mean() < (7 if kind == "moving" else 3)


def test_the_coding_of_a_camera_would_carry_the_strip_into_the_picture(tmp_path: Path) -> None:
    frames = frames_of("face")
    strip = np.zeros((NUM_FRAMES, 48, 96, 3), np.uint8)
    strip[:, 10:38:2] = 255
    encode(tmp_path / "alone.mp4", frames, rate=25, coding=CAMERA)
    encode(tmp_path / "marked.mp4", np.concatenate([frames, strip], 1), rate=25, coding=CAMERA)
    config = DecodeConfig(height=96, width=96)
    cut = decode(tmp_path / "marked.mp4", config, part=Part(crop=Box(0, 0, 96, 96))).frames
    differences = np.abs(cut.astype(int) - decode(tmp_path / "alone.mp4", config).frames)
    assert differences.mean() > 0.2
    assert differences.max() > 4


@pytest.mark.parametrize("kind", ["moving", "77 x 65"])
def test_a_batch_of_a_lossless_video_is_that_of_the_frames(tmp_path: Path, kind: str) -> None:
    frames, seconds = frames_of(kind), np.cumsum([2.0, *[0.04, 0.05, 0.033] * 3, 0.04, 0.04])
    cell = write_marked_video(tmp_path / "marked.mp4", frames, seconds, MARK, lossless=True)
    encode(tmp_path / "alone.mp4", frames, rate=25, coding=LOSSLESS)
    decoding = DecodeConfig(height=48, width=56)
    store = FrameStore(tmp_path / "store", Recipe(decode=decoding))
    batches = []
    for video, part in (("marked.mp4", part_of(cell)), ("alone.mp4", Part())):
        row = Recording("r", "S", "gait", video=tmp_path / video, crop=part.crop)
        stored = store.add(row)
        for paths in (stored.paths, None):  # from the store, and from the file
            one = RatedRecording("r", "S", "gait", 0, 0, row.video, part=part, stored=paths)
            reader = SnippetReader((one,), SnippetConfig(num_frames=NUM_FRAMES), decoding, seed=0)
            batch = PlannedBatch(0, 0, training=True, recordings=(0,), global_size=1)
            inputs = reader.allocate(batch)
            reader.read(batch, 0, {name: values.numpy()[0] for name, values in inputs.items()})
            batches.append(reader.batch(batch, inputs).frames.numpy())
    for other in batches[1:]:
        np.testing.assert_array_equal(other, batches[0])
    clip = decode(tmp_path / "marked.mp4", decoding)
    np.testing.assert_allclose(clip.pts_seconds, seconds - 2, atol=1e-5)
    # At its own size, the frames themselves.
    exact = DecodeConfig(height=frames.shape[1], width=frames.shape[2])
    np.testing.assert_array_equal(
        decode(tmp_path / "marked.mp4", exact, part=part_of(cell)).frames, frames
    )


def described(pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    """Return the last rows of pictures, and how much each row differs from the next, (N, D)."""
    levels = np.stack(pictures).mean(axis=3)
    edges = np.abs(np.diff(levels, axis=1)).mean(axis=2)
    return np.concatenate([levels[:, -16:, ::8].reshape(len(levels), -1), edges], axis=1)


def held_out_auroc(
    values: NDArray[np.float64], is_marked: NDArray[np.bool_], person: NDArray[np.int64]
) -> float:
    """Return the AUROC of "with a strip" on people whom the classifier has not seen."""
    scores = np.empty(len(values))
    for training, held in GroupKFold(5).split(values, is_marked, person):
        scaler = StandardScaler().fit(values[training])
        model = LogisticRegression(C=0.1, max_iter=1000)
        model.fit(scaler.transform(values[training]), is_marked[training])
        scores[held] = model.decision_function(scaler.transform(values[held]))
    return float(roc_auc_score(is_marked, scores))


def interval(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def test_a_classifier_cannot_tell_which_recordings_have_a_strip(tmp_path: Path) -> None:
    """Which of the two visits of a person has a strip is drawn anew 20 times.

    The AUROC is of people who were not learnt from. Its interval is of the draws.
    """
    config = DecodeConfig(height=64, width=64)
    pictures: dict[str, list[Pixels]] = {"plain": [], "cut": [], "near": [], "whole": []}
    for number, frames in enumerate(people(40, 64, fps=5)):
        alone, marked = tmp_path / f"{number}a.mp4", tmp_path / f"{number}m.mp4"
        encode(alone, frames[:3], rate=25, coding=ALONE)
        cell = write_marked_video(marked, frames[:3], np.arange(3) / 25, MARK)
        parts = {"cut": part_of(cell), "near": Part(crop=Box(0, 0, 64, 65)), "whole": Part()}
        pictures["plain"].append(decode(alone, config).frames[2])
        for name, part in parts.items():  # near: with one row too many
            pictures[name].append(decode(marked, config, part=part).frames[2])
    values = {name: described(some) for name, some in pictures.items()}
    person, draw = np.arange(80) // 2, np.random.default_rng(1)
    scores: dict[str, list[float]] = {"cut": [], "near": [], "whole": []}
    for _ in range(20):
        first = draw.random(40) < 0.5
        is_marked = np.stack([first, ~first], axis=1).ravel()
        for name, found in scores.items():
            shown = np.where(is_marked[:, None], values[name], values["plain"])
            found.append(held_out_auroc(shown, is_marked, person))
    low, high = interval(scores["cut"])
    assert low < 0.5 < high
    assert abs(np.mean(scores["cut"]) - 0.5) < 0.05
    # The same classifier sees the strip, and one row of it.
    assert interval(scores["whole"])[0] > 0.95
    assert interval(scores["near"])[0] > 0.8


@pytest.mark.parametrize(("width", "lines"), [(64, 3), (128, 2), (256, 1), (640, 1)])
def test_the_strip_stands_below_and_begins_with_a_block(
    tmp_path: Path, width: int, lines: int
) -> None:
    picture = np.full((70, width, 3), 200, np.uint8)
    cell = write_marked_picture(tmp_path / "a.png", picture, MARK)
    shown = np.asarray(Image.open(tmp_path / "a.png").convert("RGB"))
    assert cell == f"0 0 {width} 70"
    assert (shown[:80] == 200).all()  # filled up to whole blocks
    strip = shown[80:].mean(axis=2)
    assert len(strip) % 16 == 0
    assert (strip[0] == 0).all()
    rows = np.flatnonzero(np.diff((strip.max(axis=1) > 128).astype(int)) == 1)
    assert len(rows) == lines
    assert (strip[:, [0, -1]] == 0).all()  # no letter is cut
    assert strip.max() > 250


def test_words_and_metadata_say_the_same_in_both_kinds_of_file(tmp_path: Path) -> None:
    frames = frames_of("face")
    write_marked_video(tmp_path / "a.mp4", frames, np.arange(NUM_FRAMES) / 25, MARK)
    write_marked_picture(tmp_path / "a.png", frames[0], MARK)
    text = Image.open(tmp_path / "a.png").text  # type: ignore[attr-defined]
    with av.open(str(tmp_path / "a.mp4")) as container:
        found = dict(container.metadata)
        assert container.streams.video[0].average_rate == 25
        assert not container.streams.audio
    assert found["title"] == text["Title"] == "SYNTHETIC cyclegan 2026-03-14"
    assert found["comment"] == text["Comment"]
    assert found["comment"].startswith("SYNTHETIC: changed by cyclegan on 2026-03-14; no record")
    assert found["comment"].endswith(f"sha256 {MARK.maker}")
    assert (tmp_path / "a.png").read_bytes() == marked_png(frames[0], MARK)
    again = tmp_path / "again.mp4"
    write_marked_video(again, frames, np.arange(NUM_FRAMES) / 25, MARK)
    assert again.read_bytes() == (tmp_path / "a.mp4").read_bytes()


def test_a_row_that_says_a_marked_video_is_real_is_refused_even_if_it_was_encoded_again(
    tmp_path: Path, write_manifest: Callable[..., Path]
) -> None:
    frames = frames_of("face")
    write_marked_video(tmp_path / "a.mp4", frames, np.arange(NUM_FRAMES) / 25, MARK)
    with av.open(str(tmp_path / "a.mp4")) as made, av.open(str(tmp_path / "b.mkv"), "w") as again:
        again.metadata.update(made.metadata)  # as ffmpeg does it
        stream = again.add_stream("mpeg4", rate=25)
        stream.width, stream.height = made.streams.video[0].width, made.streams.video[0].height
        for frame in made.decode(video=0):
            again.mux(stream.encode(frame.reformat(format="yuv420p")))
        again.mux(stream.encode())
    encode(tmp_path / "c.mp4", frames, rate=25, metadata={"title": "Visit 3"})
    rows = [
        {"recording_id": f"r{name[0]}", "subject_id": "S", "item": "gait", "video": name}
        for name in ("a.mp4", "b.mkv", "c.mp4")
    ]
    with pytest.raises(ManifestError) as caught:
        load_manifest(write_manifest(rows))
    told = "is marked as made; fill in its made_by, or remove the row"
    assert f"row 2: video a.mp4: {told}" in (text := str(caught.value))
    assert f"row 3: video b.mkv: {told}" in text
    assert "row 4" not in text


def test_a_list_of_marked_pictures_is_read_as_its_pictures(tmp_path: Path) -> None:
    frames = frames_of("77 x 65")
    pictures = [tmp_path / f"{n:03d}.png" for n in range(NUM_FRAMES)]
    cells = {
        write_marked_picture(path, one, MARK) for path, one in zip(pictures, frames, strict=True)
    }
    video = tmp_path / "a.pictures"
    video.write_text(list_text(pictures, ".", 25))
    (cell,) = cells
    config = DecodeConfig(height=77, width=65)
    np.testing.assert_array_equal(decode(video, config, part=part_of(cell)).frames, frames)
    assert shown_size_of(video) == (66, 80 + 48)


def test_what_cannot_be_marked_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    narrow = np.zeros((NUM_FRAMES, 64, 62, 3), np.uint8)
    with pytest.raises(SettingsError, match=r"are 62 px wide, too narrow .* of 64 px or more"):
        write_marked_video(tmp_path / "a.mp4", narrow, np.arange(NUM_FRAMES) / 25, MARK)
    with pytest.raises(SettingsError, match="62 px wide"):
        write_marked_picture(tmp_path / "a.png", narrow[0], MARK)
    frames = frames_of("face")
    for count in (0, 1, NUM_FRAMES - 1, NUM_FRAMES + 1):
        with pytest.raises(ValueError, match=r"two times or more, got|argument"):
            write_marked_video(tmp_path / "a.mp4", frames, np.arange(count) / 25, MARK)
    assert list(tmp_path.iterdir()) == []
