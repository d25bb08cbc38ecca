import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.data.batches.frames import FrameReader
from pdray.evaluation.statistics.frechet import kernel_distance
from pdray.evaluation.translations import guide_probabilities
from pdray.training.loop.step import Precision
from pdray.training.task import FitTask
from pdray.training.translators.guide import Guide
from pdray.training.translators.held_out import HeldOut, Numbers, translate_held_out
from tests.fixtures.translator import Tiny, TinyConfig, known, make_translation, tiny_fit

CPU = Precision(torch.device("cpu"), torch.float32)


class Means(Guide):
    """A guide whose features are the mean of each colour, and that grades by the first of them."""

    def __init__(self) -> None:
        """Build nothing."""
        torch.nn.Module.__init__(self)

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return log probabilities of three classes."""
        return torch.log_softmax(self.features(pictures), dim=1)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Return (B, 3) means."""
        return pictures.mean(dim=(2, 3))


class Brighter(Tiny):
    """A translator that adds a tenth of the class."""

    def translate(
        self, source: torch.Tensor, target_class: torch.Tensor, strength: torch.Tensor
    ) -> torch.Tensor:
        """Add a tenth of the class."""
        return source + 0.1 * (target_class * strength)[:, None, None, None]


@pytest.fixture
def task(
    tmp_path: Path, write_entry: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> FitTask:
    known(monkeypatch)
    classes = (0, 1, 0, 2, 1, 2)
    return make_translation(tmp_path, write_entry, tiny_fit(), classes=classes, num_classes=3)


def found(task: FitTask, places: tuple[int, ...], guide: Guide | None) -> HeldOut:
    reader, method = FrameReader(task.recordings, "rgb"), Brighter(TinyConfig())
    return translate_held_out(task, places, reader, method, guide, CPU)


def test_each_source_is_translated_to_each_class_and_compared_with_its_real_pictures(
    task: FitTask,
) -> None:
    whole = found(task, (0, 1, 2, 3, 4, 5), Means())
    table = whole.table(task.origin, has_guide=True, num_classes=3)
    assert len(table) == 2 * 3 * 2
    assert table["recording_id"].tolist() == ["R0"] * 6 + ["R2"] * 6
    assert table["target_class"].tolist() == [1, 2] * 6
    shares = guide_probabilities(table)
    assert shares is not None
    assert shares.shape == (12, 3)
    reader = FrameReader(task.recordings, "rgb")

    def means(places: tuple[int, ...], shift: float = 0.0) -> Numbers:
        rows = []
        for place in places:
            numbers = [int((k + 0.5) * reader.length(place) / 3) for k in range(3)]
            pictures = reader.read([(place, number) for number in numbers])
            rows += [one.mean(axis=(0, 1)) / 127.5 - 1 + shift for one in pictures.astype(float)]
        return np.array(rows)

    expected = [
        np.mean([kernel_distance(means((0, 2), k * shift), means(real)) for k, real in of_class])
        for shift, of_class in [
            (0.1, [(1, (1, 4)), (2, (3, 5))]),
            (0.0, [(1, (1, 4)), (2, (3, 5))]),
        ]
    ]
    distances = whole.distances()
    assert list(distances) == ["kernel_distance", "kernel_distance_source"]
    np.testing.assert_allclose([*distances.values()], expected, rtol=1e-4, atol=1e-7)


def test_the_parts_of_workers_are_one_whole(task: FitTask) -> None:
    whole, joined = found(task, (0, 1, 2, 3, 4, 5), Means()), HeldOut()
    for places in ((1, 3, 5), (0, 2, 4)):
        joined.add(found(task, places, Means()))
    tables = [one.table(task.origin, has_guide=True, num_classes=3) for one in (whole, joined)]
    assert tables[0].equals(tables[1])
    assert whole.distances() == pytest.approx(joined.distances(), rel=1e-12)


def test_without_a_guide_or_with_too_few_pictures_there_is_no_distance(task: FitTask) -> None:
    alone = found(task, (0, 1), None)
    assert not alone.changed
    table = alone.table(task.origin, has_guide=False, num_classes=3)
    assert guide_probabilities(table) is None
    for places in ((0, 2), (1, 3), ()):
        few = found(task, places, Means())
        assert all(math.isnan(one) for one in few.distances().values())
    shape = few.table(replace(task.origin, fold=1), has_guide=True, num_classes=3).shape
    assert shape == (0, 18)
