"""HRFAE's editor: values of independent float64 code, and the strength of the edit."""

import numpy as np
import pytest
import torch

from pdray.models.networks.face_editor import FaceEditor, build_editor
from pdray.models.networks.face_editor_settings import HRFAEConfig
from pdray.models.networks.translator_settings import translator_faults
from tests.fixtures import plain_pictures as plain
from tests.fixtures.networks import draw, seeded


def small(num_blocks: int = 1) -> FaceEditor:
    return FaceEditor(width=2, num_blocks=num_blocks, num_classes=3).double()


@pytest.mark.parametrize("num_blocks", [1, 3])
def test_it_computes_what_independent_code_computes(num_blocks: int) -> None:
    network = small(num_blocks)
    weights = plain.fill_by_rule(network)
    x = draw(4, 3, 16, 20).clamp(-1, 1)
    classes, strengths = [0, 1, 2, 2], [1.0, 0.25, 0.0, 1.0]
    factors = np.stack(
        [
            plain.class_factors(weights, one, strength)
            for one, strength in zip(classes, strengths, strict=True)
        ]
    )
    with torch.no_grad():
        found = network(x, torch.tensor(classes), torch.tensor(strengths))
    right = plain.edit(x.numpy(), weights, factors, num_blocks=num_blocks)
    np.testing.assert_allclose(found.numpy(), right, rtol=0, atol=1e-12)
    assert right.std() > 0.1


def test_a_strength_moves_the_factors_in_a_straight_line_from_class_0() -> None:
    network = small()
    plain.fill_by_rule(network)
    with torch.no_grad():
        healthy = network.vector(torch.tensor([0]), torch.tensor([0.3]))
        path = network.vector(torch.full((5,), 2), torch.tensor([0, 0.25, 0.5, 0.75, 1]))
    assert torch.equal(path[:1], healthy)
    steps = path.diff(dim=0)
    torch.testing.assert_close(steps, steps[:1].expand_as(steps))
    assert steps[0].abs().min() > 1e-4
    assert 0 < path.min() < path.max() < 1


def test_a_strength_of_0_is_the_same_picture_for_every_class_and_1_is_not() -> None:
    network = small()
    plain.fill_by_rule(network)
    x = draw(1, 3, 16, 16).clamp(-1, 1).expand(2, -1, -1, -1)
    classes = torch.tensor([1, 2])
    with torch.no_grad():
        none, whole = (network(x, classes, torch.full((2,), one)) for one in (0.0, 1.0))
    torch.testing.assert_close(none[0], none[1])
    assert (whole[0] - whole[1]).abs().max() > 0.01


def test_a_residual_editor_starts_at_the_source_and_adds_to_it() -> None:
    network = FaceEditor(width=2, num_blocks=1, num_classes=3, is_residual=True).double()
    x, classes, whole = draw(1, 3, 16, 16).clamp(-1, 1), torch.tensor([2]), torch.ones(1)
    with torch.no_grad():
        assert torch.equal(network(x, classes, whole), x)
        weights = plain.fill_by_rule(network)
        found = network(x, classes, whole).numpy()
    factors = plain.class_factors(weights, 2, 1.0)[None]
    change = plain.edit(x.numpy(), weights, factors, num_blocks=1)
    np.testing.assert_allclose(found, np.clip(x.numpy() + change, -1, 1), rtol=0, atol=1e-12)


def test_settings_are_the_published_ones_and_reach_the_network() -> None:
    assert HRFAEConfig().model_dump() == {
        "name": "hrfae", "width_factor": 1.0, "num_blocks": 4, "discriminator_layers": 3,
        "residual": False, "learning_rate": 1e-4, "learning_rate_falls": False, "beta1": 0.9,
        "discriminator_rate": 1.0,
        "reconstruction_weight": 10.0, "class_weight": 0.1,
        "adversarial_weight": 1.0, "class_discriminator": False, "change_weight": 0.0,
        "r1_weight": 10.0,
    }  # fmt: skip
    network = seeded(lambda: build_editor(HRFAEConfig(width_factor=0.5, num_blocks=2), 4))
    assert network.modulation.weight.shape == (64, 4)
    assert len(network.blocks) == 2


def test_sizes_that_the_networks_cannot_take_are_refused() -> None:
    config = HRFAEConfig(width_factor=0.03, discriminator_layers=5)
    assert translator_faults(config, num_frames=1, height=64, width=64) == [
        "model.width_factor: 0.03 leaves the first stage without channels; use at least 0.03125",
        "height: 64 px are outside 96 to 512 px; use 96",
    ]
    assert translator_faults(HRFAEConfig(), num_frames=1, height=96, width=96) == []
