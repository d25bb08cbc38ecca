from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from pdray.search import pictures


def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    monkeypatch.setattr(pictures, "save_picture", lambda figure, path: figures.append(figure))
    return figures


def trial(number: int, state: str, value: float | None) -> dict[str, Any]:
    return {"number": number, "state": state, "value": value}


def test_the_history_shows_each_trial_under_its_number_and_the_best_so_far(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trials = [
        trial(0, "complete", 0.2), trial(1, "pruned", 0.9), trial(2, "failed", None),
        trial(3, "complete", 0.1), trial(4, "complete", 0.5),
    ]  # fmt: skip
    figures = drawn(monkeypatch)
    for maximise in (True, False):
        pictures.history_picture(
            trials, Path("x"), metric="val/mcc", maximise=maximise, synthetic=maximise
        )
    lines = [figure.axes[0].lines[0] for figure in figures]
    assert [line.get_xdata().tolist() for line in lines] == [[0, 3, 4]] * 2  # type: ignore[union-attr]
    assert [line.get_ydata().tolist() for line in lines] == [[0.2, 0.2, 0.5], [0.2, 0.1, 0.1]]  # type: ignore[union-attr]
    points = [len(found.get_offsets()) for found in figures[0].axes[0].collections]  # type: ignore[arg-type]
    assert points == [3, 1]  # complete, pruned
    assert ["SYNTHETIC" in figure.axes[0].get_title() for figure in figures] == [True, False]


def test_the_importance_of_settings_is_drawn_largest_first(monkeypatch: pytest.MonkeyPatch) -> None:
    (figures, found) = drawn(monkeypatch), {"a.small": 0.1, "b.large": 0.7, "c.middle": 0.2}
    pictures.importance_picture(found, Path("x"), num_trials=9, synthetic=True)
    names = [label.get_text() for label in figures[0].axes[0].get_yticklabels()]
    assert names == ["a.small", "c.middle", "b.large"]  # from below
    assert "SYNTHETIC" in figures[0].axes[0].get_title()
