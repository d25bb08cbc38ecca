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
    save = plots.save_picture

    def keep(figure: Figure, path: Path) -> None:
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(plots, "save_picture", keep)
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
    assert texts == [f"{per_class[0]}\n100%", "0\n0%", "0\n0%", f"{per_class[1]}\n100%"]
    ticks = [label.get_text() for label in drawn[0].axes[0].get_xticklabels()]
    assert ticks == ["0\ngrade 0", "1\ngrade 2"]
    ticks = [label.get_text() for label in drawn[0].axes[0].get_yticklabels()]
    assert ticks == ["0: grade 0", "1: grade 2"]
    assert drawn[0].axes[0].get_xlabel() == "predicted class"
    plots.confusion_picture(table, tmp_path / "c.png", synthetic=False, target="diagnosis")
    ticks = [label.get_text() for label in drawn[1].axes[0].get_yticklabels()]
    assert ticks == ["0: healthy", "1: ill"]


@pytest.mark.parametrize("num_classes", [2, 3, 4, 5, 6])
@pytest.mark.parametrize("many_grades", [False, True])
def test_no_two_labels_of_the_confusion_matrix_overlap(
    make_table: TableMaker,
    tmp_path: Path,
    drawn: list[Figure],
    num_classes: int,
    many_grades: bool,
) -> None:
    table = make_table(num_classes=num_classes)
    if many_grades:  # of class 0: its label is the longest that a scale of six grades can have
        table.loc[table["target"] == 0, "grade"] = [
            row % 5 for row in range(int((table["target"] == 0).sum()))
        ]
    plots.confusion_picture(table, tmp_path / "c.png", synthetic=True)
    drawn[0].canvas.draw()  # at the figure's own resolution, as the boxes are
    axes = drawn[0].axes[0]
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label]
    boxes = [label.get_window_extent() for label in [*labels, axes.title]]
    whole = drawn[0].bbox
    for number, box in enumerate(boxes):
        assert not [other for other in boxes[:number] if box.overlaps(other)]
        assert min(box.x0, box.y0) >= 0
        assert box.x1 <= whole.x1
        assert box.y1 <= whole.y1


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
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert any(label.startswith("all (area ") for label in labels)
    assert "no curve, since only one class is present: hand_opening" in labels


def test_rows_of_two_folds_are_not_ranked_together(
    make_table: TableMaker, tmp_path: Path, drawn: list[Figure]
) -> None:
    table = make_table()
    table["fold"] = table["subject_id"].str[1:].astype(int) % 2
    table["probability_1"] = table["target"] / 4 + table["fold"] / 2  # perfect in each fold
    plots.roc_picture(table, tmp_path / "r.png", synthetic=False)
    labels = [text.get_text() for text in drawn[0].legends[0].get_texts()]
    assert labels[0].startswith("all (area 1.00, ")


@pytest.mark.parametrize("num_classes", [2, 6])
def test_the_legend_counts_each_class_and_stands_beside_everything(
    make_table: TableMaker, tmp_path: Path, drawn: list[Figure], num_classes: int
) -> None:
    table = make_table(num_classes=num_classes)
    plots.roc_picture(table, tmp_path / "r.png", synthetic=True)
    drawn[0].canvas.draw()
    legend, axes = drawn[0].legends[0], drawn[0].axes[0]
    labels = [text.get_text() for text in legend.get_texts()]
    if num_classes == 2:
        count = int((table["target"] == 1).sum())
        assert labels[0].endswith(f", n={count} of {len(table)})")
    else:
        counts = table["target"].value_counts()
        assert [label.split(", ")[1] for label in labels] == [
            f"n={counts[k]} of {len(table)})" for k in range(6)
        ]
    boxes = [axes.bbox, axes.xaxis.label.get_window_extent(), axes.title.get_window_extent()]
    assert not [box for box in boxes if box.overlaps(legend.get_window_extent())]
    assert legend.get_window_extent().y0 >= 0
    assert boxes[2].y1 <= drawn[0].bbox.y1


def test_the_reliability_diagram_counts_subjects_or_says_why_it_is_absent(
    make_table: TableMaker, tmp_path: Path, drawn: list[Figure]
) -> None:
    few = make_table(num_subjects=39)
    reason = plots.reliability_picture(few, tmp_path / "r.png", synthetic=True)
    assert reason == "too few subjects for a reliability diagram: 39, 40 are needed"
    assert not (tmp_path / "r.png").exists()
    table = make_table(num_subjects=40, num_classes=3)
    assert plots.reliability_picture(table, tmp_path / "r.png", synthetic=True) == ""
    panels = drawn[0].axes
    labels = [axes.get_xlabel() for axes in panels]
    assert labels == ["probability of class 1 or higher", "probability of class 2"]
    table = make_table(num_subjects=40)
    plots.reliability_picture(table, tmp_path / "r.png", synthetic=True, target="diagnosis")
    assert drawn[1].axes[0].get_xlabel() == "probability of being ill"
    assert drawn[0].get_suptitle().startswith("SYNTHETIC data, ")
    points = [line for line in panels[0].lines if line.get_marker() == "o"]
    assert len(points) == len(panels[0].texts)
