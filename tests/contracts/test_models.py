"""What every entry of MODELS promises, whatever it computes."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.models import FAULTS, MODELS

SHAPE: dict[str, Any] = {"depth": 10, "width_factor": 0.125, "temporal_stride": "221111"}
SMALL: dict[str, dict[str, Any]] = {"resnet3d": SHAPE, "tsa": {**SHAPE, "num_heads": 4}}
NUM_CLASSES = 3


def make(key: str, seed: int = 0) -> nn.Module:
    config_class, build = MODELS[key]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build(config_class(**SMALL[key]), NUM_CLASSES)


def snippets(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, 16, 24, 32, generator=generator)


def test_there_are_models_and_each_is_under_contract() -> None:
    assert MODELS
    assert SMALL.keys() == MODELS.keys() == FAULTS.keys()


@pytest.mark.parametrize("key", MODELS)
def test_defaults_are_sound_for_the_published_snippet(key: str) -> None:
    config = MODELS[key][0]()
    assert FAULTS[key](config, num_frames=32, height=224, width=224) == []


@pytest.mark.parametrize("key", MODELS)
def test_logits_have_a_row_a_snippet_and_are_finite(key: str) -> None:
    logits = make(key).eval()(snippets(2))
    assert logits.shape == (2, NUM_CLASSES)
    assert logits.dtype == torch.float32
    assert logits.isfinite().all()


@pytest.mark.parametrize("key", MODELS)
def test_every_parameter_has_a_gradient(key: str) -> None:
    model = make(key).train()
    model(snippets(2)).square().sum().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("key", MODELS)
def test_a_seed_decides_the_weights(key: str) -> None:
    first, second, other = (make(key, seed).state_dict() for seed in (5, 5, 6))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("key", MODELS)
def test_a_state_goes_out_and_back(key: str) -> None:
    model, other = make(key, 0), make(key, 1)
    model.train()(snippets(2))  # moves the running statistics
    missing = other.load_state_dict(model.state_dict(), strict=True)
    assert not missing.missing_keys
    x = snippets(1)
    assert torch.equal(model.eval()(x), other.eval()(x))


@pytest.mark.parametrize("key", MODELS)
def test_two_snippets_together_are_two_alone(key: str) -> None:
    model = make(key).double().eval()
    x = snippets(2).double()
    with torch.no_grad():
        alone = torch.cat([model(one[None]) for one in x])
        torch.testing.assert_close(model(x), alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("key", MODELS)
def test_snippets_see_the_order_of_time(key: str) -> None:
    model = make(key).double().eval()
    x = snippets(1).double()
    with torch.no_grad():
        assert not torch.allclose(model(x), model(x.flip(2)), rtol=1e-3)


@pytest.mark.parametrize("key", MODELS)
def test_swapped_time_and_channels_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"expected 3, got \(2, 16, 3, 24, 32\)"):
        make(key)(snippets(2).transpose(1, 2))


@pytest.mark.parametrize("key", MODELS)
def test_bytes_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match="uint8"):
        make(key)(torch.zeros(1, 3, 16, 24, 32, dtype=torch.uint8))
