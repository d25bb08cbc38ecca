from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from pdray.evaluation import plots

TableMaker = Callable[..., pd.DataFrame]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    figures: list[Figure] = []
    save = plots._save

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "_save", keep)
    return figures


@pytest.mark.parametrize("num_classes", [2, 3])
def test_pictures_are_written_whole(
    make_table: TableMaker, tmp_path: Path, num_classes: int
) -> None:
    table = make_table(num_classes=num_classes)
    plots.confusion_picture(table, tmp_path / "confusion.png", synthetic=True)
    plots.roc_picture(table, tmp_path / "roc.png", synthetic=True)
    assert {path.name for path in tmp_path.iterdir()} == {"confusion.png", "roc.png"}
    for path in tmp_path.iterdir():
        assert min(imread(path).shape[:2]) > 300


def test_the_counts_of_the_confusion_matrix_are_written_in_it(
    make_table: TableMaker, tmp_path: Path, drawn: list[Figure]
) -> None:
    table = make_table(lean=9)
    plots.confusion_picture(table, tmp_path / "c.png", synthetic=False)
    texts = [text.get_text() for text in drawn[0].axes[0].texts]
    per_class = table["target"].value_counts()
    assert texts == [str(per_class[0]), "0", "0", str(per_class[1])]
    ticks = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert ticks == ["0: grade 0", "1: grade 2"]


def test_synthetic_data_is_marked_in_the_title_and_real_data_is_not(
    make_table: TableMaker, tmp_path: Path, drawn: list[Figure]
) -> None:
    for synthetic in (True, False):
        plots.confusion_picture(make_table(), tmp_path / "c.png", synthetic=synthetic)
        plots.roc_picture(make_table(), tmp_path / "r.png", synthetic=synthetic)
    titles = [figure.axes[0].get_title() for figure in drawn]
    assert ["SYNTHETIC" in title for title in titles] == [True, True, False, False]


def test_a_roc_curve_that_cannot_be_drawn_is_named(
    make_table: TableMaker, tmp_path: Path, drawn: list[Figure]
) -> None:
    table = make_table()
    table = table[(table["item"] == "finger_tapping") | (table["target"] == 0)]
    plots.roc_picture(table, tmp_path / "r.png", synthetic=False)
    legend = drawn[0].axes[0].get_legend()
    assert legend is not None
    labels = [text.get_text() for text in legend.get_texts()]
    assert any(label.startswith("all (area ") for label in labels)
    assert "one class only, no curve: hand_opening" in labels
