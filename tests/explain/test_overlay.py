from pathlib import Path

import av
import numpy as np
import pytest

from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.explain import overlay as module
from pdray.explain.overlay import Overlay, overlay_frames, write_overlay
from pdray.explain.spread import Regions, grid

HEAD = 36  # title and caption [px]


def make_overlay(*, num_layers: int = 2, synthetic: bool = True, regions: bool = False) -> Overlay:
    pictures = np.full((3, 64, 48, 3), 100, np.uint8)
    heat = np.zeros((3, 64, 48), np.float32)
    heat[1, :32, :24] = 2.0  # upper left of the second frame
    place = grid(3, height=64, width=48)
    if regions:
        corners = np.array([(10, 10), (40, 10), (40, 50), (10, 50)], np.float32)
        place = Regions(np.repeat(corners[None], 3, axis=0), np.array([4]), ("eye",))
    return Overlay(
        pictures=pictures,
        seconds=np.array([1.0, 1.2, 2.0]),
        activations={f"layer{number}": heat for number in range(1, num_layers + 1)},
        regions=place,
        caption="R3: class 1, predicted 0, shown 0 (p=0.80)",
        synthetic=synthetic,
    )


def panel(frame: np.ndarray, column: int) -> np.ndarray:
    return frame[HEAD : HEAD + 192, column * 144 : (column + 1) * 144]


def test_panels_stand_beside_each_other_and_small_pictures_are_enlarged() -> None:
    frames = list(overlay_frames(make_overlay()))
    assert len(frames) == 3
    assert {frame.shape for frame in frames} == {(HEAD + 192, 3 * 144, 3)}
    assert frames[0].dtype == np.uint8
    assert (panel(frames[0], 0) == 100).all()


def test_colour_lies_where_and_when_there_is_activation() -> None:
    first, second, _ = overlay_frames(make_overlay())
    assert (panel(first, 1) == 100).all()
    heated = panel(second, 1)
    red, blue = heated[40, 40, 0], heated[40, 40, 2]
    assert red > 150
    assert red > blue  # the top of the scale is yellow
    assert (heated[100:, 80:] == 100).all()
    assert (panel(second, 0) == 100).all()


def test_a_layer_is_scaled_by_its_own_highest_activation() -> None:
    bright = make_overlay()
    weak = {name: values * np.float32(1e-6) for name, values in bright.activations.items()}
    faint = Overlay(**{**vars(bright), "activations": weak})
    for one, other in zip(overlay_frames(bright), overlay_frames(faint), strict=True):
        assert np.abs(one.astype(int) - other.astype(int)).max() <= 1


def test_outlines_of_regions_are_drawn_on_the_picture_and_a_grid_is_not() -> None:
    with_regions, _, _ = overlay_frames(make_overlay(regions=True))
    green = (panel(with_regions, 0) == (0, 255, 160)).all(axis=2)
    rows, columns = np.nonzero(green)
    assert (rows.min(), rows.max() + 1) == (30, 150)  # 10..50 px, three times enlarged
    assert (columns.min(), columns.max() + 1) == (30, 120)
    assert not green[60, 60]
    assert (panel(with_regions, 1) == 100).all()


def test_many_layers_stand_in_several_rows() -> None:
    frame = next(iter(overlay_frames(make_overlay(num_layers=7))))
    assert frame.shape == (18 + 2 * (18 + 192), 6 * 144, 3)
    assert (frame[18 + 210 + 18 :, 2 * 144 :] == 0).all()  # eight panels, four places left


def test_the_title_says_recording_class_and_that_data_are_rendered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    draw = module._text

    def listen(text: str, width: int) -> np.ndarray:
        told.append(text)
        return draw(text, width)

    monkeypatch.setattr(module, "_text", listen)
    list(overlay_frames(make_overlay()))
    assert told == [
        "picture",
        "layer1",
        "layer2",
        "SYNTHETIC data: a rendered cohort, not patients; "
        "R3: class 1, predicted 0, shown 0 (p=0.80)",
    ]
    told.clear()
    list(overlay_frames(make_overlay(synthetic=False)))
    assert told[-1] == "R3: class 1, predicted 0, shown 0 (p=0.80)"
    told.clear()
    nothing = {"layer1": np.zeros((3, 64, 48), np.float32)}
    list(overlay_frames(Overlay(**{**vars(make_overlay()), "activations": nothing})))
    assert told[1] == "layer1 (nothing)"


def test_letters_are_drawn_and_a_long_text_keeps_its_end() -> None:
    assert module._text("layer1", 192).shape == (18, 192, 3)
    assert (module._text("layer1", 192) > 128).any()
    most = int(192 / module._LETTER_PX)
    name = "scorer.backbone.blocks.0.multipathway_blocks.1"
    cut = "..." + name[-(most - 3) :]
    assert np.array_equal(module._text(name, 192), module._text(cut, 192))
    edges = module._text(name, 192)[:, [0, -1]]
    assert (edges == 0).all()  # no letter is cut
    assert (module._text(r"$\nothing$", 192) > 128).any()  # an id is no formula


def test_the_file_is_h264_whose_frames_stand_at_their_times(tmp_path: Path) -> None:
    path = tmp_path / "videos" / "R3.mp4"
    write_overlay(path, make_overlay())
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert (stream.height, stream.width) == (HEAD + 192, 432)
        assert container.metadata.get("title") is None
        assert next(container.decode(stream)).time == 0
    clip = decode(path, DecodeConfig(height=HEAD + 192, width=432))
    # The last one is held for the median distance, 0.5 s.
    assert clip.pts_seconds == pytest.approx([0, 0.2, 1.0, 1.5], abs=1e-3)
    drawn = list(overlay_frames(make_overlay()))
    difference = np.abs(clip.frames[1].astype(int) - drawn[1].astype(int))
    assert difference.mean() < 4
    assert [one.name for one in path.parent.iterdir()] == ["R3.mp4"]


def test_a_single_frame_and_odd_sizes_make_a_video_too(tmp_path: Path) -> None:
    one = Overlay(
        pictures=np.zeros((1, 65, 33, 3), np.uint8),
        seconds=np.array([0.5]),
        activations={"layer1": np.zeros((1, 65, 33), np.float32)},
        regions=grid(1, height=65, width=33),
        caption="R1",
        synthetic=False,
    )
    frame = next(iter(overlay_frames(one)))
    assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
    write_overlay(tmp_path / "R1.mp4", one)
    clip = decode(tmp_path / "R1.mp4", DecodeConfig(height=64, width=64))
    assert clip.pts_seconds.tolist() == [0.0, 1.0]
