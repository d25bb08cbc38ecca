from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pdray.errors import SettingsError
from pdray.explain.activation import as_map, class_activation, map_layers, on_frames


class Tiny(nn.Module):
    """Two smooth layers with maps, a mean, a head."""

    MAP_LAYERS = ("early", "late")
    MAPS_BY_CELL = False

    def __init__(self) -> None:
        super().__init__()
        self.early = nn.Sequential(nn.Conv3d(3, 4, 3, padding=1), nn.Tanh())
        self.late = nn.Sequential(nn.Conv3d(4, 5, 3, stride=(1, 2, 2), padding=1), nn.Softplus())
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.late(self.early(x)).mean(dim=(2, 3, 4)))


@pytest.fixture
def network() -> Tiny:
    torch.manual_seed(3)
    return Tiny().double().eval()


def snippets(num: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn((num, 3, 3, 4, 4), dtype=torch.float64, generator=generator)


def score_of(number: int) -> Callable[[Tensor], Tensor]:
    return lambda outputs: outputs[:, number]


def nudged(network: nn.Module, layer: str, x: Tensor, cell: tuple[int, ...], by: float) -> Tensor:
    """Return the outputs when one cell of a layer's output is another number."""

    def nudge(_module: nn.Module, _inputs: object, output: Tensor) -> Tensor:
        changed = output.clone()
        changed[(slice(None), *cell)] += by
        return changed

    hook = network.get_submodule(layer).register_forward_hook(nudge)
    with torch.no_grad():
        outputs = network(x)
    hook.remove()
    return outputs


def by_differences(
    network: nn.Module, layer: str, x: Tensor, number: int, *, by_cell: bool = False
) -> np.ndarray:
    """Map of one layer without automatic gradients: every cell is nudged."""
    kept = []
    hook = network.get_submodule(layer).register_forward_hook(
        lambda _module, _inputs, output: kept.append(output.detach().clone())
    )
    network(x)
    hook.remove()
    values = kept[0].numpy()
    slope = np.zeros_like(values)
    step = 1e-4
    for cell in np.ndindex(*values.shape[1:]):
        up, down = (nudged(network, layer, x, cell, by)[:, number] for by in (step, -step))
        slope[(slice(None), *cell)] = ((up - down) / (2 * step)).numpy()
    num_snippets, num_channels = values.shape[:2]
    maps = np.zeros((num_snippets, *values.shape[2:]))
    for b in range(num_snippets):
        for k in range(num_channels):
            alpha = slope[b, k] if by_cell else slope[b, k].sum() / slope[b, k].size
            maps[b] += alpha * values[b, k]
    return np.maximum(maps, 0)


@pytest.mark.parametrize("layer", ["early", "late"])
@pytest.mark.parametrize(("number", "by_cell"), [(0, False), (2, False), (2, True)])
def test_maps_are_those_of_their_equations_by_differences(
    network: Tiny, layer: str, number: int, by_cell: bool
) -> None:
    network.MAPS_BY_CELL = by_cell
    found = class_activation(network, snippets(), score_of(number), [layer])[layer]
    expected = by_differences(network, layer, snippets(), number, by_cell=by_cell)
    assert expected.max() > 0
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_under_a_mean_and_a_linear_head_the_map_is_the_weighted_sum_of_channels(
    network: Tiny,
) -> None:
    x = snippets()
    found = class_activation(network, x, score_of(1), ["late"])["late"]
    with torch.no_grad():
        values = network.late(network.early(x)).numpy()
    weights = network.head.weight[1].detach().numpy() / values[0, 0].size
    expected = np.maximum(np.einsum("k,bkthw->bthw", weights, values), 0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_several_layers_in_one_pass_are_each_what_they_are_alone(network: Tiny) -> None:
    together = class_activation(network, snippets(), score_of(0), ["late", "early"])
    assert list(together) == ["late", "early"]
    for layer, found in together.items():
        alone = class_activation(network, snippets(), score_of(0), [layer])[layer]
        assert torch.equal(found, alone)


def test_a_snippet_has_the_same_map_in_any_company(network: Tiny) -> None:
    both = class_activation(network, snippets(), score_of(0), ["early"])["early"]
    alone = class_activation(network, snippets()[1:], score_of(0), ["early"])["early"]
    torch.testing.assert_close(both[1:], alone)


def test_layers_that_work_in_place_afterwards_change_nothing() -> None:
    class InPlace(Tiny):
        def forward(self, x: Tensor) -> Tensor:
            y = self.early(x)
            y -= 0.25
            return self.head(self.late(y.relu_()).mean(dim=(2, 3, 4)))

    torch.manual_seed(3)
    network = InPlace().double().eval()
    found = class_activation(network, snippets(), score_of(0), ["early"])["early"]
    expected = by_differences(network, "early", snippets(), 0)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-9)


def test_no_gradient_is_needed_or_left_and_no_hook_stays(network: Tiny) -> None:
    free = class_activation(network, snippets(), score_of(0), ["early"])["early"]
    network.requires_grad_(False)
    with torch.no_grad():
        x = snippets()
        held = class_activation(network, x, score_of(0), ["early"])["early"]
    assert torch.equal(free, held)
    assert not held.requires_grad
    assert x.grad is None
    assert all(parameter.grad is None for parameter in network.parameters())
    assert not network.early._forward_hooks


def test_hooks_are_gone_after_a_failure(network: Tiny) -> None:
    with pytest.raises(RuntimeError):
        class_activation(network, snippets()[:, :2], score_of(0), ["early"])
    assert not network.early._forward_hooks


def test_a_network_of_single_frames_has_one_map_over_time() -> None:
    class Frames(nn.Module):
        MAP_LAYERS = ("conv",)

        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x.transpose(1, 2).flatten(0, 1))
            return y.mean(dim=(2, 3)).view(len(x), -1, 4).mean(dim=1)[:, :2]

    torch.manual_seed(0)
    network, x = Frames().double(), snippets()
    found = class_activation(network, x, score_of(1), ["conv"])["conv"]
    # The score of class 1 is the mean of channel 1, whose alpha is therefore 1 / Z.
    values = torch.einsum("kc,bcthw->bkthw", network.conv.weight[:, :, 0, 0], x)
    values = values + network.conv.bias[:, None, None, None]
    expected = (values[:, 1] / values[0, 1].numel()).relu()
    assert found.shape == (2, 3, 4, 4)
    torch.testing.assert_close(found, expected.detach())


def test_frames_that_were_folded_into_the_batch_become_steps_of_their_snippet() -> None:
    output = torch.arange(2 * 3 * 4 * 5 * 6).view(6, 4, 5, 6)
    found = as_map(output, 2)
    assert found.shape == (2, 4, 3, 5, 6)
    assert torch.equal(found[1, :, 2], output[5])
    assert as_map(found, 2) is found


def test_all_layers_are_mapped_or_the_asked_ones_in_the_networks_order(network: Tiny) -> None:
    assert map_layers(network, None) == ("early", "late")
    assert map_layers(network, ["late", "early"]) == ("early", "late")
    assert map_layers(network, ["late"]) == ("late",)


def test_an_unknown_layer_is_answered_with_the_valid_ones(network: Tiny) -> None:
    expected = r"layers: got 'lat'; did you mean 'late'\? choose from the .* network: early, late"
    with pytest.raises(SettingsError, match=expected):
        map_layers(network, ["lat"])
    with pytest.raises(
        SettingsError, match=r"layers, 2 faults:\n  - got 'x'; choose from the layers"
    ):
        map_layers(network, ["x", "early", "y"])
    with pytest.raises(
        SettingsError, match="layers: got none; choose from the layers of this network"
    ):
        map_layers(network, [])


def test_a_constant_map_stays_constant_at_any_size() -> None:
    maps = torch.full((1, 2, 3, 3), 0.5)
    found = on_frames(maps, np.array([[4, 6, 8, 10, 12]]), height=7, width=9)
    assert found.shape == (5, 7, 9)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 0.5, rtol=1e-6)


def test_cells_cover_time_and_picture_evenly() -> None:
    maps = torch.zeros((1, 2, 2, 2))
    maps[0, 1, 0, 1] = 1.0  # later half, upper right
    found = on_frames(maps, np.arange(8)[None], height=8, width=8)
    moment, row, column = np.unravel_index(found.argmax(), found.shape)
    assert moment >= 6
    assert row <= 1
    assert column >= 6
    # The cells' middles are at the frames 1.5 and 5.5; it is linear between them.
    middle = found[:, 0, 7]
    np.testing.assert_allclose(middle, [0, 0, 0.125, 0.375, 0.625, 0.875, 1, 1], atol=1e-6)


def test_a_frame_that_was_seen_several_times_has_the_mean_of_its_maps() -> None:
    maps = torch.tensor([1.0, 4.0])[:, None, None, None].expand(2, 1, 1, 1)
    indices = np.array([[0, 1, 2, 0], [2, 3, 4, 5]])  # the first one loops
    found = on_frames(maps, indices, height=2, width=2)
    assert found[:, 0, 0].tolist() == [1.0, 1.0, 2.5, 4.0, 4.0, 4.0]


def test_frames_stand_in_the_order_of_the_recording() -> None:
    maps = torch.tensor([0.0, 3.0])[None, :, None, None]
    found = on_frames(maps, np.array([[9, 2]]), height=1, width=1)
    assert found[:, 0, 0].tolist() == [3.0, 0.0]
