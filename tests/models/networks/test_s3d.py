import pytest
import torch
from torch import nn

from pdray.models import NETWORKS
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.s3d import S3D
from pdray.models.networks.torchvision_settings import S3DConfig, s3d_faults
from tests.fixtures.networks import draw, seeded, torchvision_video


@pytest.fixture(scope="module")
def published() -> nn.Module:
    return torchvision_video("s3d")


def made() -> S3D:
    model = seeded(NETWORKS["s3d"].build, S3DConfig(), 5, 3)
    assert isinstance(model, S3D)
    return model


def loaded(published: nn.Module) -> S3D:
    model = made().eval()
    model.load_state_dict({f"net.{name}": t for name, t in published.state_dict().items()})
    return model


def test_a_state_of_torchvision_gives_its_logits(published: nn.Module) -> None:
    # The least length and height that torchvision takes, and two windows of the head in width.
    x = draw(1, 3, 13, 209, 241, dtype=torch.float32)
    with torch.no_grad():
        expected = published(x)
        assert expected.std() > 1e-3
        assert (loaded(published)(x) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_a_smaller_map_is_averaged_whole(published: nn.Module) -> None:
    x = draw(1, 3, 6, 40, 30, dtype=torch.float32)
    with torch.no_grad():
        f = published.get_submodule("features")(x).mean(dim=(2, 3, 4))
        torch.testing.assert_close(loaded(published).features(x), f)
        with pytest.raises(RuntimeError, match="smaller than"):
            published(x)


def test_the_initial_weights_are_torchvisions() -> None:
    other = seeded(lambda: load_torchvision().models.video.s3d(num_classes=5))
    mine = made().state_dict()
    assert list(mine) == [f"net.{name}" for name in other.state_dict()]
    assert all(torch.equal(mine[f"net.{name}"], t) for name, t in other.state_dict().items())


def test_the_least_size_is_computed() -> None:
    assert s3d_faults(S3DConfig(), num_frames=5, height=17, width=17) == []
    with torch.no_grad():
        assert made().eval()(draw(1, 3, 5, 17, 17, dtype=torch.float32)).shape == (1, 5)


@pytest.mark.parametrize("size", [(4, 17, 17), (5, 16, 17), (5, 17, 16)])
def test_what_the_last_pool_cannot_take_is_refused(size: tuple[int, int, int]) -> None:
    got = ", ".join(str(number) for number in (1, 3, *size))
    with pytest.raises(ValueError, match=rf"at least 5 frames of 17 x 17 px, got \({got}\)"):
        made()(torch.zeros(1, 3, *size))


def test_faults_are_reported_together() -> None:
    faults = s3d_faults(S3DConfig(), num_frames=4, height=16, width=9)
    assert [fault.split(" is ")[0] for fault in faults] == [
        "num_frames: 4",
        "height: 16 px",
        "width: 9 px",
    ]
    assert faults[0].endswith("use at least 5")
    assert faults[1].endswith("use at least 17 px")
