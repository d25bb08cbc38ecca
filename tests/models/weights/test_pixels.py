import torch
from torch import Tensor
from torch.nn import functional

from pdray.models.weights.pixels import Pixels, Stem, refit

HERE = Pixels((0.4, 0.5, 0.3), (0.25, 0.2, 0.3))
THERE = Pixels((0.45, 0.42, 0.39), (1 / 255, 1 / 255, 1 / 255))
BLUE_FIRST = Pixels((0.51, 0.41, 0.36), (1 / 255, 1 / 200, 1 / 150), is_bgr=True)


def seen(p_BCTHW: Tensor, pixels: Pixels) -> Tensor:
    """Return what a network sees of pixels in 0..1, written out colour by colour."""
    colours = [
        (p_BCTHW[:, colour] - pixels.mean[colour]) / pixels.std[colour] for colour in range(3)
    ]
    return torch.stack(colours[::-1] if pixels.is_bgr else colours, dim=1)


def draw(*shape: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def normed(y: Tensor, state: dict[str, Tensor]) -> Tensor:
    mean, var = (state[f"norm.{leaf}"].view(1, -1, 1, 1, 1) for leaf in ("running_mean", "var"))
    return (y - mean) / var.sqrt()


def stem_state() -> dict[str, Tensor]:
    return {
        "conv.weight": draw(4, 3, 1, 3, 3, seed=1) - 0.5,
        "time.weight": draw(4, 1, 5, 1, 1, seed=2) - 0.3,
        "norm.running_mean": draw(4, seed=3),
        "norm.var": draw(4, seed=4) + 0.5,
        "fc.weight": draw(2, 4, seed=5),
    }


def run(state: dict[str, Tensor], x: Tensor, *, in_time: bool, padded: bool) -> Tensor:
    """Run a stem, whose kernels reach over the edge if it pads with zeros."""
    if "conv.zero_pixel" in state:
        x = x - state["conv.zero_pixel"].view(3, 1, 1, 1)
    y = functional.conv3d(x, state["conv.weight"], padding=(0, 1, 1) if padded else 0)
    if in_time:
        padding = (2, 0, 0) if padded else 0
        y = functional.conv3d(y, state["time.weight"], groups=4, padding=padding)
    return normed(y, state)


def check(there: Pixels, here: Pixels, *, in_time: bool, in_norm: bool = False) -> None:
    state, p = stem_state(), draw(2, 3, 6, 5, 5, seed=6)
    stem = Stem(("conv", "time") if in_time else ("conv",), "norm")
    changed = refit(state, [stem], there=there, here=here, in_norm=in_norm)
    for padded in (False,) if in_norm else (False, True):
        expected = run(state, seen(p, there), in_time=in_time, padded=padded)
        found = run(changed, seen(p, here), in_time=in_time, padded=padded)
        torch.testing.assert_close(found, expected)
    assert changed["fc.weight"] is state["fc.weight"]
    assert changed["time.weight"] is state["time.weight"]
    assert torch.equal(state["conv.weight"], stem_state()["conv.weight"])


def test_a_refitted_stem_returns_what_it_returned() -> None:
    check(THERE, HERE, in_time=False)


def test_a_stem_of_two_convolutions_is_refitted() -> None:
    check(THERE, HERE, in_time=True)


def test_blue_first_becomes_red_first_and_back() -> None:
    check(BLUE_FIRST, HERE, in_time=False)
    check(HERE, BLUE_FIRST, in_time=True)
    check(BLUE_FIRST, BLUE_FIRST, in_time=False)


def test_the_norm_of_an_earlier_study_takes_the_constant() -> None:
    for there in (THERE, BLUE_FIRST):
        check(there, HERE, in_time=False, in_norm=True)
        check(there, HERE, in_time=True, in_norm=True)


def test_every_stem_is_refitted() -> None:
    state = stem_state() | {
        "fast.weight": draw(2, 3, 5, 7, 7, seed=7),
        "fast_norm.running_mean": draw(2, seed=8),
    }
    stems = [Stem(("conv",), "norm"), Stem(("fast",), "fast_norm")]
    changed = refit(state, stems, there=THERE, here=HERE)
    same = {name for name in state if torch.equal(changed[name], state[name])}
    assert set(state) - same == {"conv.weight", "fast.weight"}
    assert set(changed) - set(state) == {"conv.zero_pixel", "fast.zero_pixel"}


def test_pixels_seen_as_before_change_nothing() -> None:
    state = stem_state()
    changed = refit(state, [Stem(("conv",), "norm")], there=HERE, here=HERE)
    assert not changed["conv.zero_pixel"].any()
    for name, value in state.items():
        torch.testing.assert_close(changed[name], value)


def test_pixels_are_shown_with_their_numbers() -> None:
    assert str(BLUE_FIRST) == (
        "red, green, blue in 0..1 minus (0.51, 0.41, 0.36) divided by (0.003922, 0.005, 0.006667), "
        "blue first"
    )
