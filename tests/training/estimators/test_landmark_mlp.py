import numpy as np
import pytest
import torch
from torch.nn import functional

from pdray.errors import DivergedError
from pdray.losses.hierarchy import hierarchy_loss
from pdray.models.estimators.landmark_mlp import build_landmark_mlp
from pdray.models.estimators.landmark_settings import LandmarkMlpConfig
from pdray.training.estimators.landmarks import build_network
from pdray.training.estimators.network_in_memory import NetworkLearner, draw_network
from pdray.training.settings import FitConfig, OptimConfig

SMALL = LandmarkMlpConfig(
    num_frames=2, num_points=3, num_hidden=16, learning_rate=1e-2, batch_size=8, num_steps=160
)


def learner(config: LandmarkMlpConfig, *, num_classes: int, seed: int) -> NetworkLearner:
    fit = FitConfig(modality="landmarks", model=config, optim=OptimConfig(epochs=1))
    return build_network(fit, num_classes=num_classes, seed=seed)


def spread(num: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks (N, 2, 3, 2) whose size tells the class."""
    rng = np.random.default_rng(seed)
    y = np.arange(num) % 3
    return rng.normal(0, 0.2, (num, 2, 3, 2)) + (y - 1.0)[:, None, None, None], y


def test_it_learns_and_its_probabilities_sum_to_one() -> None:
    network = learner(SMALL, num_classes=3, seed=0).fit(*spread(30))
    x, y = spread(12, seed=1)
    shares = network.predict_proba(x)
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert (shares.argmax(axis=1) == y).all()


def test_a_step_is_adam_on_the_hierarchy_loss() -> None:
    config = SMALL.model_copy(update={"num_steps": 1, "batch_size": 99, "hierarchy_lambda": 0.25})
    x, y = spread(7)  # three of class 0, two of each other one
    network = draw_network(lambda: build_landmark_mlp(config, 4), 4)
    before = {name: value.clone() for name, value in network.named_parameters()}
    logits = network(torch.from_numpy(x).float())
    weights = torch.tensor([1.0, 1.5, 1.5, 0.0])  # nobody has class 3
    grade = functional.cross_entropy(logits, torch.from_numpy(y), weight=weights, reduction="sum")
    ill = hierarchy_loss(logits, torch.from_numpy(y), hierarchy_lambda=1.0).mean()
    (0.25 * ill + 0.75 * grade / 7).backward()
    gradient = {name: one.grad.clone() for name, one in network.named_parameters()}
    after = dict(learner(config, num_classes=4, seed=4).fit(x, y).network.named_parameters())
    for name, value in before.items():
        # Adam's first step is the learning rate times the sign, but where a gradient is tiny.
        step = 1e-2 * gradient[name] / (gradient[name].abs() + 1e-8)
        is_clear = gradient[name].abs() > 1e-6
        torch.testing.assert_close(
            after[name][is_clear], (value - step)[is_clear], atol=1e-4, rtol=0
        )


def test_the_seed_decides() -> None:
    x, y = spread(9)
    one, same, other = (
        learner(SMALL, num_classes=3, seed=seed).fit(x, y).predict_proba(x) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.allclose(one, other)


def test_a_loss_that_is_not_finite_stops_with_its_epoch() -> None:
    x, y = spread(9)
    x[:, 0, 0, 0] = np.nan  # of whichever is drawn first
    with pytest.raises(DivergedError, match="step 0: the training loss became nan"):
        learner(SMALL, num_classes=3, seed=1).fit(x, y)
