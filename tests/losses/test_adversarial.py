import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pdray.losses.adversarial import least_squares, r1_penalty
from pdray.models.networks.translator import PatchDiscriminator
from tests.fixtures import plain_pictures as plain
from tests.fixtures.networks import draw


@pytest.mark.parametrize("is_real", [True, False])
def test_least_squares_is_the_mean_squared_distance_from_1_or_0(is_real: bool) -> None:
    scores = draw(2, 1, 3, 4, dtype=torch.float32)
    right = np.mean([(one - (1 if is_real else 0)) ** 2 for one in scores.double().flatten()])
    assert least_squares(scores, is_real=is_real).item() == pytest.approx(right, rel=1e-6)


def test_a_discriminator_that_separates_has_no_loss() -> None:
    assert least_squares(torch.ones(2, 1, 3, 3), is_real=True) == 0
    assert least_squares(torch.zeros(2, 1, 3, 3), is_real=False) == 0


def small_discriminator() -> tuple[nn.Module, plain.Weights]:
    network = PatchDiscriminator(width=2, num_layers=1)
    return network, plain.fill_by_rule(network)


def test_r1_is_the_squared_norm_of_the_gradient() -> None:
    network, weights = small_discriminator()
    x = draw(2, 3, 12, 12).clamp(-1, 1)
    found = r1_penalty(network, x.float())
    right = plain.squared_slope(lambda one: plain.score(one, weights, num_layers=1), x.numpy())
    assert found.item() == pytest.approx(right, rel=1e-4)


def test_r1_of_a_linear_score_is_its_squared_slope_and_pushes_it_down() -> None:
    slope = torch.tensor([2.0, -1.0, 0.5], requires_grad=True)

    def score(x: Tensor) -> Tensor:
        return (x * slope[:, None, None]).sum(dim=(1, 2, 3), keepdim=True)

    penalty = r1_penalty(score, torch.randn(4, 3, 5, 5))
    assert penalty.item() == pytest.approx(25 * (4 + 1 + 0.25))
    penalty.backward()
    assert slope.grad is not None
    torch.testing.assert_close(slope.grad, 2 * 25 * slope.detach())


def test_r1_is_computed_in_float32_under_autocast() -> None:
    network, _ = small_discriminator()
    x = draw(1, 3, 12, 12, dtype=torch.float32)
    plainly = r1_penalty(network, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert network(x).dtype == torch.bfloat16
        assert torch.equal(r1_penalty(network, x), plainly)
        assert network(x).dtype == torch.bfloat16
