import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from pdray.report.case import Reported, read_case
from pdray.report.figures import FIGURES, save
from pdray.report.figures.print_style import print_style, shortened, width_of
from pdray.report.figures.save import save_all
from tests.report.fixture import make_study

FEW, RATERS = "too few subjects for a reliability diagram", "no recording has the grades of two"
ALONE = "no ROC curve: each network scored one subject"
NO_SEARCH = "the study did not search enough trials"
OF_TEST = ("roc", "confusion", "subjects", "reliability")
# What is made, and why figures are absent.
STUDIES: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "eight of two classes": ({}, {"reliability": FEW, "raters": RATERS}),
    "five classes": (
        {"classes": 5, "people": 60, "raters": 2, "states": True, "synthetic": False},
        {"reliability": FEW},
    ),
    "sixty in outer folds": (
        {"classes": 5, "people": 60, "protocol": "nested", "raters": 3},
        {},
    ),
    "repeats": (
        {"people": 48, "protocol": "repeated", "searched": False, "raters": 2},
        {"raters": "the grades at which classes begin do not", "importance": NO_SEARCH},
    ),
}


def left_out_one_by_one(case: Reported) -> Reported:
    units = case.units.assign(outer_fold=case.units["subject_id"].str[1:].astype(int))
    return replace(case, units=units)


def with_long_names(case: Reported) -> Reported:
    numbers, name = case.numbers, "pronation_and_supination_of_both_hands_while_walking"
    groups = f"item={name}: " + numbers["group"]
    numbers = numbers.assign(group=groups.where(numbers["table"] == "raters", numbers["group"]))
    keys = [f"model.attention.blocks.{name}.{k}.learning_rate" for k in range(24)]
    units = case.units.assign(grade=np.arange(len(case.units)) % 9)
    return replace(case, numbers=numbers, importance=dict.fromkeys(keys, 1 / 24), units=units)


def with_twenty_classes(case: Reported) -> Reported:
    return replace(case, units=case.units.assign(**{f"probability_{k}": 0.0 for k in range(5, 20)}))


def of_earlier_version(case: Reported) -> Reported:
    none = pd.DataFrame()
    return replace(case, units=none, numbers=none, inner=None, epochs=(), importance={})


# How the study of sixty is changed, and why figures are absent.
CHANGES: dict[str, tuple[Callable[[Reported], Reported], dict[str, str]]] = {
    "a class is missing": (
        lambda case: replace(case, units=case.units[case.units["target"] != 1]),
        {},
    ),
    "one class only": (
        lambda case: replace(case, units=case.units[case.units["target"] == 1]),
        {"roc": "no ROC curve: in each fold only one class", "reliability": FEW},
    ),
    "subjects left out one by one": (left_out_one_by_one, {"roc": ALONE}),
    "long names": (with_long_names, {}),
    "an earlier version": (
        of_earlier_version,
        dict.fromkeys(OF_TEST, "the study scored no test subjects")
        | {"raters": RATERS, "learning": "the study kept no learning", "importance": NO_SEARCH},
    ),
    "fitted in one step": (
        lambda case: replace(case, epochs=tuple(one for one in case.epochs if one.epoch == 0)),
        {"learning": "the model is fitted in one step"},
    ),
    "raters of few people, whose numbers are not told": (
        lambda case: replace(case, numbers=case.numbers[case.numbers["table"] != "raters"]),
        {"raters": "fewer than 5 people were graded by the same two raters"},
    ),
    "many classes": (
        with_twenty_classes,
        dict.fromkeys(OF_TEST, "20 classes do not fit on a page")
        | {"subjects": "20 classes are not the steps of one scale"},
    ),
}
ABSENT = {name: absent for name, (_, absent) in {**STUDIES, **CHANGES}.items()}


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Reported]:
    folder = tmp_path_factory.mktemp("studies")
    found = {
        name: read_case(make_study(folder / str(k), **what))
        for k, (name, (what, _)) in enumerate(STUDIES.items())
    }
    whole = found["sixty in outer folds"]
    return found | {name: change(whole) for name, (change, _) in CHANGES.items()}


def texts_of(figure: Figure) -> list[Text]:
    """Draw a figure and return its texts that can be seen."""
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib does not declare its methods' types
    canvas.draw()
    texts = [*figure.texts]
    for axes in figure.axes:
        texts += [axes.title, axes.xaxis.label, axes.yaxis.label, *axes.texts]
        legend = axes.get_legend()
        texts += [] if legend is None else legend.get_texts()
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
            texts += [label for place, label in ticks if low <= place <= high]
    return [text for text in texts if text.get_text()]


@pytest.mark.parametrize("name", ABSENT)
def test_each_figure_stays_on_its_page_or_says_why_it_is_absent(
    name: str, cases: dict[str, Reported]
) -> None:
    case = cases[name]
    for key, one in FIGURES.items():
        with print_style(key):
            figure = one.draw(case)
            if isinstance(figure, str):
                assert figure.startswith(ABSENT[name].get(key, "nothing is absent")), key
                continue
            assert key not in ABSENT[name]
            texts = texts_of(figure)
        boxes = [(text.get_window_extent(), text.get_text()) for text in texts]
        for number, (box, text) in enumerate(boxes):
            assert min(box.x0, box.y0) >= 0, (key, text)
            assert box.x1 <= figure.bbox.x1, (key, text)
            assert box.y1 <= figure.bbox.y1, (key, text)
            ink = box.shrunk(0.9, 0.8)
            assert not [words for other, words in boxes[:number] if ink.overlaps(other)], (
                key,
                text,
            )
        words = " ".join(text.get_text() for text in texts)
        assert ("SYNTHETIC" in words) == case.is_synthetic
        assert round(figure.get_figwidth() * 25.4) in (89, 183)
        assert figure.get_figheight() * 25.4 <= 247
        caption = one.caption(case)
        assert re.search(r"[0-9]+ (subjects|complete trials)", caption), caption
        assert not re.search(r"\bS[0-9]{2}\b", words + caption), "an id of the manifest"


def test_files_are_for_print_and_the_same_each_time(
    cases: dict[str, Reported], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, folders = cases["eight of two classes"], [tmp_path / "one", tmp_path / "two"]
    folders[0].mkdir()
    (folders[0] / "raters.png").write_bytes(b"of an earlier report")
    drawn = save_all(case, folders[0])
    monkeypatch.setattr(save, "FIGURES", {"roc": FIGURES["roc"]})
    assert save_all(case, folders[1])["roc"] == drawn["roc"]
    again = sorted(folders[1].iterdir())
    assert [path.read_bytes() for path in again] == [
        (folders[0] / path.name).read_bytes() for path in again
    ]
    present = [name for name, one in drawn.items() if not one.absent]
    assert present == ["roc", "flow", "confusion", "subjects", "learning", "importance"]
    files = sorted(path.name for path in folders[0].iterdir())
    assert files == sorted(f"{name}.{kind}" for name in present for kind in ("pdf", "png"))
    for file in files:
        content = (folders[0] / file).read_bytes()
        assert b"Date" not in content
        if file.endswith("pdf"):
            assert b"/FontFile2" in content, "the font is not embedded as TrueType"
            assert b"/Type3" not in content
            continue
        with Image.open(folders[0] / file) as picture:
            assert picture.info["dpi"] == pytest.approx((300, 300), abs=0.1)
            assert round(picture.width / 300 * 25.4) in (89, 183)
    page = "".join(one.svg for one in drawn.values())
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert ids
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', page)) <= set(ids)
    assert "<style" not in page, "it would count for the whole page"
    assert page.count('<svg role="img" aria-label=') == len(present)


@pytest.mark.parametrize("room", [8.0, 20.0, 200.0])
def test_a_shortened_text_keeps_its_ends_and_fits(room: float) -> None:
    text = "pronation_and_supination_of_the_left_hand"
    found = shortened(text, room)
    assert width_of(found) <= room
    assert (found == text) == (room == 200)
    assert (found[0], found[-1]) == ("p", "d")


def test_errors_are_seen_in_the_strip_plot(cases: dict[str, Reported]) -> None:
    case = cases["eight of two classes"]
    shares = case.units[["probability_0", "probability_1"]].to_numpy()
    wrong = int((shares.argmax(axis=1) != case.units["target"]).sum())
    with print_style("subjects"):
        figure = FIGURES["subjects"].draw(case)
    assert isinstance(figure, Figure)
    points = {line.get_marker(): len(np.asarray(line.get_xdata())) for line in figure.axes[0].lines}
    assert points["x"] == wrong > 0
    assert points["o"] == len(case.units) - wrong


def test_a_roc_curve_tells_no_small_count_and_a_bound_as_one(tmp_path: Path) -> None:
    case = read_case(make_study(tmp_path, people=60, protocol="nested", skill=60.0))
    with print_style("roc"):
        figure = FIGURES["roc"].draw(case)
    assert isinstance(figure, Figure)
    words = [text.get_text() for text in figure.findobj(Text)]
    assert [one for one in words if "95% interval at least 0." in one]
    few = case.units["subject_id"].isin(case.units["subject_id"].unique()[:3]).astype("int64")
    told = FIGURES["roc"].caption(replace(case, units=case.units.assign(target=few)))
    assert "no band for it: too few subjects for an interval: <5 of class 1, " in told
