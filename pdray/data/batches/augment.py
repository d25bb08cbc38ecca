"""Augmentation: random changes of training pictures, and of points and sides with them.

There is one draw per snippet for all of its frames, so that it does not look like motion. Pictures
are moved here as uint8, on the device, in this order: crop, resize to the network's input,
left-right flip, shift. Points follow the same draws. Changes of colour are drawn here and applied
in ``normalise.py``, where pixels become floats.

Letters: B snippet, T frame, H height, W width, C channel, P point.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pdray.data.batches.settings import AugmentConfig, augment_faults, seen_size
from pdray.data.modalities import Modality, picture_spec
from pdray.errors import SettingsError, refuse

# Positions of a crop, as (down, right) shares of the free space: four corners and the centre.
_PLACES = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0), (0.5, 0.5))


class Crop(NamedTuple):
    """Box inside the stored picture [px]."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class Augmentation:
    """Draws for a batch; index b belongs to snippet b.

    Attributes:
        flipped: Whether left and right are exchanged.
        shifts: (down, right) shift, applied after the flip [px].
        brightness: (B,) float32 factor of the pixels, greater than 0.
        contrast: (B,) float32 factor of the distance to the mean colour, greater than 0.
        saturation: (B,) float32 factor of the distance to the grey picture, greater than 0; None
            does not change it.
        crops: Boxes that are cut out first; None: the whole picture.
        size: (height, width) that crops are resized to [px]; None without ``crops``.
    """

    flipped: tuple[bool, ...]
    shifts: tuple[tuple[int, int], ...]
    brightness: Tensor
    contrast: Tensor
    saturation: Tensor | None = None
    crops: tuple[Crop, ...] | None = None
    size: tuple[int, int] | None = None

    def seen(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the (height, width) after augmentation of pictures of ``size`` [px]."""
        return self.size or size


def draw_augmentation(
    frames: Tensor, config: AugmentConfig, generator: torch.Generator
) -> Augmentation:
    """Draw the augmentation of each snippet of a batch.

    Height and width of a crop are each a drawn share (``crop_scales``) of the largest box with the
    shape of the network's input that fits into the picture. The two shares are equal or neighbours
    in the list. The crop is in a corner or in the centre (scale jitter and corner crop of TSN,
    arXiv:1608.00859, section 3.2).

    Args:
        frames: (B, T, H, W, C); only its shape is used.
        config: Settings.
        generator: Generator on the CPU, so that the draws do not depend on the device. It gives
            five numbers per snippet with any settings, and three more to crop or saturate.

    Returns:
        The draws.

    Raises:
        SettingsError: If ``crop_size`` does not fit into the picture.
    """
    num_snippets, _, height, width, _ = frames.shape
    refuse(augment_faults(config, height=height, width=width), SettingsError, "settings")
    size = seen_size(config, height=height, width=width)
    drawn = torch.rand((num_snippets, 5), generator=generator)
    reach = torch.tensor([round(config.max_shift * length) for length in size])
    shifts = (drawn[:, 1:3] * (2 * reach + 1)).long().clamp(max=2 * reach) - reach
    crops, saturation = None, None
    if config.crops or config.saturation > 0:
        more = torch.rand((num_snippets, 3), generator=generator)
        if config.crops:
            crops = _draw_crops(more[:, :2], config.crop_scales, picture=(height, width), seen=size)
        if config.saturation > 0:
            saturation = 1 + config.saturation * (2 * more[:, 2] - 1)
    return Augmentation(
        flipped=tuple((drawn[:, 0] < config.flip).tolist()),
        shifts=tuple((down, right) for down, right in shifts.tolist()),
        brightness=1 + config.brightness * (2 * drawn[:, 3] - 1),
        contrast=1 + config.contrast * (2 * drawn[:, 4] - 1),
        saturation=saturation,
        crops=crops,
        size=None if crops is None else size,
    )


def central_view(frames: Tensor, config: AugmentConfig) -> Augmentation | None:
    """Return the crop of evaluated snippets: the centre, not resized, nothing drawn.

    Args:
        frames: (B, T, H, W, C); only its shape is used.
        config: Settings; only ``crop_size`` is used.

    Returns:
        The crop; None for the whole picture.

    Raises:
        SettingsError: If ``crop_size`` does not fit into the picture.
    """
    num_snippets, _, height, width, _ = frames.shape
    refuse(augment_faults(config, height=height, width=width), SettingsError, "settings")
    size = seen_size(config, height=height, width=width)
    if size == (height, width):
        return None
    crop = Crop((height - size[0]) // 2, (width - size[1]) // 2, *size)
    same = torch.ones(num_snippets)
    return Augmentation(
        flipped=(False,) * num_snippets,
        shifts=((0, 0),) * num_snippets,
        brightness=same,
        contrast=same,
        crops=(crop,) * num_snippets,
        size=size,
    )


def move_frames(frames: Tensor, augmentation: Augmentation, modality: Modality = "rgb") -> Tensor:
    """Crop, resize, flip and shift the pictures of a batch; colours do not change.

    A shift leaves black pixels, or no motion, at the edge. Resizing is bilinear with antialiasing
    and rounds to whole numbers: on a CPU in torch's fixed-point arithmetic, at most one grey level
    from float arithmetic, elsewhere in float32.

    The x component of mirrored ``flow`` changes its sign. ``boundaries`` are flipped like pictures,
    as in the motion boundary paper. That is not exact: where a recording has du/dx + du/dy and
    dv/dx + dv/dy, its mirror image has du/dx - du/dy and dv/dy - dv/dx, which cannot be computed
    from the sums. Resized motion keeps its values, in pixels of the stored picture, as in TSN.

    Args:
        frames: (B, T, H, W, C) uint8; motion as codes 1..255 with 128 for none, channel 0 along
            the width.
        augmentation: One draw per snippet.
        modality: A modality of pictures.

    Returns:
        (B, T, height, width, C) uint8, ``frames`` itself if nothing moves.

    Raises:
        ValueError: If the augmentation is for another number of snippets.
    """
    _check_draws(augmentation, len(frames))
    spec = picture_spec(modality)
    still = not any(augmentation.flipped) and not any(map(any, augmentation.shifts))
    if still and augmentation.crops is None:
        return frames
    height, width = augmentation.seen((frames.shape[2], frames.shape[3]))
    moved = frames.new_empty((*frames.shape[:2], height, width, frames.shape[4]))
    for number, target in enumerate(moved):
        seen = frames[number]
        if augmentation.crops is not None:
            seen = _cropped(seen, augmentation.crops[number], (height, width))
        flipped, (down, right) = augmentation.flipped[number], augmentation.shifts[number]
        if flipped:
            seen = seen.flip(2)
        if down or right:
            target.fill_(spec.nothing)
        # Slices of uint8 copy several times faster than a gather.
        target[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = (
            seen[:, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
        )
        for channel in spec.negated if flipped else ():
            target[..., channel].neg_()  # modulo 256: code c becomes 256 - c
    return moved


def augment_points(
    points: Tensor, augmentation: Augmentation, size: tuple[int, int], mirror: Tensor
) -> Tensor:
    """Move points as :func:`move_frames` moves their pictures.

    Args:
        points: (B, T, P, 2) or, with B = recordings * S, (recordings, S, T, P, 2) float32: x to
            the right and y down from the upper left corner of the stored picture, so that the
            centre of the first pixel is at (0.5, 0.5) [px]; NaN where absent. If two points are
            the corners of a box, a flip makes the left one the right one.
        augmentation: One draw per snippet.
        size: (height, width) of the stored picture [px].
        mirror: (P,) int64, the point that replaces each point in a mirrored picture: the right eye
            for the left eye and the reverse, the nose for itself.

    Returns:
        As ``points``, in pixels of the network's input, NaN where absent. A point outside the crop
        or the shifted picture is not absent; it usually lies beyond the edges.

    Raises:
        ValueError: If the augmentation is for another number of snippets, or ``mirror`` does not
            swap points in pairs.
    """
    num_points = points.shape[-2]
    order = mirror.to(points.device)
    places = torch.arange(num_points, device=points.device)
    valid = len(order) == num_points and bool(((order >= 0) & (order < num_points)).all())
    if not valid or not torch.equal(order[order], places):
        raise ValueError(
            f"mirror {mirror.tolist()} does not swap {num_points} points in pairs; give "
            f"mirror[mirror[p]] == p for each p in 0..{num_points - 1}"
        )
    snippets = points.flatten(0, -4)
    _check_draws(augmentation, len(snippets))
    maps = [_point_map(augmentation, number, size) for number in range(len(snippets))]
    scale, offset = torch.tensor(maps, dtype=torch.float64).to(points)[:, :, None, None].unbind(1)
    flipped = torch.tensor(augmentation.flipped, device=points.device)[:, None, None, None]
    named = torch.where(flipped, snippets[:, :, order], snippets)
    return (named * scale + offset).view(points.shape)


def _check_draws(augmentation: Augmentation, num_snippets: int) -> None:
    if len(augmentation.flipped) != num_snippets:
        raise ValueError(
            f"the augmentation has {len(augmentation.flipped)} draws, expected one for each of "
            f"{num_snippets} snippets"
        )


def _draw_crops(
    drawn: Tensor, scales: tuple[float, ...], *, picture: tuple[int, int], seen: tuple[int, int]
) -> tuple[Crop, ...]:
    """Turn (B, 2) numbers in [0, 1) into crops."""
    # At most one step between the two, as in TSN, so that shapes change little.
    count = range(len(scales))
    pairs = [(scales[i], scales[j]) for i in count for j in count if abs(i - j) <= 1]
    zoom = min(whole / part for whole, part in zip(picture, seen, strict=True))
    crops = []
    for pair, place in drawn.tolist():
        height, width = (
            max(1, round(scale * zoom * part))
            for scale, part in zip(pairs[int(pair * len(pairs))], seen, strict=True)
        )
        down, right = _PLACES[int(place * len(_PLACES))]
        top, left = int(down * (picture[0] - height)), int(right * (picture[1] - width))
        crops.append(Crop(top, left, height, width))
    return tuple(crops)


def _cropped(frames: Tensor, crop: Crop, size: tuple[int, int]) -> Tensor:
    """Cut a box out of (T, H, W, C) frames and resize it if its size differs."""
    cut = frames[:, crop.top : crop.top + crop.height, crop.left : crop.left + crop.width]
    if (crop.height, crop.width) == size:
        return cut
    pixels = cut.permute(0, 3, 1, 2)
    if pixels.device.type == "cpu":
        resized = interpolate(pixels, size, mode="bilinear", antialias=True)
    else:  # other devices have no integer kernel
        exact = interpolate(pixels.float(), size, mode="bilinear", antialias=True)
        resized = exact.round_().clamp_(0, 255).to(torch.uint8)
    return resized.permute(0, 2, 3, 1)


def _point_map(
    augmentation: Augmentation, number: int, size: tuple[int, int]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return (x, y) factors and (x, y) offsets of one snippet's points."""
    height, width = augmentation.seen(size)
    crop = Crop(0, 0, *size) if augmentation.crops is None else augmentation.crops[number]
    down, right = augmentation.shifts[number]
    scale_x, scale_y = width / crop.width, height / crop.height
    x, y = -crop.left * scale_x, -crop.top * scale_y
    if augmentation.flipped[number]:
        scale_x, x = -scale_x, width - x
    return (scale_x, scale_y), (x + right, y + down)
