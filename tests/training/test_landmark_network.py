import numpy as np
import pytest
import torch

from pdray.errors import DivergedError
from pdray.losses.hierarchy import hierarchy_loss
from pdray.models.landmark_mlp import LandmarkMlpConfig
from pdray.training.landmark_network import LandmarkNetwork

SMALL = LandmarkMlpConfig(
    num_frames=2, num_points=3, num_hidden=16, learning_rate=1e-2, batch_size=8, num_epochs=40
)


def spread(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (N, 2, 3, 2) whose size tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(num) % 3
    return rng.normal(0, 0.2, (num, 2, 3, 2)) + (y - 1.0)[:, None, None, None], y


def test_it_learns_and_its_probabilities_sum_to_one() -> None:
    network = LandmarkNetwork(SMALL, num_classes=3, seed=0).fit(*spread(30))
    x, y = spread(12, seed=1)
    shares = network.predict_proba(x)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares.argmax(axis=1) == y).all()


def test_a_step_is_adam_on_the_hierarchy_loss() -> None:
    config = SMALL.model_copy(update={"num_epochs": 1, "batch_size": 99, "hierarchy_lambda": 0.25})
    x, y = spread(6)
    start = LandmarkNetwork(config, num_classes=3, seed=4)
    before = {name: value.clone() for name, value in start.network.state_dict().items()}
    loss = hierarchy_loss(
        start.network(torch.from_numpy(x).float()), torch.from_numpy(y), hierarchy_lambda=0.25
    ).mean()
    loss.backward()
    gradient = {name: one.grad.clone() for name, one in start.network.named_parameters()}
    start.network.zero_grad(set_to_none=True)
    after = start.fit(x, y).network.state_dict()
    for name, value in before.items():
        # Adam's first step is the learning rate times the sign, but where a gradient is tiny.
        step = 1e-2 * gradient[name] / (gradient[name].abs() + 1e-8)
        torch.testing.assert_close(after[name], value - step, atol=1e-4, rtol=0)


def test_the_seed_decides() -> None:
    x, y = spread(9)
    one, same, other = (
        LandmarkNetwork(SMALL, num_classes=3, seed=seed).fit(x, y).predict_proba(x)
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_loss_that_is_not_finite_stops_with_its_epoch() -> None:
    x, y = spread(9)
    x[0, 0, 0, 0] = np.nan
    with pytest.raises(DivergedError, match="epoch 0: the training loss became nan"):
        LandmarkNetwork(SMALL, num_classes=3, seed=1).fit(x, y)
