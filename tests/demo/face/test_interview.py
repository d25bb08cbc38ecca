"""Landmarks of drawn faces lie on what is drawn, and mean what they mean in YouTubePD.

That pictures stay as they are drawn is checked in ``test_cohort.py``.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pdray.data.face.points import INDEX, LANDMARKS, REGIONS, VERTICES
from pdray.data.media.tracks import read_track, write_track
from pdray.demo.face.drawing import paint_face
from pdray.demo.face.head import Scene, paint_head, plane_between
from pdray.demo.face.interview import Face, Interview, draw_face, draw_interview, draw_points
from pdray.demo.face.look import draw_look
from pdray.demo.face.movement import draw_expression
from pdray.demo.face.shape import MIDDLE_Y, Placement, chin_of, draw_shape, place_points
from tests.fixtures.landmark_made import still
from tests.places import YOUTUBEPD

FPS, SIZE = 25, 192
SHAPE = draw_shape(np.random.default_rng(4))
SIDES = ("left", "right")


def face(subject: int = 1, visit: int = 1, size: int = 48) -> Face:
    return draw_face(
        np.random.default_rng(subject), np.random.default_rng([subject, visit]), size=size
    )


def film(grade: int, seed: int = 0, num_frames: int = 20, who: Face | None = None) -> Interview:
    return draw_interview(
        grade, who or face(), np.random.default_rng(seed), num_frames=num_frames, fps=FPS
    )


def upright(num_frames: int = 1, turn: tuple[float, float, float] = (0, 0, 0)) -> Placement:
    """Face coordinates are pixels."""
    return Placement(
        1.0, np.tile([0.0, MIDDLE_Y], (num_frames, 1)), np.tile(np.array(turn), (num_frames, 1))
    )


def place(turn: tuple[float, float, float] = (0, 0, 0), **values: float) -> np.ndarray:
    return place_points(SHAPE, still(**values), upright(turn=turn))[0][0]


def draw(**values: float) -> tuple[np.ndarray, np.ndarray]:
    """Return (H, W, 3) of a light face before a grey wall, and its (106, 2) landmarks."""
    plain = {"skin": (0.8, 0.65, 0.58), "lips": (0.7, 0.2, 0.2), "hair": (0.1, 0.1, 0.1),
             "iris": (0.1, 0.2, 0.6), "clothes": (0.1, 0.6, 0.1)}  # fmt: skip
    drawn = draw_look(np.random.default_rng(0), np.random.default_rng(0), size=SIZE)
    look = replace(
        drawn,
        **{name: np.array(value, np.float32) for name, value in plain.items()},
        background=np.full((3, SIZE, SIZE), 0.4, np.float32),
        hair_length=-0.2, has_glasses=False, lamp=(0.0, 0.0),
    )  # fmt: skip
    expression = still(**{"eye": 1.2, "mouth": 0.3} | values)
    turn = np.array([(0.12, 0.03, 0.06)])
    placement = Placement(SIZE / 4, np.full((1, 2), SIZE / 2), turn)
    points, _ = place_points(SHAPE, expression, placement)
    picture = look.background[:, None].copy()
    paint_face(Scene(SHAPE, look, placement, chin_of(SHAPE, expression), points, picture))
    return picture[:, 0].transpose(1, 2, 0), points[0]


def colour_at(picture: np.ndarray, point: np.ndarray) -> np.ndarray:
    """Read between the pixels, whose centres stand at halves."""
    x, y = point - 0.5
    column, row = int(x), int(y)
    right, down = x - column, y - row
    patch = picture[row : row + 2, column : column + 2]
    across = patch[:, 0] * (1 - right) + patch[:, 1] * right
    return across[0] * (1 - down) + across[1] * down


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("gaze", [-1.0, 0.0, 1.0])
def test_landmarks_of_an_eye_lie_on_pupil_white_and_brow(side: str, gaze: float) -> None:
    picture, points = draw(gaze=gaze)
    pupil = points[INDEX[f"{side}_eye_pupil"]]
    assert colour_at(picture, pupil).max() < 0.15
    if not gaze:
        iris = colour_at(picture, pupil + np.array([0.075, 0.01]) * SIZE / 4)
        assert iris[2] > 2 * iris[0]
    assert points[INDEX[f"{side}_eye_top"]][1] < pupil[1] < points[INDEX[f"{side}_eye_bottom"]][1]
    x, y = points[INDEX[f"{side}_eye_center"]].astype(int)
    box = slice(y - 6, y + 6), slice(x - 9, x + 9)
    assert picture[box].min(axis=-1).max() > 0.8  # the white
    assert draw(eye=0.0)[0][box].min(axis=-1).max() < 0.7  # behind the closed lid
    edges = [points[INDEX[f"{side}_eyebrow_{edge}_middle"]] for edge in ("upper", "lower")]
    assert colour_at(picture, np.mean(edges, axis=0)).max() < 0.15


@pytest.mark.parametrize("smile", [-0.6, 0.6])
def test_landmarks_of_the_lips_lie_where_red_becomes_skin_and_where_the_dark_begins(
    smile: float,
) -> None:
    picture, points = draw(smile=smile)
    inner = points[[INDEX["mouth_upper_lip_bottom"], INDEX["mouth_lower_lip_top"]]]
    middle = inner.mean(axis=0)
    outer = [
        f"mouth_{lip}_lip_{spot}"
        for lip, middle_spot, spots in (("upper", "top", (1, 2)), ("lower", "bottom", (2, 3)))
        for spot in (middle_spot, *(f"{side}_contour{k}" for side in SIDES for k in spots))
    ]
    assert len(outer) == 10
    for name in outer:
        point = points[INDEX[name]]
        away = (point - middle) / np.linalg.norm(point - middle)
        red, on_edge, skin = (
            float(colour[0] / colour[1:].mean())
            for colour in (colour_at(picture, point + px * away) for px in (-3.0, 0.0, 3.0))
        )
        assert red > 2.5
        assert skin < 1.8
        assert skin < on_edge < red
    assert colour_at(picture, middle).max() < 0.25
    assert colour_at(picture, inner[0] + (0, 3)).min() > 0.5  # teeth


@pytest.mark.parametrize("seed", range(4))
def test_landmarks_of_the_contour_lie_on_the_edge_of_the_head(seed: int) -> None:
    shape, expression = draw_shape(np.random.default_rng(seed)), still()
    look = draw_look(np.random.default_rng(0), np.random.default_rng(0), size=SIZE)
    look = replace(look, skin=np.ones(3, np.float32), lamp=(0.0, 0.0))
    placement = Placement(SIZE / 4, np.full((1, 2), SIZE / 2), np.array([(0.1, 0.0, 0.1)]))
    points, _ = place_points(shape, expression, placement)
    black = np.zeros((3, 1, SIZE, SIZE), np.float32)
    scene = Scene(shape, look, placement, chin_of(shape, expression), points, black)
    paint_head(scene, plane_between(scene, (-9, -9), (9, 9)))
    away = points[0, :33] - SIZE / 2
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    inner, edge, outer = (
        np.array([colour_at(black[:, 0].transpose(1, 2, 0), point)[0] for point in line])
        for line in (points[0, :33] + px * away for px in (-2.5, 0.0, 2.5))
    )
    assert inner.min() > 0.7
    assert outer.max() == 0
    # Half of the rim's brightness, which is 0.84 of the skin's.
    assert edge.mean() == pytest.approx(0.42, abs=0.05)
    assert 0.2 < edge.min() < edge.max() < 0.65


def test_a_closed_eye_has_its_lids_together_and_the_rest_of_the_face_where_it_was() -> None:
    opened, closed = place(eye=1.0), place(eye=0.0)
    for side in SIDES:
        for upper, lower in (("top", "bottom"), ("upper_left_quarter", "lower_left_quarter")):
            lids = [closed[INDEX[f"{side}_eye_{edge}"]] for edge in (upper, lower)]
            np.testing.assert_allclose(*lids, atol=1e-6)
        gap = opened[INDEX[f"{side}_eye_bottom"]] - opened[INDEX[f"{side}_eye_top"]]
        assert gap[1] == pytest.approx(SHAPE.eye_height)
    changed = np.abs(opened - closed).max(axis=1) > 1e-6
    assert {LANDMARKS[k].split("_eye_")[1] for k in np.flatnonzero(changed)} == {
        "top", "upper_left_quarter", "upper_right_quarter", "center",
    }  # fmt: skip


def test_expressions_and_turns_move_the_points_they_should() -> None:
    rest = place()
    assert rest[INDEX["left_eye_pupil"]].tolist() == [-0.5, 0]
    assert rest[INDEX["right_eye_pupil"]].tolist() == [0.5, 0]
    lips = [INDEX["mouth_lower_lip_top"], INDEX["mouth_upper_lip_bottom"]]
    wide = place(mouth=0.4)
    assert np.subtract(*wide[lips])[1] == pytest.approx(0.4, abs=1e-6)
    assert wide[INDEX["contour_chin"]][1] == pytest.approx(
        chin_of(SHAPE, still(mouth=0.4))[0], abs=1e-5
    )
    brows = [INDEX[name] for name in LANDMARKS if "eyebrow" in name]
    assert ((place(brow=0.1) - rest)[brows, 1] < -0.07).all()
    assert (place(smile=1.0) - rest)[INDEX["mouth_right_corner"]][1] < -0.05
    aside = place(gaze=1.0) - rest
    pupils = [INDEX[f"{side}_eye_pupil"] for side in SIDES]
    assert (aside[pupils] > 0.02).all()
    shift = (place(turn=(0.2, 0, 0)) - rest)[:, 0]
    assert shift[INDEX["nose_tip"]] > shift[INDEX["nose_bridge1"]] > 0.1
    assert (shift[:33] == 0).all()  # the outline stays
    angle = 0.3
    matrix = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    rolled = place(turn=(0, 0, angle))
    np.testing.assert_allclose(rolled, (rest - (0, MIDDLE_Y)) @ matrix + (0, MIDDLE_Y), atol=1e-5)


def inside(point: np.ndarray, corners: np.ndarray) -> bool:
    """Whether the corners wind round the point."""
    a, b = corners - point, np.roll(corners, -1, axis=0) - point
    turns = np.arctan2(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0], (a * b).sum(axis=1)).sum()
    return abs(turns) > np.pi


@pytest.mark.parametrize("turn", [(0, 0, 0), (0.25, 0.1, -0.1), (-0.25, -0.1, 0.1)])
def test_each_region_holds_what_it_is_named_after(turn: tuple[float, float, float]) -> None:
    landmarks, regions = place_points(SHAPE, still(), upright(turn=turn))
    polygons = dict(zip(REGIONS, np.split(regions[0], np.cumsum(VERTICES)[:-1]), strict=True))
    held = {
        **{f"{side} eye": [f"{side}_eye_center", f"{side}_eye_bottom"] for side in SIDES},
        **{f"{side} eyebrow": [f"{side}_eyebrow_{edge}_middle" for edge in ("upper", "lower")]
           for side in SIDES},
        "between eyebrows": ["nose_bridge1"],
        "mouth": ["mouth_upper_lip_top", "mouth_lower_lip_bottom", "mouth_right_corner"],
        **{f"{side} nasolabial fold": [f"nose_{side}_contour3"] for side in SIDES},
    }  # fmt: skip
    for region, names in held.items():
        for name in names:
            assert inside(landmarks[0, INDEX[name]], polygons[region]), (region, name)
    for part in ("outer eye", "lip crease"):
        left, right = (polygons[f"{side} {part}"][:, 0] for side in SIDES)
        assert left.max() < landmarks[0, INDEX["nose_tip"], 0] < right.min()
    assert polygons["forehead"][:, 1].max() < polygons["left eyebrow"][:, 1].min() + 0.2


@pytest.mark.skipif(not YOUTUBEPD.exists(), reason="the YouTubePD pack is not on this machine")
def test_every_index_means_the_same_place_as_in_the_benchmark() -> None:
    """Medians of both, eyes laid over eyes; heads that turn make the real outline uneven."""
    ours, our_corners = _mean_face()
    with np.load(YOUTUBEPD / "landmarks.npz") as file, np.load(YOUTUBEPD / "regions.npz") as boxes:
        keys = [key for key in file.files if "__" not in key and key in boxes.files]
        faces, corners = [], []
        for key in keys:
            # The pack's card: landmark frame F stands at clip frame 2 (F - 1).
            frame = 2 * (file[f"{key}__frame_index"][::6].astype(int) - 1)
            polygons = boxes[key]
            seen = frame < len(polygons)
            points = file[key][::6][seen].astype(float)
            move = _to_eyes(points)
            faces.append(np.median(move(points), axis=0))
            corners.append(np.median(move(polygons[frame[seen]].astype(float)), axis=0))
    assert len(keys) > 200
    away = np.linalg.norm(np.median(faces, axis=0) - ours, axis=1)
    assert away[:33].max() < 0.15
    assert away[33:].max() < 0.1
    assert np.linalg.norm(np.median(corners, axis=0) - our_corners, axis=1).max() < 0.12


def _mean_face() -> tuple[np.ndarray, np.ndarray]:
    faces = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shape = draw_shape(rng)
        expression = draw_expression(seed % 6, 1.0, rng, num_frames=30, fps=10)
        faces.append(place_points(shape, expression, upright(30)))
    landmarks, corners = (np.concatenate(parts) for parts in zip(*faces, strict=True))
    move = _to_eyes(landmarks)
    return np.median(move(landmarks), axis=0), np.median(move(corners), axis=0)


def _to_eyes(landmarks: np.ndarray):
    """Return the map that lays the eyes of each frame on (-0.5, 0) and (0.5, 0)."""
    left, right = (landmarks[:, INDEX[f"{side}_eye_center"]] @ (1, 1j) for side in SIDES)

    def move(points: np.ndarray) -> np.ndarray:
        flat = (points @ (1, 1j) - (left + right)[:, None] / 2) / (right - left)[:, None]
        return np.stack([flat.real, flat.imag], axis=-1)

    return move


def test_frames_and_tracks_belong_together_and_are_read_back(tmp_path: Path) -> None:
    one = film(3, seed=2)
    assert one.frames.shape == (20, 48, 48, 3)
    assert (one.landmarks.names, one.regions.names) == (LANDMARKS, REGIONS)
    np.testing.assert_array_equal(one.regions.vertices, VERTICES)
    alone = draw_points(3, face(), np.random.default_rng(2), num_frames=20, fps=FPS)
    for track, without_pixels in zip((one.landmarks, one.regions), alone, strict=True):
        assert np.array_equal(track.points, without_pixels.points)
        assert track.size == (48, 48)
        np.testing.assert_allclose(track.seconds, np.arange(20) / FPS)
        write_track(tmp_path / "track.npz", track)
        again = read_track(tmp_path / "track.npz")
        np.testing.assert_array_equal(again.points, track.points)
        assert (again.size, again.names) == (track.size, track.names)


def test_the_face_is_in_the_picture_and_people_differ() -> None:
    for subject, visit in np.ndindex(8, 3):
        who = face(subject, visit, size=96)
        points = draw_points(0, who, np.random.default_rng(visit), num_frames=50, fps=FPS)[0].points
        assert -3 < points.min() < points.max() < 99
        assert np.ptp(points[0, :, 1]) > 0.4 * 96
    looks = [face(subject, size=8).look for subject in range(60)]
    assert 0.1 < np.mean([one.has_glasses for one in looks]) < 0.5
    assert 0.2 < np.mean([one.hair_length > 0 for one in looks]) < 0.7
    assert np.ptp([one.skin[0] for one in looks]) > 0.3


def test_a_frame_does_not_depend_on_the_frames_drawn_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = film(0, num_frames=20)
    monkeypatch.setattr("pdray.demo.face.interview.CHUNK", 3)
    parts = film(0, num_frames=20)
    # Sums of float32 may end on the other side of a whole grey level.
    assert np.abs(whole.frames.astype(int) - parts.frames.astype(int)).max() <= 1


def test_another_grade_is_the_same_person_before_the_same_wall() -> None:
    mild, severe = (film(grade, seed=6).frames.astype(int) for grade in (0, 5))
    # The grain and the sway are the same: where no person is, so is every pixel.
    assert np.array_equal(mild[:, :6, :2], severe[:, :6, :2])
    assert np.array_equal(mild[:, :6, -2:], severe[:, :6, -2:])
    stranger = film(0, seed=6, who=face(2, 2)).frames.astype(int)
    change = np.abs(mild.mean(axis=0) - severe.mean(axis=0)).mean()
    assert change < 0.3 * np.abs(mild.mean(axis=0) - stranger.mean(axis=0)).mean()


def test_the_mean_picture_does_not_tell_the_grade() -> None:
    def statistics(grade: int, seed: int) -> np.ndarray:
        who, rng = face(seed, grade, size=24), np.random.default_rng(seed)
        mean = draw_interview(grade, who, rng, num_frames=4, fps=1).frames.mean(axis=0)
        return np.array([*mean.mean(axis=(0, 1)), mean.std(), mean[6:18, 6:18].mean()])

    mild = np.array([statistics(seed % 2, seed) for seed in range(40)])
    severe = np.array([statistics(3 + seed % 3, 100 + seed) for seed in range(40)])
    # Of 40 against 40 chance alone is 0.065 away from one half.
    areas = (mild[:, None] > severe).mean(axis=(0, 1))
    assert ((areas > 0.3) & (areas < 0.7)).all()


@pytest.mark.parametrize(
    ("grade", "num_frames", "message"),
    [
        (-1, 20, r"grade -1 is outside 0\.\.5 for item face_interview"),
        (6, 20, r"grade 6 is outside 0\.\.5 for item face_interview"),
        (0, 1, "num_frames 1 is below 2: nothing moves in it"),
    ],
)
def test_what_cannot_be_filmed_is_refused(grade: int, num_frames: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        film(grade, num_frames=num_frames)
