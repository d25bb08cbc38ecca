"""Trains a small network on recordings in memory, like the baselines of YouTubePD.

Adam and the hierarchy-guided loss (YouTubePD, Eq. 2, section C.2), without early stopping, which
the paper does not mention. The last batch of an epoch may be smaller.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, Protocol, Self, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from pdray.data.batches.plan import derive_seed
from pdray.errors import DivergedError
from pdray.losses.hierarchy import hierarchy_loss

Floats = NDArray[np.floating[Any]]
Compute = Callable[[Tensor], Tensor]
Inputs = Floats | Callable[[int], Floats]
Network = TypeVar("Network", bound=nn.Module)


class Training(Protocol):
    """Training settings of a model, which also has ``num_epochs`` or ``num_steps``.

    With ``num_epochs`` every recording is used once per epoch. With ``num_steps`` each step draws
    a new batch without repeats, and the grade's part of the loss has class weights: the size of
    the largest class divided by that of the recording's class. The public code of YouTubePD does
    so for landmarks.

    Attributes:
        learning_rate: Learning rate of Adam.
        batch_size: Recordings per step.
        hierarchy_lambda: Weight of "ill or healthy" in the loss, 0 to 1.
    """

    @property
    def learning_rate(self) -> float: ...  # noqa: D102  # see above

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    @property
    def hierarchy_lambda(self) -> float: ...  # noqa: D102


def draw_network(build: Callable[[], Network], seed: int) -> Network:
    """Build a network whose weights depend only on the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        return build()


def train_network(
    network: nn.Module,
    x: Inputs,
    y: NDArray[np.int64],
    training: Training,
    *,
    seed: int,
    compute: Compute | None = None,
) -> Iterator[str]:
    """Train a network in place, one epoch or step at a time.

    Between two of them the network may be evaluated; that changes nothing of the training.

    Args:
        network: Turns inputs (B, ...) float32 into logits (B, K).
        x: (N, ...) inputs, or a function that returns those of an epoch or step, from 0.
        y: (N,) class, 0 to K-1.
        training: Training settings.
        seed: Seed of the order of the recordings and of dropout.
        compute: Returns the logits to train: (B, K), or (B, V, K) of V votes per recording, each
            of which learns the recording's class; None: the network itself.

    Yields:
        The name of each epoch (``epoch 0``), or with ``num_steps`` of each step, after it.

    Raises:
        DivergedError: If the loss is not finite; names the epoch or the step.
    """
    judge = network if compute is None else compute
    inputs = Tensor() if callable(x) else _floats(x)
    target = torch.from_numpy(np.asarray(y, np.int64))
    counts = target.bincount() if hasattr(training, "num_steps") else None
    # The fused version is three times as fast for so few weights.
    optimizer = torch.optim.Adam(network.parameters(), lr=training.learning_rate, fused=True)
    dropout = torch.Generator().manual_seed(derive_seed(seed, "dropout")).get_state()
    for number, (name, batches) in enumerate(_rounds(len(target), training, seed)):
        inputs = _floats(x(number)) if callable(x) else inputs
        network.train()
        with torch.random.fork_rng(devices=[]):  # dropout draws from torch's global generator
            torch.set_rng_state(dropout)
            for batch in batches:
                logits = judge(inputs[batch])
                loss = _loss(logits, target[batch], training.hierarchy_lambda, counts)
                if not bool(torch.isfinite(loss)):
                    raise DivergedError(f"{name}: the training loss became {loss.item()}")
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            dropout = torch.get_rng_state()
        yield name


def _rounds(num: int, training: Any, seed: int) -> Iterator[tuple[str, Sequence[Tensor]]]:
    """Yield the name of each epoch or step, and the recordings of its batches."""
    order = torch.Generator().manual_seed(derive_seed(seed, "order"))
    if hasattr(training, "num_steps"):
        for step in range(training.num_steps):
            yield f"step {step}", [torch.randperm(num, generator=order)[: training.batch_size]]
        return
    for epoch in range(training.num_epochs):
        drawn = torch.randperm(num, generator=order)
        yield f"epoch {epoch}", torch.split(drawn, training.batch_size)


def _loss(logits: Tensor, target: Tensor, hierarchy_lambda: float, counts: Tensor | None) -> Tensor:
    """Return the mean loss over rows or votes; with counts, rarer classes weigh more."""
    if logits.ndim == 3:
        target = target.repeat_interleave(logits.shape[1])
        logits = logits.flatten(0, 1)
    weights = None
    if counts is not None:
        # The weight of an absent class is never used.
        weights = logits.new_zeros(logits.shape[1])
        weights[: len(counts)] = counts.max() / counts.clamp(min=1)
    return hierarchy_loss(
        logits, target, hierarchy_lambda=hierarchy_lambda, class_weights_K=weights
    ).mean()


@torch.inference_mode()
def network_logits(network: nn.Module, x: Floats) -> NDArray[np.float64]:
    """Return (N, K) logits of (N, ...) inputs, in evaluation mode."""
    logits: NDArray[np.float64] = network.eval()(_floats(x)).double().numpy()
    return logits


class NetworkLearner:
    """A network that learns classes from descriptions of recordings.

    Args:
        build: Builds the network for the shape of an input, with torch's global generator.
        training: Training settings.
        seed: Seed of the weights, the order of the recordings and dropout.
        votes: Whether each vote of a recording learns its class, or their sum. Needs a network
            with ``vote``.
        scales: What is standardised (mean 0, standard deviation 1 over the training recordings):
            each number, each number over all ``frames`` (the first axis), or nothing. A constant
            number becomes 0.

    Attributes:
        redraw: Returns the last inputs of each epoch or step, from 0, where some are drawn anew.
        told: Empty: a network has no facts of a fit.
    """

    def __init__(
        self,
        build: Callable[[tuple[int, ...]], nn.Module],
        training: Training,
        *,
        seed: int,
        votes: bool = False,
        scales: Literal["numbers", "frames", "nothing"] = "numbers",
    ) -> None:
        self.build, self.training, self.seed = build, training, seed
        self.votes, self.scales = votes, scales
        self.scaler = StandardScaler()
        self.told: dict[str, float] = {}
        self.redraw: Callable[[int], Sequence[Any]] | None = None

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str] = ()) -> Self:
        """Learn from recordings.

        Args:
            x: (N, ...) inputs, N at least 1.
            y: (N,) class, 0 to K-1.
            subjects: Not used.

        Raises:
            DivergedError: If the loss is not finite; names the epoch.
        """
        for _ in self.epochs(x, y):
            pass
        return self

    def epochs(self, x: Sequence[Any], y: NDArray[np.int64]) -> Iterator[str]:
        """Learn as :meth:`fit`; yield after each epoch or step, when it can predict."""
        inputs = np.stack(x)
        if self.scales != "nothing":
            self.scaler.fit(self._rows(inputs))
        self.network = draw_network(lambda: self.build(inputs.shape[1:]), self.seed)
        compute = cast(Any, self.network).vote if self.votes else None
        scaled: Inputs = self._scaled(inputs)
        if (redraw := self.redraw) is not None:
            scaled = lambda epoch: self._scaled(_redrawn(inputs, redraw(epoch)))  # noqa: E731
        yield from train_network(
            self.network, scaled, y, self.training, seed=self.seed, compute=compute
        )

    def logits(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) logits of (N, ...) inputs."""
        return network_logits(self.network, self._scaled(np.stack(x)))

    def predict_proba(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of (N, ...) inputs."""
        shares: NDArray[np.float64] = softmax(self.logits(x), axis=1)
        return shares

    def _rows(self, x: Floats) -> NDArray[np.float64]:
        """Return the inputs as (N, D), or with ``frames`` as (N F, D)."""
        num_rows = len(x) * (x.shape[1] if self.scales == "frames" else 1)
        return np.asarray(x, np.float64).reshape(num_rows, -1)

    def _scaled(self, x: Floats) -> Floats:
        if self.scales == "nothing":
            return x
        scaled: NDArray[np.float64] = self.scaler.transform(self._rows(x)).reshape(x.shape)
        return scaled


def _floats(x: Floats) -> Tensor:
    return torch.from_numpy(np.asarray(x, np.float32))


def _redrawn(x: Floats, drawn: Sequence[Floats]) -> Floats:
    """Return inputs whose last ones are drawn anew."""
    return np.concatenate([x[: len(x) - len(drawn)], np.stack(drawn)])
