"""Ridge regression on class indicators, whose fit is a matrix that no label enters.

Facts are standardised by the training side. Predictions of the held-out side are the hat matrix
times the indicators of the training classes (Hoerl and Kennard 1970), so thousands of exchanges of
labels are fitted at once. The penalty counts as much as one recording.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Places = NDArray[np.int64]

_PENALTY = 1.0
_LEAST = 1e-3  # share of a class, below which it is not predicted


class Block(NamedTuple):
    """Facts of one kind.

    Attributes:
        name: Kind, such as "site".
        values: (N, F) numbers; NaN is absent.
        is_scaled: Whether each of the F is brought to a variance of 1; else all of them together,
            as neighbouring pixels are.
    """

    name: str
    values: Doubles
    is_scaled: bool = True


class Side(NamedTuple):
    """A split as positions of recordings."""

    training: Places
    held: Places


class Hat(NamedTuple):
    """The fit of one split, as two factors of its hat matrix.

    Attributes:
        left: (held, F) or (held, training).
        right: (F, training); None is the identity.
    """

    left: Doubles
    right: Doubles | None = None

    def predict(self, deviations: Doubles) -> Doubles:
        """Return (..., held, K) predicted of (..., training, K) deviations from their mean."""
        inner = deviations if self.right is None else self.right @ deviations
        found: Doubles = self.left @ inner
        return found


def hat_of(blocks: Sequence[Block], side: Side) -> Hat:
    """Fit everything but the labels.

    Args:
        blocks: Facts; each block has the same weight.
        side: Which recordings are fitted and which are predicted.
    """
    scaled = np.concatenate([_scaled(block, side) for block in blocks], axis=1)
    scaled /= np.sqrt(len(blocks))
    learnt, held = scaled[: len(side.training)], scaled[len(side.training) :]
    if learnt.shape[1] < len(learnt):
        inner = learnt.T @ learnt + _PENALTY * np.eye(learnt.shape[1])
        return Hat(np.linalg.solve(inner, held.T).T, learnt.T)
    inner = learnt @ learnt.T + _PENALTY * np.eye(len(learnt))
    return Hat(np.linalg.solve(inner, learnt @ held.T).T)


def _scaled(block: Block, side: Side) -> Doubles:
    """Return (training + held, F) standardised facts, whose squares sum to 1 on average."""
    values = block.values[np.concatenate([side.training, side.held])]
    learnt = values[: len(side.training)]
    there = np.isfinite(values)
    counts = there[: len(learnt)].sum(axis=0).clip(1)
    mean = np.where(there[: len(learnt)], learnt, 0).sum(axis=0) / counts
    centred = np.where(there, values - mean, 0.0)
    variance = (centred[: len(learnt)] ** 2).sum(axis=0) / counts
    if not block.is_scaled:
        variance[:] = variance.mean()
    used = variance > 1e-12
    if not used.any():
        return np.zeros((len(values), 1))
    scaled: Doubles = (centred[:, used] / np.sqrt(variance[used])).clip(-5, 5)
    scaled /= np.sqrt(used.sum())
    return scaled


def indicators(classes: Places, num_classes: int) -> Doubles:
    """Return (..., K) class indicators of (...) classes."""
    return np.eye(num_classes)[classes]


def skill(hats: Sequence[Hat], sides: Sequence[Side], labels: Doubles) -> Doubles:
    """Return how well held-out classes agree with their predictions, -1..1, 0 for chance.

    Args:
        hats: Fit of each side.
        sides: The splits.
        labels: (R, N, K) class indicators of R assignments of labels.

    Returns:
        (R,) cosine between indicators and predictions, both less the training mean, over all
        held-out recordings and classes.
    """
    product, true, found = (np.zeros(len(labels)) for _ in range(3))
    for hat, side in zip(hats, sides, strict=True):
        learnt = labels[:, side.training]
        mean = learnt.mean(axis=1, keepdims=True)
        predicted = hat.predict(learnt - mean)
        wanted = labels[:, side.held] - mean
        product += (predicted * wanted).sum(axis=(1, 2))
        true += (wanted**2).sum(axis=(1, 2))
        found += (predicted**2).sum(axis=(1, 2))
    return np.where(found > 1e-18, product / np.sqrt(np.maximum(true * found, 1e-18)), 0.0)


def class_shares(hat: Hat, learnt: Doubles) -> Doubles:
    """Return (held, K) probabilities in which each class weighs as much as any other.

    Args:
        hat: From :func:`hat_of`.
        learnt: (training, K) class indicators.
    """
    prior = learnt.mean(axis=0)
    raw = (prior + hat.predict(learnt - prior)).clip(1e-6, None)
    weighted = raw / prior.clip(_LEAST)
    weighted[:, prior < _LEAST] = 0.0
    shares: Doubles = weighted / weighted.sum(axis=1, keepdims=True)
    return shares
