"""Training a small network on recordings that all lie in memory, as the baselines of YouTubePD are.

Adam and the hierarchy-guided loss (000, Eq. 2, section C.2); nothing is augmented and nothing
stopped early: the paper says of neither. An epoch takes every recording once, its last batch may be
smaller.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, Self, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pdray.data.batches.plan import derive_seed
from pdray.errors import DivergedError
from pdray.losses.hierarchy import hierarchy_loss

Floats = NDArray[np.floating[Any]]
Compute = Callable[[Tensor], Tensor]
Network = TypeVar("Network", bound=nn.Module)


class Training(Protocol):
    """What decides the training.

    Attributes:
        learning_rate: Of Adam.
        batch_size: Recordings of a step.
        hierarchy_lambda: Weight of ill or not in the loss, 0 to 1.
    """

    @property
    def learning_rate(self) -> float: ...  # noqa: D102  # said above

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    @property
    def hierarchy_lambda(self) -> float: ...  # noqa: D102


class EpochTraining(Training, Protocol):
    """A training of ``num_epochs`` times over all recordings."""

    @property
    def num_epochs(self) -> int: ...  # noqa: D102


class StepTraining(Training, Protocol):
    """A training of ``num_steps`` steps, each on recordings drawn anew."""

    @property
    def num_steps(self) -> int: ...  # noqa: D102


def draw_network(build: Callable[[], Network], seed: int) -> Network:
    """Build a network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        return build()


def train_network(
    network: nn.Module,
    x: Floats,
    y: NDArray[np.int64],
    training: EpochTraining,
    *,
    seed: int,
    compute: Compute | None = None,
) -> None:
    """Train a network in place, every recording once an epoch.

    Args:
        network: Of logits (B, K), of inputs (B, ...) float32.
        x: (N, ...) inputs.
        y: (N,) class, 0 to K-1.
        training: How.
        seed: Of the order of the recordings and of dropout.
        compute: What is trained of it: logits (B, K), or (B, V, K) of V votes of a recording, each
            of which is then told the recording's class; None is the network.

    Raises:
        DivergedError: If the loss is not finite; names the epoch.
    """
    judge = network if compute is None else compute
    inputs, target = _floats(x), torch.from_numpy(np.asarray(y, np.int64))
    order = torch.Generator().manual_seed(derive_seed(seed, "order"))

    def batches() -> Iterator[tuple[str, Tensor]]:
        for epoch in range(training.num_epochs):
            drawn = torch.randperm(len(target), generator=order)
            yield from ((f"epoch {epoch}", one) for one in torch.split(drawn, training.batch_size))

    def loss_of(batch: Tensor) -> Tensor:
        return _loss(judge(inputs[batch]), target[batch], training.hierarchy_lambda)

    _take_steps(network, batches(), loss_of, learning_rate=training.learning_rate, seed=seed)


def train_balanced(
    network: nn.Module, x: Floats, y: NDArray[np.int64], training: StepTraining, *, seed: int
) -> None:
    """Train a network in place as the public code of 000 does on landmarks.

    Every step draws recordings anew, each at most once, and the grade's part of the loss weighs a
    recording by how often its class is outnumbered by the commonest one.

    Args:
        network: Of logits (B, K), of inputs (B, ...) float32.
        x: (N, ...) inputs.
        y: (N,) class, 0 to K-1.
        training: How.
        seed: Of what is drawn and of dropout.

    Raises:
        DivergedError: If the loss is not finite; names the step.
    """
    inputs, target = _floats(x), torch.from_numpy(np.asarray(y, np.int64))
    order = torch.Generator().manual_seed(derive_seed(seed, "order"))
    counts = target.bincount()

    def batches() -> Iterator[tuple[str, Tensor]]:
        for step in range(training.num_steps):
            drawn = torch.randperm(len(target), generator=order)
            yield f"step {step}", drawn[: training.batch_size]

    def loss_of(batch: Tensor) -> Tensor:
        logits = network(inputs[batch])
        # A class that nobody has is no one's target: its weight is read by nobody.
        weights = logits.new_zeros(logits.shape[1])
        weights[: len(counts)] = counts.max() / counts.clamp(min=1)
        return hierarchy_loss(
            logits,
            target[batch],
            hierarchy_lambda=training.hierarchy_lambda,
            class_weights_K=weights,
        ).mean()

    _take_steps(network, batches(), loss_of, learning_rate=training.learning_rate, seed=seed)


@torch.inference_mode()
def network_logits(network: nn.Module, x: Floats) -> NDArray[np.float64]:
    """Return (N, K) logits of (N, ...) inputs, in evaluation mode."""
    logits: NDArray[np.float64] = network.eval()(_floats(x)).double().numpy()
    return logits


class ScaledNetwork:
    """A network on inputs of mean 0 and standard deviation 1 among the recordings learnt from.

    A number that is the same in all of them becomes 0.

    Args:
        build: Makes the network for the shape of an input, from the ambient torch generator.
        training: How it is trained.
        seed: Of the weights, of the order of the recordings and of dropout.
        votes: Whether each of a recording's votes is told its class; else their sum is. Needs a
            network with ``vote``.
        has_frames: Whether the first axis of an input is frames, which share one scale.
    """

    def __init__(
        self,
        build: Callable[[tuple[int, ...]], nn.Module],
        training: EpochTraining,
        *,
        seed: int,
        votes: bool = False,
        has_frames: bool = False,
    ) -> None:
        self.build, self.training, self.seed = build, training, seed
        self.votes, self.has_frames = votes, has_frames
        self.scaler = StandardScaler()

    def fit(self, x: Floats, y: NDArray[np.int64]) -> Self:
        """Learn from recordings.

        Args:
            x: (N, ...) inputs, N at least 1.
            y: (N,) class, 0 to K-1.

        Raises:
            DivergedError: If the loss is not finite; names the epoch.
        """
        self.scaler.fit(self._rows(x))
        self.network = draw_network(lambda: self.build(x.shape[1:]), self.seed)
        compute = cast(Any, self.network).vote if self.votes else None
        scaled = self._scaled(x)
        train_network(self.network, scaled, y, self.training, seed=self.seed, compute=compute)
        return self

    def logits(self, x: Floats) -> NDArray[np.float64]:
        """Return (N, K) logits of (N, ...) inputs."""
        return network_logits(self.network, self._scaled(x))

    def _rows(self, x: Floats) -> NDArray[np.float64]:
        """Return (N, D), or (N F, D) of frames."""
        num_rows = len(x) * (x.shape[1] if self.has_frames else 1)
        return np.asarray(x, np.float64).reshape(num_rows, -1)

    def _scaled(self, x: Floats) -> NDArray[np.float64]:
        scaled: NDArray[np.float64] = self.scaler.transform(self._rows(x)).reshape(x.shape)
        return scaled


def _take_steps(
    network: nn.Module,
    batches: Iterable[tuple[str, Tensor]],
    loss_of: Callable[[Tensor], Tensor],
    *,
    learning_rate: float,
    seed: int,
) -> None:
    """Take a step of Adam on each batch, which has a name for what is told of it."""
    # Fused is three times as fast for so few weights.
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate, fused=True)
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "dropout"))
        for name, batch in batches:
            loss = loss_of(batch)
            if not bool(torch.isfinite(loss)):
                raise DivergedError(f"{name}: the training loss became {loss.item()}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _loss(logits: Tensor, target: Tensor, hierarchy_lambda: float) -> Tensor:
    if logits.ndim == 3:
        target = target.repeat_interleave(logits.shape[1])
        logits = logits.flatten(0, 1)
    return hierarchy_loss(logits, target, hierarchy_lambda=hierarchy_lambda).mean()


def _floats(x: Floats) -> Tensor:
    return torch.from_numpy(np.asarray(x, np.float32))
