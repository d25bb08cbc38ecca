"""Fits a translator: folds, epochs, steps, and pictures of held-out people at the end.

Results have the form of :func:`pdray.training.loop.worker.fit`, so that trials, logs and searches
need not distinguish the two. Their table is that of :mod:`pdray.evaluation.translations`, since a
translator predicts no class. All random numbers are a function of seed, fold, epoch and step, so a
fit that resumes gives the same numbers as one without interruption.
"""

import math
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pkgutil import resolve_name
from typing import Any

import torch
from torch import Tensor
from torch import distributed as dist

from pdray.data.batches.frames import BlankFrames, FrameReader
from pdray.data.batches.pairs import Drawn, EpochPairs
from pdray.data.batches.plan import derive_seed
from pdray.errors import DivergedError, FoldsError, StudyError
from pdray.training.loop.part import Notice, NoticeError
from pdray.training.loop.predicting import number_format
from pdray.training.loop.step import Precision
from pdray.training.loop.worker import Place, anywhere, first_step, gather
from pdray.training.task import EpochResult, FitTask
from pdray.training.translators.guide import Guide, open_guide
from pdray.training.translators.held_out import HeldOut, translate_held_out
from pdray.training.translators.method import Method
from pdray.training.translators.pictures import as_floats, mean_distance

Batch = tuple[Tensor, Tensor, Tensor]
"""Source pictures, target pictures, and the classes of these."""

COLLAPSED = 0.1
"""Spread of translated pictures, as a share of that of real ones, below which all are alike."""
FEWEST_STEPS = 200
"""Steps before which a translator whose pictures are all alike goes on: many begin so."""
SHOWN = 8
"""Pictures of each side by which the spread is measured."""


def fit_translator(
    task: FitTask,
    place: Place,
    *,
    resume: Mapping[str, Any] | None = None,
    blank: bool = False,
    notice: Notice | None = None,
) -> Generator[EpochResult]:
    """Fit a translator on every fold of a task, one after the other.

    Args:
        task: What to fit. Pictures of class 0 are translated; those of other classes show what they
            are to look like. Made recordings take no part.
        place: Rank and device.
        resume: ``state`` of the last valid result, or one that a notice saved inside an epoch.
        blank: Whether random pictures are read, which need no file; only times mean something.
        notice: Ends the fit after the step during which it is given; several workers end together.

    Yields:
        One result per epoch, equally often on every worker. The model of its state has the weights
        of all networks of the method.

    Raises:
        DivergedError: If a loss is not finite, or the translated pictures are all alike, on every
            worker at once; names fold and epoch.
        FoldsError: If a fold has no recording of class 0 to learn from, or none of another class.
        StoreError: If a recording has no pictures in the frame store; names it.
        StudyError: If ``resume`` is from another task, or each model of the guide's study learnt
            from somebody whom a fold holds out.
        NoticeError: After a notice, when the state inside the epoch is saved.
    """
    config, first = task.config, first_step(task, resume)
    shape = (*config.picture_size, 3)
    reader = BlankFrames(shape) if blank else FrameReader(task.recordings, config.modality)
    part = _Part(**resume["parts"][place.rank]) if resume and "parts" in resume else _Part()
    learner: _Learner | None = None
    for step in range(first, task.num_steps):
        fold, epoch = divmod(step, task.epochs)
        if learner is None or epoch == 0:
            learner = _Learner(task, fold, place, reader)
            if resume is not None and (epoch > 0 or part.num_steps):
                learner.load(resume)
        yield _run_epoch(learner, epoch, part, notice)
        part = _Part()


@dataclass
class _Part:
    """What one worker has done of an epoch.

    Attributes:
        sums: Sum of each loss over the steps, the same on every worker.
        num_steps: Steps that are done.
        seconds: Time spent, and the part of it spent reading pictures [s].
        random: States of the random numbers of the CPU and, if it is used, of the GPU. Each step
            seeds them anew; their number tells on which devices the fit ran.
    """

    sums: dict[str, float] = field(default_factory=dict)
    num_steps: int = 0
    seconds: tuple[float, float] = (0.0, 0.0)
    random: list[Tensor] = field(default_factory=list)


def _run_epoch(learner: "_Learner", epoch: int, part: _Part, notice: Notice | None) -> EpochResult:
    """Take the steps of an epoch that are left; translate held-out pictures, if they are asked."""
    spent, waited = part.seconds
    started = time.perf_counter() - spent
    pairs = learner.pairs(epoch)
    learner.method.begin_epoch(epoch, learner.task.config.optim.epochs)
    for number in range(part.num_steps, pairs.num_steps):
        asked = time.perf_counter()
        batch = learner.read(pairs, number)
        waited += time.perf_counter() - asked
        losses = learner.learn(batch, epoch, number)
        part.sums = {name: part.sums.get(name, 0.0) + one for name, one in losses.items()}
        part.num_steps = number + 1
        if notice and anywhere(notice.is_given(), learner.place):
            part.seconds = time.perf_counter() - started, waited
            learner.keep(notice, epoch, part)
            done = f"{number + 1} of {pairs.num_steps} steps are done"
            # From 1, as in the line that says where the trial goes on.
            raise NoticeError(f"fold {learner.fold + 1} epoch {epoch + 1}: {done}")
    spread = learner.spread(pairs, epoch)
    state, found = learner.state(epoch), learner.held_out(epoch)
    shares = gather(found, learner.place)
    if learner.place.rank != 0:
        return EpochResult(learner.fold, epoch, {}, None, state)
    metrics = {f"train/{name}": total / pairs.num_steps for name, total in part.sums.items()}
    metrics["train/spread"] = spread
    scores, table = learner.summarise(epoch, [one for one in shares if one is not None])
    seconds = time.perf_counter() - started
    metrics |= {**scores, "time/epoch_seconds": seconds, "time/stall_fraction": waited / seconds}
    return EpochResult(learner.fold, epoch, metrics, table, state)


class _Learner:
    """Translator of one fold on one worker."""

    def __init__(self, task: FitTask, fold: int, place: Place, reader: FrameReader) -> None:
        self.task, self.fold, self.place, self.reader = task, fold, place, reader
        self.seed = task.origin.seed
        self.sources, self.targets = _sides(task, fold)
        self.precision = Precision(place.device, number_format(task.config.optim, place.device))
        self.guide = _guide(task, fold, place)
        entry = task.config.entry
        guide = {"guide": self.guide} if entry.is_guided else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derive_seed(self.seed, "weights", fold))
            build = resolve_name(entry.learner)
            self.method: Method = build(task.config, task.num_classes, **guide)
        self.method.networks.to(place.device)
        self.alike_steps = 0
        if place.num_workers > 1:
            self._join()

    def _join(self) -> None:
        """Give all workers the weights of rank 0; average gradients and losses before each move."""
        for values in self.method.networks.state_dict().values():
            dist.broadcast(values, src=0)

        def average(tensors: Sequence[Tensor]) -> None:
            flat = torch.cat([one.reshape(-1) for one in tensors])
            dist.all_reduce(flat)
            flat /= self.place.num_workers
            parts = torch.split(flat, [one.numel() for one in tensors])
            for one, part in zip(tensors, parts, strict=True):
                one.copy_(part.view(one.shape))

        self.method.average = average

    def pairs(self, epoch: int) -> EpochPairs:
        """Return the pictures of each step of an epoch."""
        return EpochPairs(
            self.sources,
            self.targets,
            frames=self.task.config.synthesis.frames,
            batch_size=self.task.config.optim.batch_size,
            key=(self.seed, self.fold, epoch),
        )

    def read(self, pairs: EpochPairs, number: int) -> Batch:
        """Return this worker's source and target pictures of a step, and the targets' classes."""
        drawn = pairs.step(number, rank=self.place.rank, num_workers=self.place.num_workers)
        return (self._read(drawn.source), *self._with_classes(drawn.target))

    def learn(
        self, batch: tuple[Tensor, Tensor, Tensor], epoch: int, number: int
    ) -> dict[str, float]:
        """Take one step; return its losses by name, the means over all workers."""
        key = (self.fold, epoch, number, self.place.rank)
        # Dropout takes no generator, so seed the worker's global one.
        torch.manual_seed(derive_seed(self.seed, "dropout", *key))
        generator = torch.Generator().manual_seed(derive_seed(self.seed, "step", *key))
        try:
            with self.precision.autocast():
                losses = self.method.step(*batch, generator)
        except DivergedError as error:  # on every worker at once
            raise DivergedError(
                f"fold {self.fold}, epoch {epoch}: {error}; lower model.learning_rate"
            ) from error
        return losses

    def spread(self, pairs: EpochPairs, epoch: int) -> float:
        """Return how much translated pictures differ, as a share of how much real ones do.

        It is the mean distance of their pairs; of the real ones, the smaller of both sides counts.
        nan where there is a single picture, or real ones are all alike.

        Raises:
            DivergedError: If the translated pictures were alike for a whole epoch.
        """
        some = pairs.some(SHOWN)
        if len(some.source) < 2:
            return math.nan
        source, (target, classes) = self._read(some.source), self._with_classes(some.target)
        with self.precision.autocast():
            made = self.method.translate(source, classes, torch.ones_like(classes).float())
        real = min(mean_distance(source), mean_distance(target))
        spread = mean_distance(made) / real if real > 0 else math.nan
        self.alike_steps = self.alike_steps + pairs.num_steps if spread < COLLAPSED else 0
        if anywhere(self.alike_steps > max(pairs.num_steps, FEWEST_STEPS - 1), self.place):
            raise DivergedError(
                f"fold {self.fold}, epoch {epoch}: collapsed: for {self.alike_steps} steps "
                f"translated pictures have differed less than {COLLAPSED:g} times as much as real "
                f"ones (now {spread:.2g}); lower model.learning_rate, or use another seed"
            )
        return spread

    def held_out(self, epoch: int) -> HeldOut | None:
        """Return what this worker finds on held-out pictures; None if they are not asked now."""
        is_last, asked = epoch == self.task.epochs - 1, self.task.evaluate
        if asked == "never" or (asked == "last_epoch" and not is_last):
            return None
        mine = self.task.sides[self.fold].evaluation[self.place.rank :: self.place.num_workers]
        how = self.method, self.guide, self.precision
        return translate_held_out(self.task, mine, self.reader, *how)

    def summarise(self, epoch: int, parts: Sequence[HeldOut]) -> tuple[dict[str, float], Any]:
        """Return scores and table of held-out pictures; nothing and None if there are none."""
        if not parts:
            return {}, None
        whole = HeldOut()
        for part in parts:
            whole.add(part)
        origin = self.task.origin
        fold = self.fold if len(self.task.sides) > 1 else origin.fold
        table = whole.table(
            replace(origin, fold=fold, epoch=epoch),
            has_guide=self.guide is not None,
            num_classes=self.task.num_classes,
        )
        scores = {} if self.guide is None else whole.distances()
        return {f"{origin.split}/{name}": value for name, value in scores.items()}, table

    def keep(self, notice: Notice, epoch: int, part: _Part) -> None:
        """Save the weights, and the parts of all workers, inside an epoch."""
        part.random = [torch.get_rng_state()]
        if self.place.device.type == "cuda":
            part.random.append(torch.cuda.get_rng_state(self.place.device))
        state, parts = self.state(epoch - 1), gather(vars(part), self.place)
        if self.place.rank == 0:
            notice.keep({**state, "parts": parts})

    def state(self, epoch: int) -> dict[str, Any]:
        """Return the state after an epoch; on rank 0 with the state of every worker's method."""
        optimizers = self.method.optimizers
        return {
            "step": self.fold * self.task.epochs + epoch + 1,
            "num_steps": self.task.num_steps,
            "model": self.method.networks.state_dict(),
            "optimizer": {name: one.state_dict() for name, one in optimizers.items()},
            "methods": gather(self.method.state(), self.place),
            "alike_steps": self.alike_steps,
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Take up the state of an epoch."""
        self.method.networks.load_state_dict(state["model"])
        for name, optimizer in self.method.optimizers.items():
            optimizer.load_state_dict(state["optimizer"][name])
        methods = state["methods"]  # of as many workers as the fit had
        self.method.load(methods[self.place.rank % len(methods)])
        self.alike_steps = int(state["alike_steps"])

    def _read(self, drawn: Sequence[Drawn]) -> Tensor:
        lengths = [self.reader.length(one.recording) for one in drawn]
        pictures = [
            (one.recording, int(one.time * length))
            for one, length in zip(drawn, lengths, strict=True)
        ]
        return as_floats(self.reader.read(pictures), self.place.device)

    def _with_classes(self, drawn: Sequence[Drawn]) -> tuple[Tensor, Tensor]:
        classes = [self.task.recordings[one.recording].target for one in drawn]
        return self._read(drawn), torch.tensor(classes, device=self.place.device)


def _sides(task: FitTask, fold: int) -> tuple[list[int], list[int]]:
    """Return the positions of the real recordings to learn from: of class 0, and of others."""
    real = [place for place in task.sides[fold].training if not task.recordings[place].carries]
    sources = [place for place in real if task.recordings[place].target == 0]
    targets = [place for place in real if task.recordings[place].target > 0]
    if not (sources and targets):
        raise FoldsError(
            f"fold {fold}: {len(sources)} recordings of class 0 to learn from and {len(targets)} "
            "of other classes; a translator needs both"
        )
    return sources, targets


def _guide(task: FitTask, fold: int, place: Place) -> Guide | None:
    """Return the guide of a fold; None if the settings name none."""
    folder = task.config.synthesis.guide
    if folder is None:
        return None
    study, held = open_guide(folder), task.sides[fold].evaluation
    people = frozenset(task.recordings[one].subject_id for one in held)
    found = study.model_for(people)
    if found is None:
        raise StudyError(
            f"synthesis.guide: fold {fold} holds out {len(people)} subjects, and each model of "
            f"study {study.study.name} learnt from some of them"
        )
    guide: Guide = study.load(found[0]).to(place.device)
    return guide
