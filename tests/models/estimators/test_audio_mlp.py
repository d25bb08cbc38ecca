import numpy as np
import pytest
import torch

from pdray.models.estimators.audio_mlp import build_audio_mlp
from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig


def make(**changes: object) -> torch.nn.Module:
    config = AudioMlpConfig(**{"num_hidden": 5, **changes})  # type: ignore[arg-type]
    torch.manual_seed(3)
    return build_audio_mlp(config, num_inputs=7, num_classes=3)


def test_the_defaults_are_the_papers() -> None:
    config = AudioMlpConfig()
    assert (config.num_hidden, config.learning_rate, config.batch_size) == (1024, 3e-4, 64)
    assert config.hierarchy_lambda == 0.5


def test_it_is_two_layers_with_a_ramp_between() -> None:
    network = make().double().eval()
    x = np.random.default_rng(0).normal(size=(4, 7))
    first, bias, head, end = (one.detach().numpy() for one in network.parameters())
    expected = np.maximum(x @ first.T + bias, 0) @ head.T + end
    with torch.no_grad():
        np.testing.assert_allclose(network(torch.from_numpy(x)).numpy(), expected, rtol=1e-12)


def test_dropout_acts_in_training_only() -> None:
    network, x = make(dropout=0.5), torch.ones(2, 7)
    assert torch.equal(network.eval()(x), network(x))
    assert not torch.equal(network.train()(x), network(x))


def test_other_axes_and_whole_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(B, D\) = \(B, 7\), got \(2, 6\) torch.float32"):
        make()(torch.zeros(2, 6))
    with pytest.raises(ValueError, match=r"got \(7,\)"):
        make()(torch.zeros(7))
    with pytest.raises(ValueError, match=r"floating point numbers, got \(2, 7\) torch.int64"):
        make()(torch.zeros(2, 7, dtype=torch.int64))
