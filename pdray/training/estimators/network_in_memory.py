"""Training a small network on recordings that all lie in memory, as the baselines of YouTubePD are.

Adam and the hierarchy-guided loss (YouTubePD, Eq. 2, section C.2); nothing is augmented and nothing
stopped early: the paper says of neither. The last batch of an epoch may be smaller.
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
Network = TypeVar("Network", bound=nn.Module)


class Training(Protocol):
    """Settings of a training: those of a model, which also has ``num_epochs`` or ``num_steps``.

    With ``num_epochs`` every recording is taken once per epoch. With ``num_steps`` each step draws
    recordings anew, each at most once, and the grade's part of the loss weighs a recording by how
    often its class is outnumbered by the commonest one: so the public code of YouTubePD does on
    landmarks.

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


def draw_network(build: Callable[[], Network], seed: int) -> Network:
    """Build a network whose weights depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "weights"))
        return build()


def train_network(
    network: nn.Module,
    x: Floats,
    y: NDArray[np.int64],
    training: Training,
    *,
    seed: int,
    compute: Compute | None = None,
) -> None:
    """Train a network in place.

    Args:
        network: Of logits (B, K), of inputs (B, ...) float32.
        x: (N, ...) inputs.
        y: (N,) class, 0 to K-1.
        training: How.
        seed: Of the order of the recordings and of dropout.
        compute: What is trained of it: logits (B, K), or (B, V, K) of V votes of a recording, each
            of which then learns the recording's class; None is the network.

    Raises:
        DivergedError: If the loss is not finite; names the epoch, or the step.
    """
    judge = network if compute is None else compute
    inputs, target = _floats(x), torch.from_numpy(np.asarray(y, np.int64))
    counts = target.bincount() if hasattr(training, "num_steps") else None
    # Fused is three times as fast for so few weights.
    optimizer = torch.optim.Adam(network.parameters(), lr=training.learning_rate, fused=True)
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "dropout"))
        for name, batch in _batches(len(target), training, seed):
            logits = judge(inputs[batch])
            loss = _loss(logits, target[batch], training.hierarchy_lambda, counts)
            if not bool(torch.isfinite(loss)):
                raise DivergedError(f"{name}: the training loss became {loss.item()}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()


def _batches(num: int, training: Any, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Yield the name and the recordings of each step."""
    order = torch.Generator().manual_seed(derive_seed(seed, "order"))
    if hasattr(training, "num_steps"):
        for step in range(training.num_steps):
            yield f"step {step}", torch.randperm(num, generator=order)[: training.batch_size]
        return
    for epoch in range(training.num_epochs):
        drawn = torch.randperm(num, generator=order)
        yield from ((f"epoch {epoch}", one) for one in torch.split(drawn, training.batch_size))


def _loss(logits: Tensor, target: Tensor, hierarchy_lambda: float, counts: Tensor | None) -> Tensor:
    """Return the mean over rows, or over votes; with counts the rarer classes weigh more."""
    if logits.ndim == 3:
        target = target.repeat_interleave(logits.shape[1])
        logits = logits.flatten(0, 1)
    weights = None
    if counts is not None:
        # A class that nobody has is no one's target: its weight is read by nobody.
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
    """A network that learns classes from described recordings.

    Args:
        build: Makes the network for the shape of an input, from the ambient torch generator.
        training: How it is trained.
        seed: Of the weights, of the order of the recordings and of dropout.
        votes: Whether each of a recording's votes learns its class; else their sum does. Needs a
            network with ``vote``.
        scales: What is brought to mean 0 and standard deviation 1 among the recordings learnt
            from: each number, or those of ``frames``, the first axis, which share one scale; or
            nothing. A number that is the same in all of them becomes 0.
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

    def fit(self, x: Sequence[Any], y: NDArray[np.int64], subjects: Sequence[str] = ()) -> Self:
        """Learn from recordings.

        Args:
            x: (N, ...) inputs, N at least 1.
            y: (N,) class, 0 to K-1.
            subjects: Whose they are changes nothing.

        Raises:
            DivergedError: If the loss is not finite; names the epoch.
        """
        inputs = np.stack(x)
        if self.scales != "nothing":
            self.scaler.fit(self._rows(inputs))
        self.network = draw_network(lambda: self.build(inputs.shape[1:]), self.seed)
        compute = cast(Any, self.network).vote if self.votes else None
        scaled = self._scaled(inputs)
        train_network(self.network, scaled, y, self.training, seed=self.seed, compute=compute)
        return self

    def logits(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) logits of (N, ...) inputs."""
        return network_logits(self.network, self._scaled(np.stack(x)))

    def predict_proba(self, x: Sequence[Any]) -> NDArray[np.float64]:
        """Return (N, K) probabilities of (N, ...) inputs."""
        shares: NDArray[np.float64] = softmax(self.logits(x), axis=1)
        return shares

    def _rows(self, x: Floats) -> NDArray[np.float64]:
        """Return (N, D), or (N F, D) of frames."""
        num_rows = len(x) * (x.shape[1] if self.scales == "frames" else 1)
        return np.asarray(x, np.float64).reshape(num_rows, -1)

    def _scaled(self, x: Floats) -> Floats:
        if self.scales == "nothing":
            return x
        scaled: NDArray[np.float64] = self.scaler.transform(self._rows(x)).reshape(x.shape)
        return scaled


def _floats(x: Floats) -> Tensor:
    return torch.from_numpy(np.asarray(x, np.float32))
