"""Trains visit classifiers (heads) on frozen features of a visit's items.

Source: TSA, section III-C and V-D. ``out_of_fold.py`` explains which features are used so that
nothing leaks. Visit classifiers are trained repeatedly with other seeds (20 times in TSA); the
networks of the items are not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from pdray.data.batches.plan import derive_seed
from pdray.errors import DivergedError
from pdray.evaluation.predictions import Origin, predictions_table
from pdray.training.objective import TrainingLoss, num_outputs, training_loss, wrap
from pdray.visits.networks import (
    METHODS,
    Assembler,
    VectorWeighting,
    build_assembler,
)
from pdray.visits.out_of_fold import Arrays, FeatureBank
from pdray.visits.settings import AssemblingConfig, HeadsConfig
from pdray.visits.visits import Visit, level_cuts, level_of, visit_class

_CPU = torch.device("cpu")
_ARRAYS = {"avgpool": "vectors", "layer4": "maps"}
_WEIGHT_COLUMNS = ("outer_fold", "repeat", "item", "weight")
_LEAST_SHARE = 1e-30  # smallest probability of a class in a logarithm


@dataclass(frozen=True)
class Approach:
    """Row of a table: a method on the features of some items.

    Attributes:
        method: A key of :data:`pdray.visits.networks.METHODS`.
        items: The items, at least one; a baseline has one.
    """

    method: str
    items: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of its files."""
        return self.method if len(self.items) > 1 else f"{self.method}-{self.items[0]}"


@dataclass(frozen=True)
class VisitFolds:
    """Visits, and the assignment of subjects to folds.

    Attributes:
        visits: All visits with a score.
        folds: Subjects of each fold; disjoint, at least three.
    """

    visits: tuple[Visit, ...]
    folds: tuple[frozenset[str], ...]

    def inside(self, fold: int) -> list[Visit]:
        """Return the visits of a fold."""
        return [visit for visit in self.visits if visit.subject_id in self.folds[fold]]

    def cuts(self, fold: int) -> tuple[float, float]:
        """Return the level cuts for a test fold, from the visits of all other folds."""
        held = self.folds[fold]
        return level_cuts([one.score for one in self.visits if one.subject_id not in held])


@dataclass(frozen=True)
class Assembled:
    """Result of an approach.

    Attributes:
        predictions: A predictions table, one row per (fold, repeat, visit): ``recording_id`` is the
            visit's name, ``grade`` its level, ``visit_score`` its score.
        weights: Rows of ``outer_fold``, ``repeat``, ``item`` and ``weight``: learnt weights of
            Eq. 8; empty for other methods.
    """

    predictions: pd.DataFrame
    weights: pd.DataFrame


@dataclass(frozen=True)
class HeadTask:
    """Training and scoring of one approach with two or three classes.

    Attributes:
        origin: Study, seed and split of the predictions.
        approach: Method and items.
        num_classes: 3 levels, or 2 without the moderate one.
        cohort: Visits and folds.
        assembling: Shape of the visit classifier.
        heads: Settings of its training.
    """

    origin: Origin
    approach: Approach
    num_classes: int
    cohort: VisitFolds
    assembling: AssemblingConfig
    heads: HeadsConfig


def approaches(items: Sequence[str]) -> list[Approach]:
    """Return every row of Tables VII to IX: the methods, and both baselines of each item."""
    single = [name for name in METHODS if name.startswith("single_")]
    joint = [name for name in METHODS if name not in single] if len(items) > 1 else []
    return [
        *(Approach(name, (item,)) for item in items for name in single),
        *(Approach(name, tuple(items)) for name in joint),
    ]


def head_faults(cohort: VisitFolds, approach: Approach, num_classes: int) -> list[str]:
    """List folds in which a class has no training visit, or no visit can be scored."""
    faults = []
    for fold in range(len(cohort.folds)):
        cuts = cohort.cuts(fold)
        asked = [one for one in cohort.visits if set(approach.items) & one.recordings.keys()]
        held = {
            one.name: visit_class(one.score, cuts, num_classes)
            for one in asked
            if one.subject_id in cohort.folds[fold]
        }
        learnt = [
            visit_class(one.score, cuts, num_classes) for one in asked if one.name not in held
        ]
        counts = [learnt.count(number) for number in range(num_classes)]
        where = f"{num_classes} classes, fold {fold}: visits with {' or '.join(approach.items)}"
        if 0 in counts:
            faults.append(
                f"{where}: the classes have {counts} training visits, but each needs one; leave "
                "the item out or use other folds"
            )
        if all(target is None for target in held.values()):
            faults.append(f"{where}: there is no test visit; use fewer folds")
    return faults


def assemble(task: HeadTask, bank: FeatureBank, *, device: torch.device = _CPU) -> Assembled:
    """Train and score an approach in every fold and repeat.

    Args:
        task: Approach and settings.
        bank: Features of the visits' recordings.
        device: Device of the training.

    Returns:
        Predictions of every visit with at least one of the items, and the learnt weights.

    Raises:
        DivergedError: If a loss is not finite; names method, fold and repeat.
        StudyError: If features cannot be read.
    """
    kind, _ = METHODS[task.approach.method]
    arrays = bank.read(task.approach.items, _ARRAYS[kind])
    tables, weights = [], []
    for fold in range(len(task.cohort.folds)):
        data = fold_data(task, (bank, arrays), fold)
        for repeat in range(task.heads.repeats):
            where = f"{task.approach.name}, fold {fold}, repeat {repeat}"
            seed = derive_seed(task.origin.seed, "head", task.num_classes, where)
            try:
                head = train_head(task, data.learnt, seed=seed, device=device)
            except DivergedError as error:
                raise DivergedError(f"{where}: {error}") from error
            shares = np.mean([head.probabilities(one) for one in data.scored], axis=0)
            origin = replace(task.origin, outer_fold=fold, repeat=repeat)
            logits = np.log(np.maximum(shares, _LEAST_SHARE))
            table = predictions_table(origin, data.rows, logits, shares)
            tables.append(table.assign(visit_score=[one.score for one in data.visits]))
            weights.append(_weights(task, head.assembler, origin))
    return Assembled(
        pd.concat(tables, ignore_index=True),
        pd.concat([one for one in weights if len(one)] or weights[:1], ignore_index=True),
    )


@dataclass(frozen=True)
class VisitBatch:
    """Inputs and classes of some visits.

    Attributes:
        x: (B, M, ...) float32 features; NaN for absent items.
        present: (B, M) bool.
        target: (B,) int64 class.
    """

    x: Tensor
    present: Tensor
    target: Tensor


@dataclass(frozen=True)
class TrainedHead:
    """Trained visit classifier.

    Attributes:
        network: The assembler, perhaps with ordered thresholds.
        assembler: The assembler.
        objective: Loss, which also turns outputs into probabilities.
    """

    network: nn.Module
    assembler: Assembler
    objective: TrainingLoss

    @torch.inference_mode()
    def probabilities(self, data: VisitBatch) -> NDArray[np.float64]:
        """Return the (B, K) class probabilities of visits."""
        device = next(self.network.parameters()).device
        outputs = self.network(data.x.to(device), data.present.to(device))
        shares = self.objective.log_probabilities(outputs.double()).exp()
        return (shares / shares.sum(dim=1, keepdim=True)).cpu().numpy()


@dataclass(frozen=True)
class FoldData:
    """Data of one outer fold.

    Attributes:
        learnt: Visits of the other folds.
        scored: Test visits with features of the networks of each pair with this fold.
        visits: Test visits.
        rows: Facts of the test visits, as columns of a predictions table.
    """

    learnt: VisitBatch
    scored: list[VisitBatch]
    visits: list[Visit]
    rows: dict[str, list[Any]]


def train_head(
    task: HeadTask, data: VisitBatch, *, seed: int, device: torch.device = _CPU
) -> TrainedHead:
    """Train one visit classifier; by default with Eq. 1 of TSA, where N is the number of visits.

    Args:
        task: Method, shapes and settings.
        data: Training visits; every class must be present.
        seed: Seed of the weights and of the order of the visits.
        device: Device of the training.

    Returns:
        The visit classifier, in evaluation mode.

    Raises:
        DivergedError: If the loss is not finite.
    """
    config, num_visits = task.heads, len(data.target)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        assembler = build_assembler(
            task.approach.method,
            task.assembling,
            num_items=len(task.approach.items),
            num_channels=data.x.shape[2],
            num_classes=num_outputs(config.loss, task.num_classes),
        )
        network = wrap(assembler, config.loss, task.num_classes).to(device)
    make: Any = torch.optim.AdamW
    if config.optimizer == "sgd":
        make = partial(torch.optim.SGD, momentum=0.9)
    optimizer = make(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    counts = torch.bincount(data.target, minlength=task.num_classes).tolist()
    objective = training_loss(config.loss, counts, device)
    x, present, target = (part.to(device) for part in (data.x, data.present, data.target))
    draws = torch.Generator().manual_seed(seed)
    num_batches = max(1, num_visits // config.batch_size)
    for epoch in range(config.epochs):
        for chosen in torch.randperm(num_visits, generator=draws).tensor_split(num_batches):
            rows = chosen.to(device)
            loss = objective.loss(network(x[rows], present[rows]), target[rows]).mean()
            if not bool(torch.isfinite(loss)):
                raise DivergedError(f"epoch {epoch}: the loss became {loss.item()}")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return TrainedHead(network.eval(), assembler, objective)


def fold_data(task: HeadTask, features: tuple[FeatureBank, Arrays], fold: int) -> FoldData:
    """Return the training and the test features of a fold.

    Args:
        task: Approach and settings.
        features: The bank, and the arrays read from it.
        fold: The test fold.
    """
    bank, arrays = features
    cuts = task.cohort.cuts(fold)
    others = [other for other in range(len(task.cohort.folds)) if other != fold]

    def classed(inside: int) -> list[tuple[Visit, int]]:
        """Return the visits of a fold with an item and a class."""
        return [
            (visit, number)
            for visit in task.cohort.inside(inside)
            if set(task.approach.items) & visit.recordings.keys()
            and (number := visit_class(visit.score, cuts, task.num_classes)) is not None
        ]

    def batch(inside: int, other: int) -> VisitBatch:
        """Return the visits of a fold with features of the networks of two folds."""
        asked = classed(inside)
        pair = (min(inside, other), max(inside, other))
        x, present = bank.of_visits(
            [visit for visit, _ in asked], task.approach.items, pair, arrays
        )
        target = torch.tensor([number for _, number in asked], dtype=torch.int64)
        return VisitBatch(torch.from_numpy(x), torch.from_numpy(present), target)

    taught = [batch(other, fold) for other in others]
    tested = classed(fold)
    visits = [visit for visit, _ in tested]
    return FoldData(
        learnt=VisitBatch(
            torch.cat([one.x for one in taught]),
            torch.cat([one.present for one in taught]),
            torch.cat([one.target for one in taught]),
        ),
        scored=[batch(fold, other) for other in others],
        visits=visits,
        rows={
            "recording_id": [visit.name for visit in visits],
            "snippet": [0] * len(visits),
            "subject_id": [visit.subject_id for visit in visits],
            "item": ["visit"] * len(visits),
            "grade": [level_of(visit.score, cuts) for visit in visits],
            "target": [number for _, number in tested],
            "visit_id": [visit.visit_id for visit in visits],
            **{
                name: [visit.facts.get(name) for visit in visits]
                for name in dict.fromkeys(name for visit in visits for name in visit.facts)
            },
        },
    )


def _weights(task: HeadTask, assembler: Assembler, origin: Origin) -> pd.DataFrame:
    if not isinstance(assembler.combine, VectorWeighting):
        return pd.DataFrame(columns=list(_WEIGHT_COLUMNS))
    alpha = assembler.combine.item_weights().detach().cpu().double().numpy()
    facts = (origin.outer_fold, origin.repeat, list(task.approach.items), alpha)
    return pd.DataFrame(dict(zip(_WEIGHT_COLUMNS, facts, strict=True)))
