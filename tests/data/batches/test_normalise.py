import numpy as np
import pytest
import torch

from pdray.data.batches.augment import Augmentation, central_view, draw_augmentation, move_frames
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.settings import AugmentConfig
from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD

STILL = AugmentConfig(flip=0, brightness=0, contrast=0, max_shift=0)


def snippets(num_snippets=3, num_frames=5, height=12, width=16, channels=3, lowest=0, seed=0):
    draw = np.random.default_rng(seed)
    shape = (num_snippets, num_frames, height, width, channels)
    return torch.from_numpy(draw.integers(lowest, 256, shape, np.uint8))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def reference(frames, augmentation=None):
    """Each pixel by itself, in float64, after the pictures have been moved."""
    moved = frames if augmentation is None else move_frames(frames, augmentation)
    result = np.zeros(moved.shape)
    for b, t, y, x in np.ndindex(moved.shape[:4]):
        pixel = moved[b, t, y, x].numpy().astype(np.float64) / 255
        brightness, contrast, saturation = 1.0, 1.0, 1.0
        if augmentation is not None:
            brightness = float(augmentation.brightness[b])
            contrast = float(augmentation.contrast[b])
            if augmentation.saturation is not None:
                saturation = float(augmentation.saturation[b])
        grey = 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2]
        coloured = saturation * pixel + (1 - saturation) * grey
        result[b, t, y, x] = contrast * (brightness * coloured - KINETICS_MEAN) / KINETICS_STD
    return result.transpose(0, 4, 1, 2, 3)


def reference_fast(frames):
    plain = frames.double().numpy() / 255
    return ((plain - KINETICS_MEAN) / KINETICS_STD).transpose(0, 4, 1, 2, 3)


def test_plain_normalisation_equals_the_reference():
    frames = snippets()
    got = normalise_frames(frames)
    # float32 of numbers up to 3: a few units of 2.4e-7.
    np.testing.assert_allclose(got.numpy(), reference(frames), atol=1e-6)


@pytest.mark.parametrize("saturation", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(3))
def test_augmentation_equals_the_reference(seed, saturation):
    frames = snippets(seed=seed)
    config = AugmentConfig(
        max_shift=0.25, brightness=0.5, contrast=0.5, saturation=saturation, crop_scales=(1.0, 0.7)
    )
    drawn = draw_augmentation(frames, config, seeded(seed))
    got = normalise_frames(frames, augmentation=drawn)
    np.testing.assert_allclose(got.numpy(), reference(frames, drawn), atol=3e-6)


def test_saturation_leaves_grey_pictures_alone_and_takes_colour_away():
    drawn = Augmentation((False,), ((0, 0),), torch.ones(1), torch.ones(1), torch.tensor([1e-6]))
    grey = snippets(num_snippets=1, channels=1).expand(-1, -1, -1, -1, 3).contiguous()
    torch.testing.assert_close(normalise_frames(grey, augmentation=drawn), normalise_frames(grey))
    pixels = normalise_frames(snippets(num_snippets=1), augmentation=drawn).double()
    shape = (3, 1, 1, 1)
    plain = pixels * torch.tensor(KINETICS_STD).view(shape) + torch.tensor(KINETICS_MEAN).view(
        shape
    )
    assert (plain - plain[:, :1]).abs().max() < 1e-5


def test_every_frame_of_a_snippet_is_treated_alike():
    still = snippets(num_frames=1).expand(-1, 6, -1, -1, -1).contiguous()
    config = AugmentConfig(saturation=0.3, crop_scales=(1.0, 0.8))
    drawn = draw_augmentation(still, config, seeded())
    got = normalise_frames(still, augmentation=drawn)
    assert torch.equal(got, got[:, :, :1].expand_as(got))


def test_snippets_of_a_batch_are_treated_differently():
    same = snippets(num_snippets=1).expand(8, -1, -1, -1, -1).contiguous()
    got = normalise_frames(same, augmentation=draw_augmentation(same, AugmentConfig(), seeded()))
    assert len({snippet.numpy().tobytes() for snippet in got}) == 8


@pytest.mark.parametrize(
    ("modality", "channels"), [("rgb", 3), ("portraits", 3), ("flow", 2), ("boundaries", 2)]
)
def test_the_result_is_a_channels_last_view(modality, channels):
    got = normalise_frames(snippets(channels=channels), modality=modality)
    assert got.shape == (3, channels, 5, 12, 16)
    assert got.is_contiguous(memory_format=torch.channels_last_3d)
    assert got.data_ptr() % 64 == 0


def test_large_pictures_are_cut_into_chunks_that_join():
    frames = snippets(num_snippets=2, num_frames=7, height=200, width=210)
    np.testing.assert_allclose(normalise_frames(frames).numpy(), reference_fast(frames), atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("saturation", [0.0, 0.4])
def test_half_precision_is_rounded_once_from_float32(dtype, saturation):
    frames = snippets()
    drawn = draw_augmentation(frames, AugmentConfig(saturation=saturation), seeded())
    exact = normalise_frames(frames, augmentation=drawn)
    assert torch.equal(normalise_frames(frames, dtype, augmentation=drawn), exact.to(dtype))


def test_the_input_is_left_alone():
    frames = snippets()
    before = frames.clone()
    config = AugmentConfig(saturation=0.3)
    normalise_frames(frames, augmentation=draw_augmentation(frames, config, seeded()))
    codes = frames[..., :2].contiguous()
    drawn = draw_augmentation(codes, AugmentConfig(flip=1.0), seeded())
    normalise_frames(codes, augmentation=drawn, modality="flow")
    assert torch.equal(frames, before)
    assert torch.equal(codes, before[..., :2])


def test_no_augmentation_is_the_identity():
    frames = snippets()
    drawn = draw_augmentation(frames, STILL, seeded())
    assert torch.equal(normalise_frames(frames, augmentation=drawn), normalise_frames(frames))


def test_the_central_view_is_a_part_of_the_whole():
    frames = snippets()
    drawn = central_view(frames, AugmentConfig(crop_size=(8, 10)))
    whole = normalise_frames(frames)
    assert torch.equal(normalise_frames(frames, augmentation=drawn), whole[..., 2:10, 3:13])


@pytest.mark.parametrize("modality", ["flow", "boundaries"])
def test_motion_is_scaled_to_one_and_stays_zero_where_there_is_none(modality):
    codes = torch.arange(1, 256, dtype=torch.uint8).view(1, 1, 1, -1, 1).repeat(2, 1, 1, 1, 2)
    got = normalise_frames(codes, modality=modality)
    np.testing.assert_allclose(got[1, 0, 0, 0], np.arange(-127, 128) / 127, atol=2e-7)
    assert got[0, 1, 0, 0, 127] == 0
    for dtype in (torch.bfloat16, torch.float16):
        assert torch.equal(normalise_frames(codes, dtype, modality=modality), got.to(dtype))


@pytest.mark.parametrize(("modality", "sign"), [("flow", -1), ("boundaries", 1)])
def test_motion_is_moved_and_keeps_its_strength(modality, sign):
    codes = snippets(channels=2, lowest=1)
    config = AugmentConfig(flip=1.0, max_shift=0.0, saturation=0.5)
    drawn = draw_augmentation(codes, config, seeded())
    got = normalise_frames(codes, augmentation=drawn, modality=modality)
    mirrored = normalise_frames(codes, modality=modality).flip(4)
    np.testing.assert_allclose(got[:, 0], sign * mirrored[:, 0], atol=2e-7)
    assert torch.equal(got[:, 1], mirrored[:, 1])


def test_wrong_frames_are_refused_with_their_shape():
    with pytest.raises(ValueError, match=r"got \(2, 3, 4, 5, 3\) torch.float32"):
        normalise_frames(torch.zeros(2, 3, 4, 5, 3))
    with pytest.raises(ValueError, match=r"rgb: expected .* 3\) uint8, got \(2, 3, 4, 5, 5\)"):
        normalise_frames(torch.zeros((2, 3, 4, 5, 5), dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"flow: expected .* 2\) uint8, got \(3, 5, 12, 16, 3\)"):
        normalise_frames(snippets(), modality="flow")
    with pytest.raises(
        ValueError, match="'mfcc' is no picture; expected rgb, portraits, flow, boundaries"
    ):
        normalise_frames(snippets(), modality="mfcc")
    drawn = Augmentation((False,), ((0, 0),), torch.ones(1), torch.ones(1))
    with pytest.raises(
        ValueError, match="the augmentation has 1 draws, expected one for each of 3 snippets"
    ):
        normalise_frames(snippets(), augmentation=drawn)


@pytest.mark.gpu
@pytest.mark.parametrize("saturation", [0.0, 0.4])
def test_gpu_equals_cpu(saturation):
    frames = snippets()
    drawn = draw_augmentation(frames, AugmentConfig(saturation=saturation), seeded())
    on_cpu = normalise_frames(frames, augmentation=drawn)
    on_gpu = normalise_frames(frames.cuda(), augmentation=drawn)
    # One multiply and one add in float32 on both; a fused one may round once less.
    torch.testing.assert_close(on_gpu.cpu(), on_cpu, rtol=0, atol=1e-6)
