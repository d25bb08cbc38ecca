import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pdray.models.layers.segment_attention import SegmentNetwork


class Backbone(nn.Module):
    """Features are the channel means through a linear map."""

    num_channels = 3
    num_features = 32
    MAP_LAYERS = ("inner",)

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 32)
        self.fc = nn.Linear(32, 4)

    def features(self, x: Tensor) -> Tensor:
        out: Tensor = self.inner(x.mean(dim=(2, 3, 4)))
        return out

    def classify(self, f: Tensor) -> Tensor:
        out: Tensor = self.fc(f)
        return out


def make(*, attention: bool) -> SegmentNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SegmentNetwork(Backbone(), attention=attention).double()


def snippets(num: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(num, 3, 2, 4, 4, generator=generator, dtype=torch.float64)


def by_hand(network: SegmentNetwork, x: Tensor, num_segments: int) -> np.ndarray:
    """Eq. 1 of the motion boundary paper, snippet by snippet in numpy."""
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    rows = []
    for start in range(0, len(x), num_segments):
        total = np.zeros(32)
        for one in x.numpy()[start : start + num_segments]:
            f = state["backbone.inner.weight"] @ one.mean(axis=(1, 2, 3))
            f = f + state["backbone.inner.bias"]
            weight = 1.0
            if "unit.squeeze.weight" in state:
                h = np.maximum(state["unit.squeeze.weight"] @ f + state["unit.squeeze.bias"], 0)
                score = state["unit.excite.weight"] @ h + state["unit.excite.bias"]
                weight = 1 / (1 + np.exp(-score[0]))
            total += weight * f
        rows.append(state["backbone.fc.weight"] @ (total / num_segments))
        rows[-1] = rows[-1] + state["backbone.fc.bias"]
    return np.stack(rows)


@pytest.mark.parametrize("attention", [True, False])
@pytest.mark.parametrize("num_segments", [1, 2, 3, 6])
def test_the_consensus_is_that_of_the_equation(attention: bool, num_segments: int) -> None:
    network = make(attention=attention)
    x = snippets(6)
    with torch.no_grad():
        found = network(x, num_segments=num_segments).numpy()
    assert found.shape == (6 // num_segments, 4)
    np.testing.assert_allclose(found, by_hand(network, x, num_segments), rtol=1e-12)


def test_weights_are_shares_and_differ_between_snippets() -> None:
    network = make(attention=True)
    weights = network.weights(5 * snippets(4))
    assert ((weights > 0) & (weights < 1)).all()
    assert weights.unique().numel() == 4
    assert make(attention=False).weights(snippets(4)).tolist() == [1.0] * 4


def test_the_unit_and_the_backbone_learn_together() -> None:
    network = make(attention=True)
    network(snippets(6), num_segments=3).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in network.parameters())


def test_no_segment_and_snippets_left_over_are_refused() -> None:
    network = make(attention=True)
    for num_segments in (0, 4):
        with pytest.raises(
            ValueError, match=f"6 snippets cannot be split into recordings of {num_segments} seg"
        ):
            network(snippets(6), num_segments=num_segments)


def test_what_the_backbone_offers_passes_through() -> None:
    network = make(attention=True)
    assert (network.num_channels, network.num_features) == (3, 32)
    assert network.MAP_LAYERS == ("backbone.inner",)
    assert isinstance(network.get_submodule(network.MAP_LAYERS[0]), nn.Linear)


@pytest.mark.parametrize("attention", [True, False])
def test_gradients_are_those_of_finite_differences(attention: bool) -> None:
    network = make(attention=attention)
    names = [name for name, _ in network.named_parameters()]
    values = [p.detach().clone().requires_grad_() for p in network.parameters()]
    x = snippets(4).requires_grad_()

    def forward(x: Tensor, *values: Tensor) -> Tensor:
        named = dict(zip(names, values, strict=True))
        out = torch.func.functional_call(network, named, (x,), {"num_segments": 2})
        assert isinstance(out, Tensor)
        return out

    # The hidden layer's edge at zero is further away than a step of the differences.
    assert torch.autograd.gradcheck(forward, (x, *values), fast_mode=True)


def test_a_snippet_of_no_weight_moves_nothing_but_the_mean() -> None:
    network = make(attention=True)
    assert network.unit is not None
    with torch.no_grad():
        network.unit.excite.weight.zero_()
        network.unit.excite.bias.fill_(-1000)
        bias = network.backbone.fc.bias
        assert isinstance(bias, Tensor)
        torch.testing.assert_close(network(snippets(2), num_segments=2)[0], bias)
