import math

import numpy as np
import pandas as pd
import pytest

from pdray.explain.spread import (
    ELSEWHERE,
    Regions,
    grid,
    region_mask,
    region_shares,
    regions_text,
    shares_by_frame,
    shares_over_time,
    spread,
    spread_table,
)


def box(x0: float, y0: float, x1: float, y1: float) -> list[tuple[float, float]]:
    return [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]


def regions_of(*frames: list[list[tuple[float, float]]], names: tuple[str, ...]) -> Regions:
    points = np.array([[p for polygon in frame for p in polygon] for frame in frames], np.float32)
    return Regions(points, np.array([len(polygon) for polygon in frames[0]]), names)


def slowly_inside(x: float, y: float, corners: np.ndarray) -> bool:
    """The even-odd rule, one pixel at a time."""
    inside = False
    for here in range(len(corners)):
        (x0, y0), (x1, y1) = corners[here], corners[here - 1]
        if (y0 > y) != (y1 > y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
            inside = not inside
    return inside


def test_a_box_covers_the_pixels_whose_centres_are_in_it() -> None:
    mask = region_mask(np.array([box(1, 1, 3, 4)], np.float32), height=5, width=5)
    expected = np.zeros((5, 5), bool)
    expected[1:4, 1:3] = True
    assert np.array_equal(mask[0], expected)


@pytest.mark.parametrize("seed", range(6))
def test_any_polygon_is_filled_as_pixel_by_pixel(seed: int) -> None:
    draws = np.random.default_rng(seed)
    corners = draws.uniform(-4, 16, (3, 3 + seed, 2)).astype(np.float32)  # may cross itself
    mask = region_mask(corners, height=9, width=12)
    expected = [
        [[slowly_inside(x + 0.5, y + 0.5, one.astype(float)) for x in range(12)] for y in range(9)]
        for one in corners
    ]
    assert mask.any()
    assert np.array_equal(mask, np.array(expected))


def test_a_polygon_with_an_absent_corner_covers_nothing() -> None:
    corners = np.array([box(0, 0, 4, 4), box(0, 0, 4, 4)], np.float32)
    corners[1, 2] = np.nan
    mask = region_mask(corners, height=4, width=4)
    assert mask[0].all()
    assert not mask[1].any()


def test_the_grid_parts_the_picture_and_every_pixel_lies_in_one_cell() -> None:
    cells = grid(2, height=7, width=11)
    masks = [region_mask(cells.corners(number), height=7, width=11) for number in range(9)]
    assert (np.sum(masks, axis=0) == 1).all()
    assert cells.names[0] == "top left"
    assert masks[0][0, 0, 0]
    assert cells.names[5] == "right"
    assert masks[5][1, 3, 10]


def test_shares_are_what_lies_inside_by_what_lies_in_the_picture() -> None:
    activation = np.zeros((2, 4, 4), np.float32)
    activation[0, 0, 0], activation[0, 3, 3] = 3, 1  # three quarters in the corner
    activation[1] = 1
    frame = [box(0, 0, 2, 2), box(2, 0, 4, 4)]
    shares = region_shares(activation, regions_of(frame, frame, names=("eye", "mouth")))
    table = shares_by_frame(shares).set_index(["position", "region"])
    assert table["share"].to_dict() == {
        (0, "eye"): 0.75, (0, "mouth"): 0.25, (0, ELSEWHERE): 0.0,
        (1, "eye"): 0.25, (1, "mouth"): 0.5, (1, ELSEWHERE): 0.25,
    }  # fmt: skip
    assert table["area"].tolist() == [0.25, 0.5, 0.25] * 2
    mean = shares_over_time(shares).set_index("region")
    # Of 20 in all: 3 + 4 and 1 + 8.
    assert mean["share"].to_dict() == {"eye": 7 / 20, "mouth": 9 / 20, ELSEWHERE: 4 / 20}
    assert mean["density"].to_dict() == pytest.approx(
        {"eye": 1.4, "mouth": 0.9, ELSEWHERE: 0.8}, rel=1e-12
    )


def test_what_is_absent_is_not_a_number_and_its_frames_do_not_count() -> None:
    activation = np.ones((2, 4, 4), np.float32)
    activation[1] = 100
    here, gone = box(0, 0, 2, 2), [(math.nan, math.nan)] * 4
    outside, thin = box(8, 8, 9, 9), box(0.1, 0.1, 0.3, 0.3)
    frames = [[here, outside, thin], [gone, outside, thin]]
    shares = region_shares(activation, regions_of(*frames, names=("eye", "far", "thin")))
    each = shares_by_frame(shares).set_index(["position", "region"])
    assert each.loc[(0, "eye"), "share"] == 0.25
    for key in [(1, "eye"), (0, "far"), (0, "thin"), (0, ELSEWHERE)]:
        assert each.loc[key].isna().all(), key
    mean = shares_over_time(shares).set_index("region")
    assert mean.loc["eye", ["num_frames", "share", "density"]].tolist() == [1, 0.25, 1.0]
    assert mean.loc["far", "num_frames"] == 0
    assert mean.loc[["far", "thin"], ["share", "area", "density"]].isna().all(axis=None)


def test_elsewhere_is_known_only_where_all_regions_are() -> None:
    activation = np.ones((2, 2, 2), np.float32)
    whole, gone = [box(0, 0, 1, 1)], [[(math.nan, math.nan)] * 4]
    shares = region_shares(activation, regions_of(whole, gone, names=("eye",)))
    assert shares.area[:, 1].tolist()[0] == 0.75
    assert math.isnan(shares.area[1, 1])


def test_a_frame_without_activation_has_areas_and_no_shares() -> None:
    activation = np.zeros((2, 2, 2), np.float32)
    activation[1] = 1
    shares = region_shares(activation, grid(2, height=2, width=2))
    each = shares_by_frame(shares)
    first = each[each["position"] == 0]
    assert first["share"].isna().all()
    assert first["area"].notna().any()
    assert ELSEWHERE not in set(each["region"])


def test_spread_is_one_of_an_even_map_and_least_of_a_point() -> None:
    cells = grid(3, height=6, width=6)
    even = np.full((3, 6, 6), 0.3, np.float32)
    found = spread(even, region_shares(even, cells))
    for name in ("picture_spread", "region_spread", "time_spread", "area_above_half"):
        assert found[name] == pytest.approx(1), name
    point = np.zeros((3, 6, 6), np.float32)
    point[1, 0, 0] = 5
    found = spread(point, region_shares(point, cells))
    assert found == pytest.approx(
        {"picture_spread": 1 / 36, "region_spread": 1 / 9, "time_spread": 1 / 3,
         "area_above_half": 1 / 108, "peak": 5.0}
    )  # fmt: skip


def test_spread_counts_the_places_of_an_even_map_of_the_same_entropy() -> None:
    activation = np.zeros((1, 2, 4), np.float32)
    activation[0, 0] = [1, 1, 1, 1]  # half the picture, evenly
    found = spread(activation, region_shares(activation, grid(1, height=2, width=4)))
    assert found["picture_spread"] == pytest.approx(0.5)
    assert found["area_above_half"] == 0.5
    assert math.isnan(found["time_spread"])  # of one frame


def test_half_of_the_highest_is_still_counted_and_less_is_not() -> None:
    activation = np.array([[[4.0, 2.0, 1.99, 0.0]]], np.float32)
    found = spread(activation, region_shares(activation, grid(1, height=1, width=4)))
    assert found["area_above_half"] == 0.5


def test_no_activation_has_no_spread() -> None:
    nothing = np.zeros((2, 3, 3), np.float32)
    found = spread(nothing, region_shares(nothing, grid(2, height=3, width=3)))
    assert found.pop("peak") == 0
    assert all(math.isnan(value) for value in found.values())


def test_what_lies_elsewhere_is_no_region_of_the_spread() -> None:
    activation = np.ones((1, 4, 4), np.float32)
    frame = [box(0, 0, 1, 1), box(2, 2, 4, 4)]
    regions = regions_of(frame, names=("eye", "mouth"))
    assert spread(activation, region_shares(activation, regions))["region_spread"] == 1


def rows() -> pd.DataFrame:
    numbers = {"region_spread": 0.5, "time_spread": 0.5, "area_above_half": math.nan}
    cells = [("A", 1, 0.2), ("A", 1, 0.4), ("B", 1, 0.5), ("C", 0, 0.9), ("C", 0, math.nan)]
    return pd.DataFrame(
        [
            {"layer": "late", "subject_id": who, "target": k, "picture_spread": value,
             "peak": 0.0 if math.isnan(value) else 2.0, **numbers}
            for who, k, value in cells
        ]
    )  # fmt: skip


def test_spread_is_averaged_over_people_and_not_over_recordings() -> None:
    told = spread_table(rows(), shown="class 1").splitlines()
    assert told[0].startswith("spread of the activation for class 1")
    assert told[1].split()[:3] == ["layer", "class", "picture_spread"]
    assert told[2].startswith("late   0      0.90 (n=1)")
    # A has 0.3, B 0.5: mean 0.4, sample deviation 0.14.
    assert told[3].startswith("late   1      0.40 +- 0.14 (n=2)")
    assert told[3].endswith("undefined")
    assert told[4:] == ["late: 1 of 5 maps have no activation for the class and are left out"]


def test_the_first_regions_are_named_by_their_mean_over_people() -> None:
    cells = [
        ("A", "mouth", 0.1, 1.0), ("A", "mouth", 0.5, 3.0), ("B", "mouth", 0.4, 4.0),
        ("A", "eye", 0.2, 2.0), ("B", "eye", 0.2, 2.0), ("A", "brow", 0.06, 0.5),
        ("B", "brow", math.nan, math.nan), ("A", "chin", 0.01, 0.1), ("A", "elsewhere", 0.6, 0.7),
        ("B", "elsewhere", 0.5, 0.7),
    ]  # fmt: skip
    table = pd.DataFrame(cells, columns=["subject_id", "region", "share", "density"])
    late, early = table.assign(layer="late"), table.assign(layer="early", share=math.nan)
    every = pd.concat([late, early]).assign(item="face_interview")
    told = regions_text(every, shown="class 1").splitlines()
    shown = "regions with most activation for class 1: mean share over subjects ("
    assert told[0].startswith(shown)
    # A has 0.3 of the mouth at 2.0, B 0.4 at 4.0.
    assert told[1:] == [
        "late: mouth 0.35 (3.0), eye 0.20 (2.0), brow 0.06 (0.5), outside all regions 0.55",
        "early: -",
    ]
    hands = table.assign(layer="late", item="gait", region="centre")
    told = regions_text(pd.concat([every, hands]), shown="class 1").splitlines()
    assert [line.split(": ")[0] for line in told[1:]] == [
        "late, face_interview", "early, face_interview", "late, gait",
    ]  # fmt: skip
