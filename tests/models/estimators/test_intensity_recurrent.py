"""The network against its formulas, written as loops over single numbers in float64."""

from typing import Any

import numpy as np
import pytest
import torch

from pdray.models.estimators.intensity_recurrent import (
    IntensityRecurrent,
    build_intensity_recurrent,
)
from pdray.models.estimators.intensity_settings import IntensityHeadConfig

Floats = Any
X = np.random.default_rng(0).normal(0, 1, (3, 4, 8))


def sigmoid(x: Floats) -> Floats:
    return 1 / (1 + np.exp(-x))


def lstm_step(x: Floats, state: Floats, w: dict[str, Floats]) -> Floats:
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000."""
    h, c = state
    gates = w["weight_ih_l0"] @ x + w["bias_ih_l0"] + w["weight_hh_l0"] @ h + w["bias_hh_l0"]
    i, f, g, o = np.split(gates, 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(x: Floats, state: Floats, w: dict[str, Floats]) -> Floats:
    """Cho et al. 2014, in torch's form: the reset gate acts behind the recurrent weights."""
    h, _ = state
    r_x, z_x, n_x = np.split(w["weight_ih_l0"] @ x + w["bias_ih_l0"], 3)
    r_h, z_h, n_h = np.split(w["weight_hh_l0"] @ h + w["bias_hh_l0"], 3)
    z = sigmoid(z_x + z_h)
    n = np.tanh(n_x + sigmoid(r_x + r_h) * n_h)
    return (1 - z) * n + z * h, h


def slow_logits(network: IntensityRecurrent, videos: list[Floats], cell: str) -> Floats:
    """Logits of one visit from the videos that it has."""
    step = {"lstm": lstm_step, "gru": gru_step}[cell]
    for number, layer in enumerate(network.layers):
        w = {name: one.detach().numpy() for name, one in layer.named_parameters()}
        state, found = (np.zeros(network.head.in_features),) * 2, []
        for x in videos:
            state = step(x, state, w)
            added = 0.0
            if network.projections:
                added = network.projections[number].weight.detach().numpy() @ x
            found.append(state[0] + added)
        videos = found
    head = network.head
    return head.weight.detach().numpy() @ videos[-1] + head.bias.detach().numpy()


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("residual", [False, True])
def test_logits_are_those_of_the_recurrence(cell: str, residual: bool) -> None:
    torch.manual_seed(0)
    config = IntensityHeadConfig(classifier=cell, residual=residual, num_hidden=5, num_layers=2)
    network = build_intensity_recurrent(config, num_inputs=8, num_classes=3).double().eval()
    x = X.copy()
    x[1, 2] = x[2, [0, 3]] = np.nan  # absent videos
    x[0, 1, 3] = np.nan  # a single number
    found = network(torch.from_numpy(x)).detach().numpy()
    x[0, 1, 3] = 0.0
    seen = [[video for video in visit if not np.isnan(video).any()] for visit in x]
    expected = [slow_logits(network, videos, cell) for videos in seen]
    np.testing.assert_allclose(found, expected, rtol=1e-11)


def test_an_absent_video_gets_no_gradient_and_moves_nothing() -> None:
    torch.manual_seed(0)
    network = build_intensity_recurrent(IntensityHeadConfig(), num_inputs=8, num_classes=2)
    x = torch.from_numpy(X).float()
    x[0, 1:] = torch.nan
    network(x)[0, 1].backward()
    grads = [one.grad for one in network.parameters() if one.grad is not None]
    assert all(bool(grad.isfinite().all()) for grad in grads)
