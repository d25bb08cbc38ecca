"""The part of an epoch that is done, and the notice on which a fit saves it and ends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

Scored = tuple[Sequence[int], Tensor, Tensor]
"""Positions of B recordings, their (B, S, K) outputs and their (B, S) losses."""


class NoticeError(Exception):
    """Ends a fit whose process has notice that it will end; what it did of its epoch is saved."""


@dataclass(frozen=True)
class Notice:
    """How a fit learns that its process will end soon, and where it saves what it did.

    Attributes:
        is_given: Returns whether the process will end soon; called after each batch.
        keep: Saves a state from which the fit resumes inside the epoch; called on rank 0.
    """

    is_given: Callable[[], bool]
    keep: Callable[[Mapping[str, Any]], None]


@dataclass
class EpochPart:
    """What one worker has done of an epoch.

    Attributes:
        losses: () float64 sum of the losses of each training batch.
        scored: Results of each evaluation batch.
        seconds: Time spent, and the part of it spent waiting for data [s].
        random: States of the random numbers of the CPU and, if it is used, of the GPU; they are
            set when the part is continued. Empty at the start of an epoch.
    """

    losses: list[Tensor] = field(default_factory=list)
    scored: list[Scored] = field(default_factory=list)
    seconds: tuple[float, float] = (0.0, 0.0)
    random: list[Tensor] = field(default_factory=list)

    @property
    def num_batches(self) -> int:
        """Number of batches that are done."""
        return len(self.losses) + len(self.scored)

    def state(self, device: torch.device) -> dict[str, Any]:
        """Return the part with the present random numbers, as plain values and tensors."""
        random = [torch.get_rng_state()]
        if device.type == "cuda":
            random.append(torch.cuda.get_rng_state(device))
        return vars(self) | {"random": random}

    def restore_random(self, device: torch.device) -> None:
        """Set the random numbers to those after the last batch; do nothing without one."""
        if not self.random:
            return
        torch.set_rng_state(self.random[0])
        if device.type == "cuda":
            torch.cuda.set_rng_state(self.random[1], device)


def part_of(resume: Mapping[str, Any] | None, rank: int) -> EpochPart:
    """Return a worker's part of the epoch in which a fit resumes; empty at the epoch's start."""
    return EpochPart(**resume["parts"][rank]) if resume and "parts" in resume else EpochPart()
