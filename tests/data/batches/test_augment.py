import itertools

import numpy as np
import pytest
import torch

from pdray.config import build, dump
from pdray.data.batches.augment import (
    Augmentation,
    Crop,
    augment_points,
    central_view,
    draw_augmentation,
    move_frames,
)
from pdray.data.batches.settings import AugmentConfig, augment_faults, seen_size
from pdray.errors import SettingsError

STILL = AugmentConfig(flip=0, brightness=0, contrast=0, max_shift=0)
TSN_SCALES = (1.0, 0.875, 0.75, 0.66)
ONE = torch.ones(1)
THREE = Augmentation((True, False, True), ((1, -2), (0, 3), (0, 0)), ONE, ONE)


def pictures(num_snippets=3, num_frames=2, height=12, width=16, channels=3, lowest=0, seed=0):
    draw = np.random.default_rng(seed)
    shape = (num_snippets, num_frames, height, width, channels)
    return torch.from_numpy(draw.integers(lowest, 256, shape, np.uint8))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def one_draw(*, flipped=False, shift=(0, 0), crop=None, size=None):
    crops = None if crop is None else (crop,)
    return Augmentation((flipped,), (shift,), ONE, ONE, crops=crops, size=size)


def filter_weights(seen, length):
    """Rows of the triangle filter that makes ``seen`` pixels of ``length``, in float64."""
    scale = length / seen
    reach = max(scale, 1.0)
    weights = np.zeros((seen, length))
    for i, j in itertools.product(range(seen), range(length)):
        weights[i, j] = max(0.0, 1 - abs(j + 0.5 - (i + 0.5) * scale) / reach)
    return weights / weights.sum(axis=1, keepdims=True)


def reference(frames, drawn, *, edge=0.0):
    """Crop, resize, flip and shift one frame after the other, in float64."""
    moved = []
    for number, snippet in enumerate(frames.numpy().astype(np.float64)):
        _, height, width, _ = snippet.shape
        if drawn.crops is not None:
            top, left, height, width = drawn.crops[number]
            snippet = snippet[:, top : top + height, left : left + width]
            rows, columns = (
                filter_weights(*pair) for pair in zip(drawn.size, (height, width), strict=True)
            )
            snippet = np.einsum("yi,xj,tijc->tyxc", rows, columns, snippet)
            height, width = drawn.size
        if drawn.flipped[number]:
            snippet = snippet[:, :, ::-1]
        down, right = drawn.shifts[number]
        target = np.full_like(snippet, edge)
        for y, x in itertools.product(range(height), range(width)):
            if 0 <= y - down < height and 0 <= x - right < width:
                target[:, y, x] = snippet[:, y - down, x - right]
        moved.append(target)
    return np.stack(moved)


@pytest.mark.parametrize("seed", range(4))
def test_flips_and_shifts_equal_the_reference(seed):
    frames = pictures(num_snippets=4, seed=seed)
    drawn = draw_augmentation(frames, AugmentConfig(max_shift=0.25), seeded(seed))
    np.testing.assert_array_equal(move_frames(frames, drawn), reference(frames, drawn))


@pytest.mark.parametrize("channels", [2, 3])
@pytest.mark.parametrize("crop_size", [None, (14, 14), (10, 20)])
def test_crops_are_resized_within_one_grey_level_of_the_reference(crop_size, channels):
    frames = pictures(num_snippets=6, height=24, width=30, channels=channels)
    config = AugmentConfig(crop_scales=TSN_SCALES, crop_size=crop_size, max_shift=0.2)
    drawn = draw_augmentation(frames, config, seeded(3))
    moved = move_frames(frames, drawn)
    assert moved.shape[2:4] == (crop_size or (24, 30))
    # Fixed-point weights and two roundings, one an axis: each at most half a level, and a little.
    np.testing.assert_allclose(moved, reference(frames, drawn), atol=1.01)


def test_a_crop_of_the_seen_size_is_cut_out_and_not_resized():
    frames = pictures(num_snippets=1)
    drawn = one_draw(crop=Crop(2, 3, 8, 10), size=(8, 10))
    assert torch.equal(move_frames(frames, drawn), frames[:, :, 2:10, 3:13])


def test_what_does_not_move_is_handed_back():
    frames = pictures()
    assert move_frames(frames, draw_augmentation(frames, STILL, seeded())) is frames


def test_mirrored_flow_is_the_flow_of_the_mirrored_recording():
    codes = pictures(channels=2, lowest=1)
    moved = move_frames(codes, THREE, "flow").numpy().astype(int) - 128
    expected = np.zeros_like(moved)
    velocity = codes.numpy().astype(int) - 128
    expected[0, :, 1:, :-2] = (velocity[0, :, :-1, ::-1] * (-1, 1))[:, :, 2:]
    expected[1, :, :, 3:] = velocity[1, :, :, :-3]
    expected[2] = velocity[2, :, :, ::-1] * (-1, 1)
    np.testing.assert_array_equal(moved, expected)


def test_boundaries_are_flipped_as_pictures_over_no_motion():
    codes = pictures(channels=2, lowest=1)
    expected = reference(codes, THREE, edge=128)
    np.testing.assert_array_equal(move_frames(codes, THREE, "boundaries"), expected)


def test_boundaries_of_a_mirrored_recording_are_the_difference_and_not_the_sum():
    """Why flipping them as pictures is not exact."""
    u, v = np.random.default_rng(0).normal(size=(2, 9, 11))

    def parts(field):
        down, right = np.gradient(field)
        return right, down

    mirrored_u, mirrored_v = -u[:, ::-1], v[:, ::-1]
    (u_x, u_y), (v_x, v_y) = parts(u), parts(v)
    np.testing.assert_allclose(sum(parts(mirrored_u)), (u_x - u_y)[:, ::-1])
    np.testing.assert_allclose(sum(parts(mirrored_v)), (v_y - v_x)[:, ::-1])


def test_default_settings_take_five_numbers_a_snippet():
    frames, generator, by_hand = pictures(), seeded(), seeded()
    drawn = draw_augmentation(frames, AugmentConfig(), generator)
    numbers = torch.rand((3, 5), generator=by_hand)
    assert torch.equal(generator.get_state(), by_hand.get_state())
    assert drawn.flipped == tuple((numbers[:, 0] < 0.5).tolist())
    assert torch.equal(drawn.contrast, 1 + 0.2 * (2 * numbers[:, 4] - 1))
    assert (drawn.saturation, drawn.crops, drawn.size) == (None, None, None)


@pytest.mark.parametrize(
    "changes", [{"flip": 1.0}, {"saturation": 0.3}, {"crop_scales": TSN_SCALES}]
)
def test_one_setting_does_not_move_the_draws_of_another(changes):
    frames = pictures(num_snippets=20)
    plain = draw_augmentation(frames, AugmentConfig(), seeded())
    other = draw_augmentation(frames, AugmentConfig(**changes), seeded())
    assert torch.equal(plain.brightness, other.brightness)
    assert torch.equal(plain.contrast, other.contrast)
    assert plain.shifts == other.shifts
    assert plain.flipped == other.flipped or "flip" in changes


def test_same_generator_same_draws_and_the_next_draws_differ():
    frames, generator, elsewhere = pictures(), seeded(5), torch.get_rng_state()
    config = AugmentConfig(crop_scales=TSN_SCALES, saturation=0.2)
    first = draw_augmentation(frames, config, generator)
    second = draw_augmentation(frames, config, generator)
    again = draw_augmentation(frames, config, seeded(5))
    assert torch.equal(first.brightness, again.brightness)
    assert torch.equal(first.saturation, again.saturation)
    assert (first.flipped, first.shifts, first.crops) == (again.flipped, again.shifts, again.crops)
    assert not torch.equal(first.saturation, second.saturation)
    assert first.crops != second.crops
    assert torch.equal(torch.get_rng_state(), elsewhere)


def test_draws_fill_their_ranges_and_no_more():
    frames = torch.zeros((4000, 1, 50, 100, 3), dtype=torch.uint8)
    config = AugmentConfig(flip=0.25, contrast=0.4, saturation=0.3, crop_scales=(0.5,))
    drawn = draw_augmentation(frames, config, seeded())
    # Standard error of the share: 0.007, five of them.
    assert abs(np.mean(drawn.flipped) - 0.25) < 0.035
    downs, rights = np.array(drawn.shifts).T
    assert sorted(set(downs.tolist())) == list(range(-2, 3))
    assert sorted(set(rights.tolist())) == list(range(-4, 5))
    ranges = ((drawn.brightness, 0.2), (drawn.contrast, 0.4), (drawn.saturation, 0.3))
    for values, reach in ranges:
        assert 1 - reach <= values.min() < 1 - 0.95 * reach
        assert 1 + 0.95 * reach < values.max() <= 1 + reach
        assert values.dtype == torch.float32
    lefts = [crop.left for crop in drawn.crops]
    assert abs(np.corrcoef(lefts, drawn.saturation)[0, 1]) < 0.08  # five standard errors


def test_crops_are_those_of_tsn():
    """256 x 340 px seen as 224 x 224: every pair of neighbouring scales at every place."""
    frames = torch.zeros((1, 1, 256, 340, 3), dtype=torch.uint8).expand(4000, -1, -1, -1, -1)
    config = AugmentConfig(crop_scales=TSN_SCALES, crop_size=(224, 224))
    drawn = draw_augmentation(frames, config, seeded())
    sides = (256, 224, 192, 169)
    expected = set()
    for i, j in itertools.product(range(4), repeat=2):
        down, right = 256 - sides[i], 340 - sides[j]
        places = [*itertools.product((0, down), (0, right)), (down // 2, right // 2)]
        if abs(i - j) <= 1:
            expected |= {Crop(*place, sides[i], sides[j]) for place in places}
    assert set(drawn.crops) == expected
    assert drawn.size == (224, 224)
    share = np.mean([crop[2:] == (224, 224) for crop in drawn.crops])
    assert abs(share - 0.1) < 0.024  # one of ten pairs; five standard errors


def test_crops_have_the_shape_of_what_is_seen():
    frames = torch.zeros((50, 1, 90, 60, 3), dtype=torch.uint8)
    wide = AugmentConfig(crop_scales=(1.0,), crop_size=(20, 40))
    assert {crop[2:] for crop in draw_augmentation(frames, wide, seeded()).crops} == {(30, 60)}
    whole = AugmentConfig(crop_scales=(0.5,))
    drawn = draw_augmentation(frames, whole, seeded())
    assert {crop[2:] for crop in drawn.crops} == {(45, 30)}
    assert drawn.size == (90, 60)


def test_shifts_are_parts_of_what_is_seen():
    frames = torch.zeros((500, 1, 50, 100, 3), dtype=torch.uint8)
    config = AugmentConfig(crop_size=(20, 30), max_shift=0.1)
    downs, rights = np.array(draw_augmentation(frames, config, seeded()).shifts).T
    assert (downs.min(), downs.max(), rights.min(), rights.max()) == (-2, 2, -3, 3)


def test_evaluation_sees_the_centre_as_it_is():
    frames = pictures(height=13, width=16)
    config = AugmentConfig(crop_size=(8, 10), crop_scales=TSN_SCALES, saturation=0.5)
    drawn = central_view(frames, config)
    assert torch.equal(move_frames(frames, drawn), frames[:, :, 2:10, 3:13])
    assert (drawn.saturation, drawn.brightness.tolist()) == (None, [1.0] * 3)
    assert central_view(frames, AugmentConfig(crop_scales=TSN_SCALES)) is None
    assert central_view(frames, AugmentConfig(crop_size=(13, 16))) is None


def test_a_crop_larger_than_the_picture_is_refused_with_both_sizes():
    config = AugmentConfig(crop_size=(224, 10))
    expected = "augment.crop_size: height 224, width 10 px does not fit into pictures of decode"
    (fault,) = augment_faults(config, height=112, width=112)
    assert fault.startswith(f"{expected}.height 112, decode.width 112 px")
    assert augment_faults(config, height=224, width=10) == []
    assert seen_size(config, height=300, width=300) == (224, 10)
    assert seen_size(STILL, height=112, width=96) == (112, 96)
    with pytest.raises(SettingsError, match=r"height 224.*decode\.height 12, decode\.width 16"):
        draw_augmentation(pictures(), config, seeded())
    with pytest.raises(SettingsError, match=r"height 224.*decode\.height 12, decode\.width 16"):
        central_view(pictures(), config)


@pytest.mark.parametrize(
    "key", ["flip", "brightness", "contrast", "max_shift", "saturation", "crop_scales.0"]
)
def test_settings_outside_their_range_are_refused(key):
    value = [1.5] if "." in key else 1.5
    with pytest.raises(SettingsError, match=f"{key}: got 1.5"):
        build(AugmentConfig, {key.split(".")[0]: value})


def test_scales_must_fall_and_sizes_must_be_positive():
    with pytest.raises(
        SettingsError, match=r"crop_scales: \[0.8, 0.9\] is not sorted; list the largest first"
    ):
        build(AugmentConfig, {"crop_scales": [0.8, 0.9]})
    with pytest.raises(SettingsError, match=r"crop_scales: got \[\]"):
        build(AugmentConfig, {"crop_scales": []})
    with pytest.raises(SettingsError, match=r"crop_size\.1: got 0"):
        build(AugmentConfig, {"crop_size": [224, 0]})
    config = AugmentConfig(crop_scales=TSN_SCALES, crop_size=(224, 200))
    assert build(AugmentConfig, dump(config)) == config


def test_draws_for_another_batch_are_refused():
    with pytest.raises(
        ValueError, match="the augmentation has 1 draws, expected one for each of 3 snippets"
    ):
        move_frames(pictures(), one_draw())
    with pytest.raises(
        ValueError, match="the augmentation has 1 draws, expected one for each of 2 snippets"
    ):
        augment_points(torch.zeros(2, 5, 1, 2), one_draw(), (4, 4), torch.tensor([0]))


@pytest.mark.gpu
def test_gpu_moves_within_one_grey_level_of_the_cpu():
    frames = pictures(num_snippets=6, height=24, width=30)
    config = AugmentConfig(crop_scales=TSN_SCALES, crop_size=(14, 14), max_shift=0.2)
    drawn = draw_augmentation(frames, config, seeded())
    on_gpu = move_frames(frames.cuda(), drawn).cpu()
    assert (on_gpu.int() - move_frames(frames, drawn).int()).abs().max() <= 1


# Points. Each dot has a grey of its own, so that the picture says which point is where.

MIRROR = torch.tensor([1, 0, 2, 4, 3])


def dotted(seed, num_snippets, size=(24, 30)):
    """Return one-frame snippets of five dots each, the dots' places and their greys."""
    draw = np.random.default_rng(seed)
    frames = np.zeros((num_snippets, 1, *size, 3), np.uint8)
    points = np.zeros((num_snippets, 1, 5, 2), np.float32)
    greys = np.array([50, 90, 130, 170, 210], np.uint8)
    for number in range(num_snippets):
        cells = draw.choice(size[0] * size[1], 5, replace=False)
        for point, (y, x) in enumerate(zip(*np.unravel_index(cells, size), strict=True)):
            points[number, 0, point] = x + 0.5, y + 0.5  # the centre of the pixel
            frames[number, 0, y, x] = greys[point]
    return torch.from_numpy(frames), torch.from_numpy(points), greys


def is_shown(place, shift, size):
    """Whether a place is in the picture after a shift and was before it."""
    return all(
        0 <= at < length and 0 <= at - by < length
        for at, by, length in zip(place, shift, size, strict=True)
    )


@pytest.mark.parametrize(
    "config",
    [
        AugmentConfig(max_shift=0.0),
        AugmentConfig(flip=0.0, max_shift=0.2),
        AugmentConfig(flip=0.0, max_shift=0.0, crop_scales=(0.5,), crop_size=(12, 12)),
        AugmentConfig(max_shift=0.2, crop_scales=(0.5,), crop_size=(12, 12)),
    ],
    ids=["flip", "shift", "crop", "all"],
)
def test_points_move_to_where_the_picture_shows_their_dots(config):
    frames, points, greys = dotted(seed=1, num_snippets=80)
    drawn = draw_augmentation(frames, config, seeded(2))
    moved = move_frames(frames, drawn)[..., 0].numpy()
    found = augment_points(points, drawn, (24, 30), MIRROR).numpy()
    num_seen = 0
    for number, flipped in enumerate(drawn.flipped):
        names = MIRROR.numpy() if flipped else np.arange(5)
        for point in range(5):
            x, y = found[number, 0, point] - 0.5
            assert (x, y) == (round(x), round(y))
            # The dot at the place of the left eye is, mirrored, that of the right one.
            dots = np.argwhere(moved[number, 0] == greys[names[point]])
            shown = is_shown((y, x), drawn.shifts[number], moved.shape[2:])
            assert dots.tolist() == ([[int(y), int(x)]] if shown else [])
            num_seen += shown
    assert num_seen > 40


@pytest.mark.parametrize("seed", range(3))
def test_points_follow_resized_crops_to_the_centre_of_their_dot(seed):
    size, num_snippets = (60, 80), 20
    draw = np.random.default_rng(seed)
    centres = draw.uniform((36, 26), (44, 34), (num_snippets, 2)).astype(np.float32)
    y, x = np.mgrid[: size[0], : size[1]]
    squares = (x - centres[:, :1, None]) ** 2 + (y - centres[:, 1:, None]) ** 2
    dots = np.rint(255 * np.exp(-squares / (2 * 3.0**2))).astype(np.uint8)
    frames = torch.from_numpy(dots)[:, None, :, :, None].expand(-1, -1, -1, -1, 3).contiguous()
    config = AugmentConfig(max_shift=0.04, crop_scales=(1.0, 0.9, 0.8), crop_size=(48, 56))
    drawn = draw_augmentation(frames, config, seeded(seed))
    moved = move_frames(frames, drawn)[:, 0, :, :, 0].double().numpy()
    points = torch.from_numpy(centres)[:, None, None] + 0.5
    found = augment_points(points, drawn, size, torch.tensor([0]))[:, 0, 0].numpy() - 0.5
    rows, columns = np.arange(48), np.arange(56)
    mass = moved.sum(axis=(1, 2))
    shown = np.stack([moved.sum(1) @ columns / mass, moved.sum(2) @ rows / mass], axis=1)
    complete = ((found > 9) & (found < (46, 38))).all(axis=1)
    assert complete.sum() >= 10
    # Greys are whole numbers, and the tails beyond 9 px are lost.
    np.testing.assert_allclose(found[complete], shown[complete], atol=0.05)


def test_absent_points_stay_absent_and_swap_with_their_side():
    points = torch.tensor([[[[3.0, 2.0], [torch.nan, torch.nan]]]])
    found = augment_points(points, one_draw(flipped=True), (10, 20), torch.tensor([1, 0]))
    assert found[0, 0, 0].isnan().all()
    assert found[0, 0, 1].tolist() == [17.0, 2.0]
    assert points[0, 0, 0].tolist() == [3.0, 2.0]


def test_points_of_recordings_with_several_snippets_keep_their_axes():
    frames, points, _ = dotted(seed=4, num_snippets=6)
    drawn = draw_augmentation(frames, AugmentConfig(max_shift=0.3), seeded())
    flat = augment_points(points, drawn, (24, 30), MIRROR)
    found = augment_points(points.view(2, 3, 1, 5, 2), drawn, (24, 30), MIRROR)
    assert torch.equal(found, flat.view(2, 3, 1, 5, 2))
    assert found.dtype == torch.float32


@pytest.mark.parametrize("mirror", [[1, 2, 0], [0, 0, 2], [0, 1], [0, 1, 3]])
def test_a_mirror_that_does_not_swap_pairs_is_refused(mirror):
    with pytest.raises(ValueError, match=r"mirror \[.*\] does not swap 3 points in pairs"):
        augment_points(torch.zeros(1, 1, 3, 2), one_draw(), (4, 4), torch.tensor(mirror))
