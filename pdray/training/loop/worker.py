"""The training loop: folds, epochs, steps, evaluation.

:func:`fit` is a generator of epoch results. The same loop runs in a unit test, in a trial's own
process and with DDP. All random numbers are a function of seed, fold and epoch, so a fit that
resumes from the state of an epoch gives the same numbers as one without interruption.
"""

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from pdray.data.batches.plan import PlannedBatch, derive_seed, plan_batches
from pdray.data.batches.reader import Batch
from pdray.data.batches.snippet import snippet_shape
from pdray.data.batches.stream import open_stream
from pdray.data.cohort.rated import expected_counts, table_rows
from pdray.errors import DivergedError, SettingsError, StudyError
from pdray.evaluation.metrics import compute_metrics
from pdray.evaluation.predictions import by_recording, predictions_table, probabilities, targets
from pdray.models.layers.settings import NUM_REGIONS
from pdray.training.loop.optimiser import learning_rate_factor, make_optimizer
from pdray.training.loop.part import EpochPart, Notice, NoticeError, Scored, part_of
from pdray.training.loop.predicting import (
    make_reader,
    number_format,
    order_channels_last,
    score_batch,
)
from pdray.training.loop.step import Network, Objective, Precision, train_step
from pdray.training.network import build_network, joins_segments
from pdray.training.objective import TrainingLoss, training_loss
from pdray.training.settings import OptimConfig
from pdray.training.task import EpochResult, FitTask

_CPU = torch.device("cpu")


@dataclass(frozen=True)
class Place:
    """Rank of this worker, number of workers, and device."""

    rank: int = 0
    num_workers: int = 1
    device: torch.device = _CPU


def fit(
    task: FitTask,
    *,
    place: Place | None = None,
    resume: Mapping[str, Any] | None = None,
    blank: bool = False,
    notice: Notice | None = None,
) -> Generator[EpochResult]:
    """Train and evaluate every fold of a task, one after the other.

    Args:
        task: What to train.
        place: Rank and device; default: a single worker on the CPU.
        resume: ``state`` of the last valid result, after which training continues with the next
            epoch; or a state that a notice saved, inside an epoch.
        blank: Whether random pictures are read, which need no file; only times mean something.
        notice: Ends the fit after the batch during which it is given; several workers end
            together, after a training batch. Estimators, which have no batches, do not ask.

    Yields:
        One result per epoch, equally often on every worker.

    Raises:
        DivergedError: If a loss or a logit is not finite, on every worker at once; names fold and
            epoch.
        DecodeError: If a recording cannot be read; names it.
        StudyError: If ``resume`` is from a task with another number of folds and epochs.
        NoticeError: After a notice, when the state inside the epoch is saved.
    """
    place = place or Place()
    if task.config.entry.loop == "once":
        from pdray.training.estimators.fit import fit_estimator

        yield from fit_estimator(task, resume=resume)
        return
    if task.config.entry.loop == "translate":
        from pdray.training.loop.translate import fit_translator

        how: dict[str, Any] = {"resume": resume, "blank": blank, "notice": notice}
        yield from fit_translator(task, place, **how)
        return
    first = first_step(task, resume)
    worker = {"rank": place.rank, "num_workers": place.num_workers}
    plan = plan_batches(task.sides, task.schedule(first), **worker)
    config = task.config
    reader = make_reader(task.recordings, config, task.origin.seed, blank=blank)
    stored = all(recording.stored is not None for recording in task.recordings)
    kind = config.stream.chosen(num_workers=place.num_workers, stored=stored or blank)
    learner: _Learner | None = None
    part = part_of(resume, place.rank)
    left = plan[part.num_batches :]
    with open_stream(left, reader, config.stream, kind=kind, device=place.device) as stream:
        for (fold, epoch), planned in groupby(plan, key=lambda batch: (batch.fold, batch.epoch)):
            if learner is None or epoch == 0:
                learner = _Learner(task, fold, place)
                if resume is not None and (epoch > 0 or part.num_batches):
                    learner.load(resume)
            yield _run_epoch(learner, stream, list(planned), part, notice)
            part = EpochPart()


def first_step(task: FitTask, resume: Mapping[str, Any] | None) -> int:
    """Return the number of the first (fold, epoch) pair that is left.

    Raises:
        StudyError: If ``resume`` is from a task with another number of folds and epochs.
    """
    if resume is None:
        return 0
    if resume["num_steps"] != task.num_steps:
        raise StudyError(
            f"the checkpoint is from a fit with {resume['num_steps']} (fold, epoch) pairs, but "
            f"this fit has {task.num_steps}; start a new study with another search.name"
        )
    return int(resume["step"])


def _run_epoch(
    learner: "_Learner",
    stream: Iterator[Batch],
    planned: Sequence[PlannedBatch],
    part: EpochPart,
    notice: Notice | None,
) -> EpochResult:
    """Train on the training batches of an epoch, then evaluate on the others; add to the part."""
    epoch, num_training = planned[0].epoch, sum(batch.training for batch in planned)
    spent, waited = part.seconds
    started = time.perf_counter() - spent
    learner.begin_epoch(epoch, part, is_training=part.num_batches < num_training)
    for number in range(part.num_batches, len(planned)):
        asked = time.perf_counter()
        batch = next(stream)
        waited += time.perf_counter() - asked
        if number < num_training:
            part.losses.append(learner.learn(batch, number, num_training))
        else:
            part.scored.append(learner.evaluate(batch))
        if number == num_training - 1:
            learner.end_training()
        now = {"is_training": number < num_training, "is_last": number == len(planned) - 1}
        if notice and learner.must_end(notice, **now):
            part.seconds = time.perf_counter() - started, waited
            learner.keep(notice, epoch, part)
            done = f"{number + 1} of {len(planned)} batches are done"
            # From 1, as in the line that says where the trial goes on.
            raise NoticeError(f"fold {learner.fold + 1} epoch {epoch + 1}: {done}")
    metrics, predictions = learner.summarise(epoch, part)
    if learner.place.rank == 0:
        seconds = time.perf_counter() - started
        metrics["time/epoch_seconds"] = seconds
        metrics["time/stall_fraction"] = waited / seconds
    return EpochResult(learner.fold, epoch, metrics, predictions, learner.state(epoch))


class _Learner:
    """Model, optimiser and loss of one fold on one worker."""

    def __init__(self, task: FitTask, fold: int, place: Place) -> None:
        self.task, self.fold, self.place = task, fold, place
        self.seed = task.origin.seed
        self.precision = Precision(place.device, number_format(task.config.optim, place.device))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "weights", fold))
            model = build_network(task.config, task.num_classes)
        self.model: nn.Module = model.to(place.device)
        order_channels_last(self.model)
        self.trained = _trained(self.model, task.config.optim, place)
        self.optimizer, self.rates = make_optimizer(task.config.optim, self.model)
        self.objective = _objective(task, fold, place.device)
        self.region_target = _region_labels(task) if task.config.beside else None
        self.num_rows = 1 if joins_segments(task.config) else snippet_shape(task.config.snippet)[0]

    def begin_epoch(self, epoch: int, part: EpochPart, *, is_training: bool) -> None:
        # Dropout takes no generator, so seed the worker's global one, once per epoch.
        torch.manual_seed(derive_seed(self.seed, "dropout", self.fold, epoch, self.place.rank))
        part.restore_random(self.place.device)
        self.model.train(is_training)

    def learn(self, batch: Batch, number: int, num_batches: int) -> Tensor:
        """Take one optimiser step; return the sum of this worker's losses."""
        planned, config = batch.planned, self.task.config
        draws = torch.Generator().manual_seed(
            derive_seed(self.seed, "augment", self.fold, planned.epoch, number, self.place.rank)
        )
        factor = learning_rate_factor(config.optim, planned.epoch + (number + 0.5) / num_batches)
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        network: Network = self.trained
        if joins_segments(config):
            network = partial(self.trained, num_segments=batch.frames.shape[1])
        try:
            loss = train_step(
                network,
                self._with_votes(self._with_regions(batch)),
                objective=_same_fate(self.objective.loss, self.place),
                precision=self.precision,
                # DDP averages gradients over workers; the loss is a mean over the global batch.
                scale=self.place.num_workers / (planned.global_size * self.num_rows),
                augment=(config.augment, draws),
            )
        except DivergedError as error:
            mine = [self.task.recordings[index].recording_id for index in planned.recordings]
            ids = ", ".join(sorted(of_all(mine, self.place)))
            where = f"fold {self.fold}, epoch {planned.epoch}"
            raise DivergedError(
                f"{where}: {error}, in the batch of recordings {ids}; lower optim.learning_rate or "
                "check these recordings"
            ) from error
        except torch._dynamo.exc.BackendCompilerFailed as error:
            reason = str(error.inner_exception).partition("\n")[0]
            raise SettingsError(
                f"optim.compiled: got true, but torch.compile fails here: {reason}; set it to "
                "false, or install a C++ compiler"
            ) from error
        if config.optim.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), config.optim.gradient_clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss

    def _with_regions(self, batch: Batch) -> Batch:
        """Add the targets of the regions, if the model learns them."""
        if self.region_target is None:
            return batch
        return replace(batch, region_target=self.region_target[list(batch.planned.recordings)])

    def _with_votes(self, batch: Batch) -> Batch:
        """Replace the consensus classes by the shares of the raters, if the loss uses them."""
        if not self.task.config.loss.soft_targets:
            return batch
        shares = [_shares(self.task, index) for index in batch.planned.recordings]
        return replace(batch, target=torch.tensor(shares, dtype=torch.float32))

    def end_training(self) -> None:
        self.model.eval()
        # Here and not in evaluate, because every worker must take part.
        for buffer in self.model.buffers() if self.place.num_workers > 1 else ():
            dist.broadcast(buffer, src=0)

    def evaluate(self, batch: Batch) -> Scored:
        how = self.task.config, self.objective, self.precision, self.task.num_classes
        outputs, loss = score_batch(self.model, self._with_regions(batch), *how)
        return batch.planned.recordings, outputs, loss

    def must_end(self, notice: Notice, *, is_training: bool, is_last: bool) -> bool:
        """Return, on every worker at once, whether a notice was given to one of them."""
        if self.place.num_workers == 1:
            return not is_last and notice.is_given()
        # Workers evaluate different numbers of batches, or none: they cannot ask each other then.
        return is_training and anywhere(notice.is_given(), self.place)

    def keep(self, notice: Notice, epoch: int, part: EpochPart) -> None:
        """Save the weights, and the parts of all workers, inside an epoch."""
        parts = gather(part.state(self.place.device), self.place)
        if self.place.rank == 0:
            notice.keep({**self.state(epoch - 1), "parts": parts})

    def summarise(
        self, epoch: int, part: EpochPart
    ) -> tuple[dict[str, float], pd.DataFrame | None]:
        """Join the results of all workers on rank 0; other ranks get nothing."""
        total = torch.stack(part.losses).sum()
        rows = [
            (index, logits.numpy(), loss.numpy())
            for recordings, batch_logits, batch_loss in part.scored
            for index, logits, loss in zip(recordings, batch_logits, batch_loss, strict=True)
        ]
        if anywhere(not all(np.isfinite(logits).all() for _, logits, _ in rows), self.place):
            raise DivergedError(
                f"fold {self.fold}, epoch {epoch}: the logits are not finite; lower "
                "optim.learning_rate"
            )
        shares = gather((total.item(), rows), self.place)
        if self.place.rank != 0:
            return {}, None
        num_trained = len(self.task.sides[self.fold].training) * self.num_rows
        metrics = {"train/loss": sum(share[0] for share in shares) / num_trained}
        metrics["train/learning_rate"] = float(self.optimizer.param_groups[0]["lr"])
        every = sorted((row for share in shares for row in share[1]), key=lambda row: row[0])
        if not every:
            return metrics, None
        table = self._table(epoch, every)
        split = self.task.origin.split
        metrics[f"{split}/loss"] = float(np.mean([loss for _, _, loss in every]))
        pooled = by_recording(table)
        scores = compute_metrics(targets(pooled), probabilities(pooled))
        metrics.update({f"{split}/{name}": value for name, value in scores.items()})
        return metrics, table

    def _table(self, epoch: int, rows: list[tuple[int, Any, Any]]) -> pd.DataFrame:
        recordings = [self.task.recordings[index] for index, _, _ in rows]
        facts = table_rows(recordings, num_snippets=len(rows[0][1]))
        fold = self.fold if len(self.task.sides) > 1 else self.task.origin.fold
        origin = replace(self.task.origin, fold=fold, epoch=epoch)
        return predictions_table(origin, facts, np.concatenate([logits for _, logits, _ in rows]))

    def state(self, epoch: int) -> dict[str, Any]:
        step, model = self.fold * self.task.epochs + epoch + 1, self.model.state_dict()
        if epoch + 1 < self.task.epochs:  # a restart builds the frozen tensors again
            frozen: frozenset[str] = getattr(self.model, "frozen_names", frozenset)()
            model = {name: value for name, value in model.items() if name not in frozen}
        return {
            "step": step,
            "num_steps": self.task.num_steps,
            "model": model,
            "optimizer": self.optimizer.state_dict(),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(self.model.state_dict() | state["model"])
        self.optimizer.load_state_dict(state["optimizer"])


def _objective(task: FitTask, fold: int, device: torch.device) -> TrainingLoss:
    training = [i for i in task.sides[fold].training if not task.recordings[i].carries]
    if task.config.loss.soft_targets:
        counts = expected_counts([np.asarray(_shares(task, index)) for index in training])
    else:
        classes = torch.tensor([task.recordings[index].target for index in training])
        counts = torch.bincount(classes, minlength=task.num_classes).tolist()
    num_regions = NUM_REGIONS if task.config.beside else 0
    return training_loss(task.config.loss, counts, device, num_regions=num_regions)


def _region_labels(task: FitTask) -> Tensor:
    from pdray.training.region_network import region_labels

    return region_labels(task)


def _shares(task: FitTask, index: int) -> tuple[float, ...]:
    recording = task.recordings[index]
    if recording.shares is not None:
        return recording.shares
    return tuple(float(recording.target == k) for k in range(task.num_classes))


def _same_fate(objective: Objective, place: Place) -> Objective:
    """Make the loss NaN on all workers if it is not finite on one, before gradients are joined.

    Otherwise this worker would leave the step and the others would wait for it for ever.
    """
    if place.num_workers == 1:
        return objective

    def joined(logits: Tensor, target: Tensor) -> Tensor:
        loss = objective(logits, target)
        broken = (~torch.isfinite(loss)).any().to(loss.dtype)
        dist.all_reduce(broken, op=dist.ReduceOp.MAX)
        return torch.where(broken > 0, torch.nan, loss)

    return joined


def _trained(model: nn.Module, config: OptimConfig, place: Place) -> Callable[..., Tensor]:
    """Return the callable of a training step; it shares the model's parameters."""
    network = DistributedDataParallel(model) if place.num_workers > 1 else model
    return torch.compile(network) if config.compiled else network


def anywhere(broken: bool, place: Place) -> bool:
    """Return on every worker whether ``broken`` is true on any of them."""
    flag = torch.tensor(float(broken), device=place.device)
    if place.num_workers > 1:
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
    return bool(flag)


def of_all(mine: list[str], place: Place) -> list[str]:
    """Return on every worker the items of all workers."""
    if place.num_workers == 1:
        return mine
    shares: list[list[str]] = [[]] * place.num_workers
    dist.all_gather_object(shares, mine)
    return [one for share in shares for one in share]


def gather(share: Any, place: Place) -> list[Any]:
    """Collect the shares of all workers on rank 0, by rank; other ranks get an empty list."""
    if place.num_workers == 1:
        return [share]
    shares: list[Any] | None = [None] * place.num_workers if place.rank == 0 else None
    dist.gather_object(share, shares, dst=0)
    return shares or []
