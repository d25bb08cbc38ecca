"""Finds where a trial goes on: at its checkpoint, or before what is damaged of its files."""

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pdray.atomic import replacing
from pdray.tracking.run_log import TrialLog
from pdray.training.task import FitTask

OWNER = "owner"


@dataclass(frozen=True)
class Start:
    """Where a trial goes on.

    Attributes:
        state: State after the last epoch that is kept; None: the trial begins.
        note: What is damaged and from where the trial goes on; empty: nothing is.
    """

    state: Mapping[str, Any] | None
    note: str = ""


def save_checkpoint(path: Path, state: Mapping[str, Any], owner: str) -> None:
    """Write the state of a trial after an epoch, whole or not at all.

    Args:
        path: ``checkpoint.pt`` of the trial.
        state: State of the fit.
        owner: From :func:`owner_of`.
    """
    with replacing(path) as temporary:
        torch.save({**state, OWNER: owner}, temporary)


def owner_of(role: str, fold: int | None, task: FitTask, params: Mapping[str, Any]) -> str:
    """Return whose checkpoint it is: another trial's would change scores without a word."""
    return json.dumps([role, task.origin.trial, fold, task.origin.seed, params], default=str)


def find_start(path: Path, log: TrialLog, task: FitTask, *, owner: str, first: int = 0) -> Start:
    """Return where a trial goes on.

    Where the checkpoint, a line of the log or a table of predictions is damaged, it is the start of
    the first fold that is not whole, which needs no state of the network.

    Args:
        path: ``checkpoint.pt`` of the trial; it may be missing.
        log: Its log.
        task: What it trains.
        owner: From :func:`owner_of`.
        first: The first step of the fit.
    """
    whole, cut = _whole_steps(log, task, first)
    damage = cut
    if path.exists():
        state, damage = read_state(path, owner, ("step", "num_steps", "model", "optimizer"))
        if not damage and state["step"] <= whole:
            return Start(state)
        damage = damage or cut or f"{log.files[0]} lacks epochs before {path.name}"
    elif whole > first + 1:  # a kill leaves at most one epoch without a checkpoint
        damage = cut or f"{path} is missing"
    last_fold = (task.num_steps - 1) // task.epochs
    step = max(first, min(whole // task.epochs, last_fold) * task.epochs)
    begin = {"step": step, "num_steps": task.num_steps} if step else None
    if not damage:
        return Start(begin if first else None)
    fold = step // task.epochs + 1
    where = f"goes on from the start of fold {fold}" if step > first else "starts again"
    return Start(begin, f"{damage}; the trial {where}, with the same results")


def read_state(path: Path, owner: str, keys: Sequence[str]) -> tuple[Mapping[str, Any], str]:
    """Read the state of a trial.

    Args:
        path: From :func:`save_checkpoint`.
        owner: From :func:`owner_of`; files of earlier versions have none.
        keys: What a state must have.

    Returns:
        The state, and what is wrong with the file; empty: nothing is.

    Raises:
        OSError: If the disk cannot be read; it may work when the trial is tried again.
    """
    try:
        with zipfile.ZipFile(path) as archive:  # torch does not compare the checksums
            name = archive.testzip()
        state = torch.load(path, weights_only=True, map_location="cpu")
        whose = state.pop(OWNER, owner)
        lacking = [key for key in keys if key not in state]
        is_counted = isinstance(state.get("step"), int)
    except OSError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged or hostile bytes may raise anything
        return {}, f"{path} cannot be used: {str(error).partition(chr(10))[0]}"
    if name is not None or lacking or not is_counted:
        return {}, f"{path} is damaged at {name or ', '.join(lacking) or 'step'}"
    if whose != owner:
        return {}, f"{path} is the checkpoint of another trial"
    return state, ""


def _whole_steps(log: TrialLog, task: FitTask, first: int) -> tuple[int, str]:
    """Return up to which step the log is whole, and what is damaged behind it."""
    records, damage = log.whole_epochs()
    for step, record in enumerate(records, start=first):
        if record.step != step:
            return step, f"{log.files[0]} lacks step {step}"
        is_last = record.epoch == task.epochs - 1
        is_scored = task.evaluate == "every_epoch" or (task.evaluate == "last_epoch" and is_last)
        if is_scored and not log.has_table(record):
            return step, f"{log.folder / 'predictions'} lacks those of step {step}"
    return first + len(records), damage
