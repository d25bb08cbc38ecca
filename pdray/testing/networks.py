"""Checks of a network: shapes, gradients, seeds, precision and refusals.

Letters: B batch, C channel, T frame, H height, W width, K class.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from pdray.models.entry import ModelEntry
from pdray.testing.light import check_light

NUM_CLASSES = 3


def check_network(
    entry: ModelEntry, *, sees_order: bool = True, published: Mapping[str, Any] | None = None
) -> None:
    """Check what every network promises, on small random snippets; it takes seconds on a CPU.

    Args:
        entry: Entry of the network; its ``small`` settings are built.
        sees_order: Whether the network tells frames from the same frames in reverse order.
        published: Settings with which it takes 32 frames of 224 x 224 pixels; none: the defaults.

    Raises:
        AssertionError: At the first promise that is not kept.
    """
    contract = NetworkContract(entry, sees_order, published or {})
    for check in NETWORK_CHECKS:
        check(contract)
    check_light(entry.settings.__module__)


@dataclass(frozen=True)
class NetworkContract:
    """The promises of one network; see :func:`check_network`."""

    entry: ModelEntry
    sees_order: bool = True
    published: Mapping[str, Any] = field(default_factory=dict)

    def build(self, seed: int = 0, channels: int = 3) -> Any:
        """Return the small network, with weights drawn from the seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            config = self.entry.settings(**self.entry.small)
            network = self.entry.build(config, NUM_CLASSES, channels)
        return _BetweenBoxes(network) if self.entry.beside else network

    def published_snippet(self) -> None:
        """Declare no fault of 32 frames of 224 x 224 pixels, and a description in one line."""
        config = self.entry.settings(**self.published)
        assert self.entry.faults(config, num_frames=32, height=224, width=224) == []
        assert self.entry.description, "describe the network in one line"
        assert "\n" not in self.entry.description, "describe the network in one line"

    def outputs(self) -> None:
        """Return finite logits (B, K) and features, and maps that shrink, of two layers or more."""
        model = self.build().eval()
        maps: dict[str, Tensor] = {}
        for name in model.MAP_LAYERS:
            layer = model.get_submodule(name)
            layer.register_forward_hook(lambda _, __, out, name=name: maps.setdefault(name, out))
        with torch.no_grad():
            logits, features = model(_snippets(2)), model.features(_snippets(2))
            torch.testing.assert_close(model.classify(features), logits)
        assert logits.shape == (2, NUM_CLASSES)
        assert features.shape == (2, model.num_features)
        assert logits.dtype == torch.float32
        assert logits.isfinite().all()
        assert list(maps) == list(model.MAP_LAYERS), "MAP_LAYERS: in the order of the forward pass"
        assert len(maps) >= 2, "MAP_LAYERS: name two layers or more"
        places = [one.shape[-2] * one.shape[-1] for one in maps.values()]
        assert places == sorted(places, reverse=True), f"maps grow: {places} pixels"
        assert all(one.ndim in (4, 5) for one in maps.values())

    def gradients(self) -> None:
        """Give every parameter a finite gradient, except those that it names as frozen."""
        model = self.build().train()
        frozen = model.frozen_names() if hasattr(model, "frozen_names") else ()
        with torch.no_grad():
            for parameter in model.parameters():
                if not parameter.any():  # the last norm of a block may start as zero, and hides it
                    parameter.fill_(0.1)
        getattr(model, "everything", model)(_snippets(2)).square().sum().backward()
        grads = {name: parameter.grad for name, parameter in model.named_parameters()}
        reached = {name: grad for name, grad in grads.items() if grad is not None and grad.any()}
        without = grads.keys() - reached.keys() - set(frozen)
        assert not without, f"no gradient reaches {', '.join(sorted(without))}"
        moved = reached.keys() & set(frozen)
        assert not moved, f"a gradient reaches the frozen {', '.join(sorted(moved))}"
        assert all(grad.isfinite().all() for grad in reached.values())

    def seeds_and_state(self) -> None:
        """Draw all weights from the ambient generator, and keep them all in the state."""
        model, again, other = self.build(5), self.build(5), self.build(6)
        first, second, third = (one.state_dict() for one in (model, again, other))
        assert all(torch.equal(first[name], second[name]) for name in first)
        assert any(not torch.equal(first[name], third[name]) for name in first)
        model.train()(_snippets(2))  # moves the running statistics
        other.load_state_dict(model.state_dict(), strict=True)
        x = _snippets(1)
        assert torch.equal(model.eval()(x), other.eval()(x))

    def precision_and_order(self) -> None:
        """Compute in float64, a snippet alone as among others, and see the order of frames."""
        model, x = self.build().double().eval(), _snippets(2).double()
        with torch.no_grad():
            together, alone = model(x), torch.cat([model(one[None]) for one in x])
            turned = model(x[:1].flip(2))
        assert together.dtype == torch.float64
        torch.testing.assert_close(together, alone, rtol=1e-9, atol=1e-9)
        sees_order = not torch.allclose(alone[:1], turned, rtol=1e-6)
        assert sees_order == self.sees_order, f"sees the order of frames: {sees_order}"

    def refusals(self) -> None:
        """Refuse swapped axes and bytes with a ValueError that says what was expected."""
        model = self.build()
        swapped = _error(model, _snippets(2).transpose(1, 2))
        assert "expected 3, got (2, 16, 3, 24, 32)" in swapped, f"of swapped axes: {swapped}"
        of_bytes = _error(model, torch.zeros(1, 3, 16, 24, 32, dtype=torch.uint8))
        assert "uint8" in of_bytes, f"of bytes: {of_bytes}"

    def flow(self) -> None:
        """Take two channels, as optical flow has."""
        model = self.build(channels=2).eval()
        assert model.num_channels == 2
        with torch.no_grad():
            assert model(_snippets(1, channels=2)).shape == (1, NUM_CLASSES)


NETWORK_CHECKS: tuple[Callable[[NetworkContract], None], ...] = (
    NetworkContract.published_snippet,
    NetworkContract.outputs,
    NetworkContract.gradients,
    NetworkContract.seeds_and_state,
    NetworkContract.precision_and_order,
    NetworkContract.refusals,
    NetworkContract.flow,
)
"""What :func:`check_network` checks, one promise each."""


class _BetweenBoxes(nn.Module):
    """A network on regions as one on snippets: the boxes are the same for each of them."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.num_channels, self.num_features = network.num_channels, network.num_features
        self.MAP_LAYERS = tuple(f"network.{name}" for name in network.MAP_LAYERS)

    def boxes(self, x: Tensor) -> Tensor:
        draw = torch.Generator().manual_seed(3)
        low = 12 * torch.rand(x.shape[2], 14, 2, generator=draw)
        return torch.cat([low, low + 10], dim=-1).to(x.dtype).expand(len(x), -1, -1, -1)

    def features(self, x: Tensor) -> Any:
        return self.network.features(x, self.boxes(x))

    def classify(self, f: Tensor) -> Any:
        return self.network.classify(f)

    def everything(self, x: Tensor) -> Tensor:
        outputs = self.network(x, self.boxes(x))
        return torch.cat([outputs.video, outputs.regions], dim=1)

    def forward(self, x: Tensor) -> Any:
        return self.network(x, self.boxes(x)).video


def _snippets(batch: int, channels: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, 16, 24, 32, generator=generator)


def _error(model: nn.Module, x: Tensor) -> str:
    try:
        model(x)
    except ValueError as error:
        return str(error)
    return "no ValueError"
