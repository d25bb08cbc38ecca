"""What every method must do: the contract of ``Method``, and a translation that it learns."""

import copy
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.config import build as build_settings
from pdray.errors import DivergedError, SettingsError
from pdray.training.settings import FitConfig
from pdray.training.translators import cut, cyclegan, hrfae
from pdray.training.translators.method import Method
from tests.training.translators.drawn import BAR, SIDE, BarReader, draw_pictures

BUILDS = {"cyclegan": cyclegan.build, "cut": cut.build, "hrfae": hrfae.build}
SMALL: dict[str, dict[str, Any]] = {
    "cyclegan": {"width_factor": 0.125, "discriminator_layers": 2, "pool_size": 6},
    "cut": {"width_factor": 0.125, "discriminator_layers": 2, "num_patches": 48},
    "hrfae": {"width_factor": 0.25, "discriminator_layers": 2, "class_weight": 1.0},
}
each = pytest.mark.parametrize("name", BUILDS)


def make(name: str, seed: int = 0, **settings: Any) -> Method:
    """Build a small translator with weights of a seed."""
    model = {"name": name, "num_blocks": 2, "learning_rate": 2e-3, **SMALL[name], **settings}
    config = build_settings(FitConfig, {"model": model})
    guide = BarReader() if config.entry.is_guided else None
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BUILDS[name](config, 2, guide)


def draws(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def take_steps(
    method: Method, steps: Sequence[int], *, batch: int = 2, num_epochs: int = 10
) -> list[dict[str, float]]:
    """Take steps, each its own epoch; pictures and random numbers follow from their number."""
    told = []
    for number in steps:
        method.begin_epoch(number, num_epochs)
        generator = draws(number)
        source, target = (draw_pictures(batch, one, generator) for one in (0, 1))
        told.append(method.step(source, target, torch.ones(batch, dtype=torch.int64), generator))
    return told


def weights_of(method: Method) -> dict[str, Tensor]:
    return {name: one.clone() for name, one in method.networks.state_dict().items()}


def translate(method: Method, source: Tensor, *strengths: float) -> Tensor:
    classes = torch.ones(len(source), dtype=torch.int64)
    return method.translate(source, classes, torch.tensor(strengths))


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


@each
def test_a_restored_method_goes_on_as_the_first_would(name: str) -> None:
    first = make(name)
    take_steps(first, range(5))
    kept = copy.deepcopy(
        (
            first.networks.state_dict(),
            {key: one.state_dict() for key, one in first.optimizers.items()},
            first.state(),
        )
    )
    torch.manual_seed(1)
    mine = take_steps(first, range(5, 9))
    second = make(name, seed=7)
    second.networks.load_state_dict(kept[0])
    for key, one in second.optimizers.items():
        one.load_state_dict(kept[1][key])
    second.load(kept[2])
    torch.manual_seed(2)  # the global generator plays no part
    assert take_steps(second, range(5, 9)) == mine
    assert same(weights_of(first), weights_of(second))


@each
def test_random_numbers_of_a_step_come_from_its_generator(name: str) -> None:
    def last(seed: int) -> dict[str, float]:
        method = make(name, pool_size=1) if name == "cyclegan" else make(name)
        take_steps(method, [0])
        source, target = draw_pictures(4, 0, draws(1)), draw_pictures(4, 1, draws(2))
        return method.step(source, target, torch.ones(4, dtype=torch.int64), draws(seed))

    assert last(3) == last(3)
    if name != "hrfae":  # which draws none
        assert last(3) != last(5)


@each
def test_each_optimiser_averages_every_gradient_once_and_moves_every_weight(name: str) -> None:
    method, seen = make(name), list[int]()

    def count(tensors: Sequence[Tensor]) -> None:
        assert all(isinstance(one, Tensor) for one in tensors)
        seen.append(len(tensors) - 1)  # the last are the losses

    method.average = count
    before = weights_of(method)
    take_steps(method, [0])
    sizes = [len(one.param_groups[0]["params"]) for one in method.optimizers.values()]
    assert sorted(seen) == sorted(sizes)
    assert sum(sizes) == len(list(method.networks.parameters()))
    for key, weight in weights_of(method).items():
        # A bias before instance normalisation has no effect; HRFAE's first columns need sources.
        if key.endswith("weight"):
            assert not torch.equal(weight, before[key]), key


@each
def test_what_all_workers_average_is_what_moves(name: str) -> None:
    alone, joined = make(name), make(name)

    def mean_with_zeros(tensors: Sequence[Tensor]) -> None:
        for one in tensors:
            one /= 2

    joined.average = mean_with_zeros
    mine, ours = take_steps(alone, [0])[0], take_steps(joined, [0])[0]
    assert ours.keys() == mine.keys()
    first = next(iter(mine))
    assert ours[first] == pytest.approx(mine[first] / 2)


@each
def test_a_strength_of_1_is_the_translation_and_of_0_no_edit(name: str) -> None:
    method = make(name)
    take_steps(method, range(3))
    source = draw_pictures(1, 0, draws(5)).expand(5, -1, -1, -1)
    path = translate(method, source, 0, 0.25, 0.5, 0.75, 1)
    assert path.shape == source.shape
    assert path.dtype == torch.float32
    assert path.abs().max() <= 1
    assert not path.requires_grad
    assert (path[0] - path[4]).abs().max() > 1e-3
    if method.blends:
        assert torch.equal(path[0], source[0])
        torch.testing.assert_close(path[2], (path[0] + path[4]) / 2)


@each
def test_translating_changes_neither_weights_nor_state(name: str) -> None:
    one, other = make(name), make(name)
    for method in (one, other):
        take_steps(method, range(2))
    translate(one, draw_pictures(2, 0, draws(5)), 1, 0.5)
    assert take_steps(one, range(2, 4)) == take_steps(other, range(2, 4))


@each
def test_a_loss_that_is_not_finite_stops_before_any_weight_moves(name: str) -> None:
    method = make(name)
    before = weights_of(method)
    source = torch.full((2, 3, SIDE, SIDE), float("nan"))
    with pytest.raises(DivergedError, match=r"the \w+ loss became nan"):
        method.step(source, -source, torch.ones(2, dtype=torch.int64), draws(0))
    assert same(before, weights_of(method))


@each
def test_one_picture_of_each_side_is_enough(name: str) -> None:
    (told,) = take_steps(make(name), [0], batch=1)
    assert len(told) >= 4


@each
def test_bfloat16_takes_steps_whose_losses_are_those_of_float32(name: str) -> None:
    plainly = take_steps(make(name, learning_rate=1e-5), range(3))
    method = make(name, learning_rate=1e-5)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        told = take_steps(method, range(3))
        made = translate(method, draw_pictures(2, 0, draws(5)), 1, 1)
    assert made.dtype == torch.float32
    assert all(weight.dtype == torch.float32 for weight in method.networks.parameters())
    for one, other in zip(told, plainly, strict=True):
        assert one == pytest.approx(other, rel=0.03, abs=0.02)


def test_hrfae_needs_a_guide_and_freezes_it() -> None:
    config = build_settings(FitConfig, {"model": {"name": "hrfae", **SMALL["hrfae"]}})
    with pytest.raises(SettingsError, match=r"synthesis\.guide: hrfae learns from a classifier"):
        hrfae.build(config, 2)
    guide = BarReader().train()
    method = hrfae.build(config, 2, guide)
    assert not guide.training
    assert not any(weight.requires_grad for weight in guide.parameters())
    assert [name for name, _ in method.networks.named_children()] == ["editor", "discriminator"]


@pytest.mark.parametrize(("falls", "share"), [(False, 1.0), (True, 1 / 3)])
def test_hrfae_has_two_learning_rates_that_may_fall(falls: bool, share: float) -> None:
    method = make("hrfae", learning_rate=0.01, discriminator_rate=2.0, learning_rate_falls=falls)
    method.begin_epoch(3, 4)
    found = {name: one.param_groups[0]["lr"] for name, one in method.optimizers.items()}
    assert found == pytest.approx({"editor": 0.01 * share, "discriminator": 0.02 * share})
    assert {one.defaults["betas"] for one in method.optimizers.values()} == {(0.9, 0.999)}


@pytest.mark.parametrize(("name", "ends"), [("cyclegan", "s"), ("cut", "")])
def test_the_discriminator_may_have_another_learning_rate(name: str, ends: str) -> None:
    method = make(name, learning_rate=0.01, discriminator_rate=2.0)
    start = {one: method.optimizers[one].param_groups[0]["lr"] for one in method.optimizers}
    method.begin_epoch(3, 4)
    found = {one: method.optimizers[one].param_groups[0]["lr"] for one in method.optimizers}
    assert start == pytest.approx({f"generator{ends}": 0.01, f"discriminator{ends}": 0.02})
    assert found == pytest.approx({one: rate / 3 for one, rate in start.items()})


def test_hrfae_without_the_penalty_does_not_compute_it() -> None:
    (told,) = take_steps(make("hrfae", r1_weight=0.0), [0])
    assert "r1" not in told
    assert "r1" in take_steps(make("hrfae"), [0])[0]


def test_a_step_of_hrfae_changes_the_factors_of_the_classes_that_take_part() -> None:
    config = build_settings(FitConfig, {"model": {"name": "hrfae", **SMALL["hrfae"]}})
    method = hrfae.build(config, 4, Twice())
    columns, seen = method.editor.modulation.weight, list[Tensor]()
    method.average = lambda tensors: seen.extend(
        one for one in tensors if one.shape == columns.shape
    )
    source, target = draw_pictures(3, 0, draws(1)), draw_pictures(3, 1, draws(2))
    method.step(source, target, torch.tensor([3, 1, 3]), draws(0))
    (slope,) = seen
    assert (slope.abs().sum(dim=0) > 0).tolist() == [True, True, False, True]


class Twice(BarReader):
    """The guide with four classes."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([super().forward(x)] * 2, dim=1)


STEPS = {"cyclegan": 160, "cut": 200, "hrfae": 120}


@each
def test_it_learns_to_brighten_a_bar_and_to_keep_the_rest(name: str) -> None:
    """The same SYNTHETIC waves with a bright bar are the truth, which no step has seen."""
    method = make(name)
    source, truth = (draw_pictures(16, one, draws(1000)) for one in (0, 1))

    def far_and_alike() -> tuple[float, float]:
        """Return the error in the bar, 1 for the source, and the correlation of the rest."""
        made = translate(method, source, *[1.0] * 16)
        far = (made - truth)[:, :, BAR].abs().mean() / (truth - source)[:, :, BAR].abs().mean()
        rest = torch.stack([made[:, :, ~BAR].flatten(), source[:, :, ~BAR].flatten()])
        return far.item(), torch.corrcoef(rest)[0, 1].item()

    far, alike = far_and_alike()
    assert far > 0.4  # grey pictures are half way
    assert alike < 0.2
    take_steps(method, range(STEPS[name]), batch=4, num_epochs=STEPS[name])
    far, alike = far_and_alike()
    assert far < 0.3
    assert alike > 0.25
