import pytest
import torch

from pdray.models import NETWORKS
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.torchvision_settings import R3DConfig
from tests.fixtures.networks import check_same_logits, draw, seeded, torchvision_video


@pytest.mark.parametrize("size", [(8, 48, 40), (5, 33, 28), (1, 9, 17)])
def test_a_state_of_torchvision_gives_its_logits(size: tuple[int, int, int]) -> None:
    other, x = torchvision_video("r3d_18"), draw(2, 3, *size, dtype=torch.float32)
    assert other(x).std() > 1e-3
    check_same_logits(NETWORKS["r3d"].build(R3DConfig(), 5, 3), x, other, x)


def test_the_initial_weights_are_torchvisions() -> None:
    other = seeded(lambda: load_torchvision().models.video.r3d_18(num_classes=5)).state_dict()
    mine = seeded(NETWORKS["r3d"].build, R3DConfig(), 5, 3).state_dict()
    assert list(mine) == list(other)
    assert all(torch.equal(mine[name], tensor) for name, tensor in other.items())
