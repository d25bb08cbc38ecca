"""Trains item networks for visits: no network is trained on a person whose features it gives.

TSA classifies visits by features of networks that were trained on items, and does not say on which
subjects. A network gives far better features for its training recordings than for new ones. So a
visit classifier that learns from such features would get different ones in the test. Therefore:

- Subjects are assigned to K folds once, for all items.
- For each unordered pair {i, j} of folds and each item, one network learns from the subjects that
  are in neither fold: K (K - 1) / 2 networks per item.
- To score fold f, the visit classifier learns from the visits of every other fold j with the
  features of the network {f, j}, which was trained on neither f nor j. A visit of f has features of
  all networks {f, j}, and its probabilities under them are averaged (``heads.py``).

So training features and test features come from the same networks, none of which was trained on the
patient. All networks start from the same weights (one seed, or one checkpoint), so that a channel
means the same at the start in each of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.atomic import replacing
from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.errors import FoldsError, StudyError
from pdray.evaluation.predictions import read_predictions, write_predictions
from pdray.training.frozen.features import kept_features, load_network, read_features
from pdray.training.loop.worker import Place, fit
from pdray.training.task import FitTask
from pdray.visits.visits import Visit

_CPU = torch.device("cpu")

Pair = tuple[int, int]
"""Two folds, the lower one first."""

Arrays = Mapping[tuple[str, Pair], NDArray[np.float32]]
"""Features (N, ...) of each item and pair."""


@dataclass(frozen=True)
class FeatureBank:
    """Features of the networks of all items.

    Attributes:
        files: File of features of each item and pair, from :func:`fit_item`.
        recordings: Ids of the recordings in each file, in its order; all are of subjects in the
            pair's folds.
    """

    files: Mapping[tuple[str, Pair], Path]
    recordings: Mapping[tuple[str, Pair], tuple[str, ...]]

    def read(self, items: Sequence[str], kind: str) -> Arrays:
        """Read ``vectors`` or ``maps`` of some items.

        Raises:
            StudyError: If a file cannot be read.
        """
        return {
            key: read_features(file, kind) for key, file in self.files.items() if key[0] in items
        }

    def of_visits(
        self, visits: Sequence[Visit], items: Sequence[str], pair: Pair, arrays: Arrays
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the features of visits from the networks of a pair.

        Several recordings of an item in a visit, such as left and right, are averaged (TSA does not
        say how it joins them).

        Args:
            visits: B visits of subjects in the pair's folds.
            items: M items.
            pair: Pair of folds of the networks.
            arrays: From :meth:`read`.

        Returns:
            (B, M, ...) features, NaN if a visit lacks the item, and (B, M) bool, which are present.

        Raises:
            StudyError: If a recording has no features from these networks, which may have been
                trained on its subject; names it.
        """
        first = arrays[items[0], pair]
        shape = (len(visits), len(items))
        found = np.full((*shape, *first.shape[1:]), np.nan, np.float32)
        present = np.zeros(shape, np.bool_)
        for column, item in enumerate(items):
            rows = {name: row for row, name in enumerate(self.recordings[item, pair])}
            for place, visit in enumerate(visits):
                names = visit.recordings.get(item, ())
                strange = [name for name in names if name not in rows]
                if strange:
                    raise StudyError(
                        f"recording {strange[0]} of {item} has no features from the network of "
                        f"folds {pair[0]} and {pair[1]}, which was not trained without it"
                    )
                if names:
                    chosen = [rows[name] for name in names]
                    found[place, column] = arrays[item, pair][chosen].mean(axis=0)
                    present[place, column] = True
        return found, present


def fold_pairs(num_folds: int) -> list[Pair]:
    """Return every unordered pair of folds."""
    return list(combinations(range(num_folds), 2))


def item_sides(
    recordings: Sequence[RatedRecording],
    folds: Sequence[frozenset[str]],
    pair: Pair,
    *,
    num_classes: int,
) -> FoldSides:
    """Return the training recordings of a pair's network, and those whose features it gives.

    Args:
        recordings: Recordings of one item.
        folds: Subjects of each fold; a subject in none of them is used to train every network.
        pair: The two folds that the network is not trained on.
        num_classes: Classes of the item's grades.

    Raises:
        FoldsError: If a class has no training recording, or the folds have no recording; names the
            item, the folds and the counts.
    """
    held = folds[pair[0]] | folds[pair[1]]
    beside = {one.people for one in recordings if one.subject_id in held}
    positions = range(len(recordings))
    side = FoldSides(
        training=tuple(p for p in positions if recordings[p].people not in beside),
        evaluation=tuple(p for p in positions if recordings[p].subject_id in held),
    )
    classes = [recordings[p].target for p in side.training]
    counts = [classes.count(number) for number in range(num_classes)]
    where = f"{recordings[0].item} without folds {pair[0]} and {pair[1]}"
    if 0 in counts:
        raise FoldsError(
            f"{where}: the classes have {counts} training recordings, but each needs one; use "
            "other data.grade_cuts, another folds.seed, or leave the item out"
        )
    if not side.evaluation:
        raise FoldsError(f"{where}: these folds have no recording; use fewer folds")
    return side


def fit_item(task: FitTask, path: Path, *, device: torch.device = _CPU) -> Path:
    """Train one item's network for one pair, and compute the features of the pair's recordings.

    Existing files are not made again.

    Args:
        task: Task with a single fold, from :func:`item_sides`.
        path: File of the weights; the predictions are next to it as ``.parquet``, the features in
            the folder ``features``.
        device: Device of the training.

    Returns:
        The file of the features of the evaluation side, in its order.

    Raises:
        DivergedError: If a loss or a feature is not finite.
        DecodeError: If a recording cannot be read; names it.
    """
    table = path.with_suffix(".parquet")
    if not (path.exists() and table.exists()):
        *_, last = fit(task, place=Place(device=device))
        assert last.predictions is not None, "the last epoch is evaluated"
        write_predictions(last.predictions, table)
        with replacing(path) as temporary:
            torch.save(last.state["model"], temporary)
    read_predictions(table)
    weights = torch.load(path, weights_only=True, map_location="cpu")
    network = load_network(task.config, task.num_classes, weights)
    (side,) = task.sides
    held = [task.recordings[position] for position in side.evaluation]
    folder = path.parent / "features"
    return kept_features(network, held, task.config, folder=folder, device=device)
