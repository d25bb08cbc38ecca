import numpy as np
import pytest
import torch

from pdray.config import build
from pdray.data.augment import (
    KINETICS_MEAN,
    KINETICS_STD,
    Augmentation,
    AugmentConfig,
    draw_augmentation,
    normalise_frames,
)
from pdray.errors import SettingsError

STILL = AugmentConfig(flip=0, brightness=0, contrast=0, max_shift=0)


def snippets(num_snippets=3, num_frames=5, height=12, width=16, seed=0):
    draw = np.random.default_rng(seed)
    shape = (num_snippets, num_frames, height, width, 3)
    return torch.from_numpy(draw.integers(0, 256, shape, np.uint8))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def reference(frames, augmentation=None):
    """Each frame by itself, in float64, pixel by pixel where it moves."""
    num_snippets, num_frames, height, width, _ = frames.shape
    result = np.zeros(frames.shape)
    for b in range(num_snippets):
        flipped, (down, right), brightness, contrast = False, (0, 0), 1.0, 1.0
        if augmentation is not None:
            flipped, (down, right) = augmentation.flipped[b], augmentation.shifts[b]
            brightness = float(augmentation.brightness[b])
            contrast = float(augmentation.contrast[b])
        for t in range(num_frames):
            picture = frames[b, t].numpy().astype(np.float64) / 255
            if flipped:
                picture = picture[:, ::-1]
            moved = np.zeros_like(picture)
            for y in range(height):
                for x in range(width):
                    if 0 <= y - down < height and 0 <= x - right < width:
                        moved[y, x] = picture[y - down, x - right]
            mean, spread = np.array(KINETICS_MEAN), np.array(KINETICS_STD)
            result[b, t] = contrast * (brightness * moved - mean) / spread
    return result.transpose(0, 4, 1, 2, 3)


def test_plain_normalisation_equals_the_reference():
    frames = snippets()
    got = normalise_frames(frames)
    # float32 of numbers up to 3: a few units of 2.4e-7.
    np.testing.assert_allclose(got.numpy(), reference(frames), atol=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_augmentation_equals_the_reference(seed):
    frames = snippets(seed=seed)
    config = AugmentConfig(max_shift=0.25, brightness=0.5, contrast=0.5)
    drawn = draw_augmentation(frames, config, seeded(seed))
    got = normalise_frames(frames, augmentation=drawn)
    np.testing.assert_allclose(got.numpy(), reference(frames, drawn), atol=2e-6)


def test_every_frame_of_a_snippet_is_treated_alike():
    still = snippets(num_frames=1).expand(-1, 6, -1, -1, -1).contiguous()
    drawn = draw_augmentation(still, AugmentConfig(), seeded())
    got = normalise_frames(still, augmentation=drawn)
    assert torch.equal(got, got[:, :, :1].expand_as(got))


def test_snippets_of_a_batch_are_treated_differently():
    same = snippets(num_snippets=1).expand(8, -1, -1, -1, -1).contiguous()
    got = normalise_frames(same, augmentation=draw_augmentation(same, AugmentConfig(), seeded()))
    assert len({snippet.numpy().tobytes() for snippet in got}) == 8


def test_the_result_is_a_channels_last_view():
    got = normalise_frames(snippets())
    assert got.shape == (3, 3, 5, 12, 16)
    assert got.is_contiguous(memory_format=torch.channels_last_3d)


def test_large_pictures_are_cut_into_chunks_that_join():
    frames = snippets(num_snippets=2, num_frames=7, height=200, width=210)
    np.testing.assert_allclose(normalise_frames(frames).numpy(), reference_fast(frames), atol=1e-6)


def reference_fast(frames):
    plain = frames.double().numpy() / 255
    return ((plain - KINETICS_MEAN) / KINETICS_STD).transpose(0, 4, 1, 2, 3)


def test_half_precision_is_rounded_once_from_float32():
    frames = snippets()
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(normalise_frames(frames, dtype), normalise_frames(frames).to(dtype))


def test_the_input_is_left_alone():
    frames = snippets()
    before = frames.clone()
    normalise_frames(frames, augmentation=draw_augmentation(frames, AugmentConfig(), seeded()))
    assert torch.equal(frames, before)


def test_no_augmentation_is_the_identity():
    frames = snippets()
    drawn = draw_augmentation(frames, STILL, seeded())
    assert torch.equal(normalise_frames(frames, augmentation=drawn), normalise_frames(frames))


def test_same_generator_same_draws_and_the_next_draws_differ():
    frames, generator = snippets(), seeded(5)
    first = draw_augmentation(frames, AugmentConfig(), generator)
    second = draw_augmentation(frames, AugmentConfig(), generator)
    again = draw_augmentation(frames, AugmentConfig(), seeded(5))
    assert torch.equal(first.brightness, again.brightness)
    assert (first.flipped, first.shifts) == (again.flipped, again.shifts)
    assert not torch.equal(first.brightness, second.brightness)


def test_the_global_random_state_is_not_touched():
    before = torch.get_rng_state()
    draw_augmentation(snippets(), AugmentConfig(), seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_one_setting_does_not_move_the_draws_of_another():
    frames = snippets(num_snippets=20)
    plain = draw_augmentation(frames, AugmentConfig(), seeded())
    other = draw_augmentation(frames, AugmentConfig(flip=1, max_shift=0), seeded())
    assert torch.equal(plain.brightness, other.brightness)
    assert torch.equal(plain.contrast, other.contrast)


def test_draws_fill_their_ranges_and_no_more():
    frames = torch.zeros((4000, 1, 50, 100, 3), dtype=torch.uint8)
    config = AugmentConfig(flip=0.25, brightness=0.2, contrast=0.4, max_shift=0.04)
    drawn = draw_augmentation(frames, config, seeded())
    # Standard error of the share: 0.007, five of them.
    assert abs(np.mean(drawn.flipped) - 0.25) < 0.035
    downs, rights = np.array(drawn.shifts).T
    assert sorted(set(downs.tolist())) == list(range(-2, 3))
    assert sorted(set(rights.tolist())) == list(range(-4, 5))
    for values, reach in ((drawn.brightness, 0.2), (drawn.contrast, 0.4)):
        assert 1 - reach <= values.min() < 1 - 0.95 * reach
        assert 1 + 0.95 * reach < values.max() <= 1 + reach
        assert values.dtype == torch.float32


def test_wrong_frames_are_refused_with_their_shape():
    with pytest.raises(ValueError, match=r"got \(2, 3, 4, 5, 3\) torch.float32"):
        normalise_frames(torch.zeros(2, 3, 4, 5, 3))
    with pytest.raises(ValueError, match=r"got \(2, 3, 4, 5, 5\)"):
        normalise_frames(torch.zeros((2, 3, 4, 5, 5), dtype=torch.uint8))
    drawn = Augmentation((False,), ((0, 0),), torch.ones(1), torch.ones(1))
    with pytest.raises(ValueError, match="1 draws for 3 snippets"):
        normalise_frames(snippets(), augmentation=drawn)


@pytest.mark.parametrize("key", ["flip", "brightness", "contrast", "max_shift"])
def test_settings_outside_their_range_are_refused(key):
    with pytest.raises(SettingsError, match=f"{key}: got 1.5"):
        build(AugmentConfig, {key: 1.5})


@pytest.mark.gpu
def test_gpu_equals_cpu():
    frames = snippets()
    drawn = draw_augmentation(frames, AugmentConfig(), seeded())
    on_cpu = normalise_frames(frames, augmentation=drawn)
    on_gpu = normalise_frames(frames.cuda(), augmentation=drawn)
    # One multiply and one add in float32 on both; a fused one may round once less.
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=0, atol=1e-6)
