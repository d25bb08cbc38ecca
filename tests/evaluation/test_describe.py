"""A cohort small enough to be counted by hand."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from pdray.data.cohort.settings import DataConfig
from pdray.data.store.settings import Recipe
from pdray.errors import ManifestError, SettingsError
from pdray.evaluation import cohort_pictures
from pdray.evaluation.describe import describe_cohort

Rows = list[dict[str, object]]

HAND: Rows = [
    {"subject_id": "S1", "item": "finger_tapping", "grade": 0, "sex": "f", "age": 60,
     "medication_state": "on", "visit_id": "V1", "visit_score": 10,
     "start_seconds": 0, "end_seconds": 4},
    {"subject_id": "S1", "item": "finger_tapping", "grade": 1, "sex": "f", "age": 60,
     "medication_state": "on", "visit_id": "V1", "visit_score": 10,
     "start_seconds": 1, "end_seconds": 3},
    {"subject_id": "S1", "item": "finger_tapping", "grade": 3, "sex": "f", "age": 62,
     "medication_state": "off", "visit_id": "V2", "visit_score": 30},
    {"subject_id": "S2", "item": "finger_tapping", "sex": "m", "visit_id": "V1"},
    {"subject_id": "S2", "item": "gait", "grade": 4, "sex": "m", "visit_id": "V2",
     "visit_score": 50},
    {"subject_id": "S3", "item": "gait", "grade": 2, "video": "absent.mp4"},
]  # fmt: skip
ITEMS = """
item            class      grades  count  frames min/max  seconds min/max
finger_tapping  0             0-1    2/1  not given       2.00/4.00
finger_tapping  1             2-4    1/1  not given       not given
finger_tapping  not given            1/1  not given       not given
finger_tapping  all                  4/2  not given       2.00/4.00
gait            0             0-1    0/0  -               -
gait            1             2-4    2/2  not given       not given
gait            all                  2/2  not given       not given
"""
LENGTHS = """
item            count  not given  hours      mean (SD)    median     90%
finger_tapping    4/2        2/2  0.00       3.00 (1.41)  3.00       3.80
gait              2/2        2/2  not given  not given    not given  not given
all               6/3        4/3  0.00       3.00 (1.41)  3.00       3.80
item            longest
finger_tapping  4.00
gait            not given
all             4.00
"""
GRADES = """
item              0    1    2    3    4  not given  all
finger_tapping  1/1  1/1  0/0  1/1  0/0        1/1  4/2
gait            0/0  0/0  1/1  0/0  1/1        0/0  2/2
"""
GROUPS = """
group      count  with age   age mean (SD)  visits  with score  score mean (SD)
class 0      2/1  2/1        60.0 (-)            1  1           10.0 (-)
class 1      3/3  1/1        62.0 (-)            2  2           40.0 (14.1)
not given    1/1  not given  not given           1  not given   not given
all          6/3  3/1        60.7 (-)            4  3           30.0 (20.0)
"""
FACTS = """
fact        value      all  class 0  class 1  not given
sex         f          3/1      2/1      1/1        0/0
sex         m          2/1      0/0      1/1        1/1
sex         not given  1/1      0/0      1/1        0/0
age         60 to 69   3/1      2/1      1/1        0/0
age         not given  3/2      0/0      2/2        1/1
medication  off        1/1      0/0      1/1        0/0
medication  on         2/1      2/1      0/0        0/0
medication  not given  3/2      0/0      2/2        1/1
diagnosis   not given  6/3      2/1      3/3        1/1
site        not given  6/3      2/1      3/3        1/1
split       not given  6/3      2/1      3/3        1/1
"""
THIRDS = """
fact        value      all  1: to 10  2: to 30  3: above 30  not given
sex         f          3/1       2/1       1/1          0/0        0/0
sex         m          2/1       0/0       0/0          1/1        1/1
sex         not given  1/1       0/0       0/0          0/0        1/1
"""
NOTES = """
note: 5 of 6 recordings have no known frames or seconds: the manifest names no
  video
note: 1 of 6 recordings have no known frames or seconds: the video file is
  missing
note: 1 of 6 recordings have no visit_id and belong to no visit
note: a subject with recordings in several rows is counted in each of them
"""


@pytest.fixture
def described(
    write_manifest: Callable[..., Path], tmp_path: Path
) -> Callable[..., tuple[str, Path]]:
    def describe(rows: Rows, small_cells: int = 1, **data: Any) -> tuple[str, Path]:
        named = [{"recording_id": f"r{number}", **row} for number, row in enumerate(rows)]
        manifest = write_manifest(named, "cohort.csv")
        output = tmp_path / "out"
        config = DataConfig(manifest=manifest, **data)
        told = describe_cohort(config, output, Recipe(), small_cells=small_cells)
        folder = output / "describe" / "cohort"
        assert told.splitlines()[-1] == str(folder)
        assert max(map(len, told.splitlines()[:-1])) <= 80
        return told, folder

    return describe


Described = Callable[..., tuple[str, Path]]


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_of_a_cohort_counted_by_hand(described: Described) -> None:
    told, folder = described(HAND)
    assert told.startswith("6 recordings of 3 subjects\n")
    for block in (ITEMS, LENGTHS, GRADES, GROUPS, FACTS, THIRDS, NOTES):
        assert block in told
    grades = read(folder / "grades.csv")
    assert (grades[0]["3 recordings"], grades[0]["not given subjects"]) == ("1", "1")
    lengths = read(folder / "lengths.csv")[-1]
    assert (lengths["mean"], lengths["median"], lengths["longest"]) == ("3.0", "3.0", "4.0")
    assert (lengths["recordings"], lengths["not given recordings"]) == ("6", "4")
    items = read(folder / "items.csv")
    assert (items[0]["subjects"], items[0]["seconds max"]) == ("1", "4.0")
    assert (items[1]["frames min"], items[4]["frames min"]) == ("", "")
    groups = read(folder / "groups.csv")
    assert [row["score mean"] for row in groups] == ["10.0", "40.0", "", "30.0"]


def test_an_item_of_the_users_own_has_the_grades_that_were_given(described: Described) -> None:
    own: Rows = [{"subject_id": "S1", "item": "spiral", "grade": grade} for grade in (0, 6)]
    told, _ = described([*own, HAND[0]], scale="0..7")
    assert "spiral          1/1  0/0  0/0  0/0  0/0  0/0  1/1" in told
    grades = next(line for line in told.splitlines() if line.startswith("finger_tapping  1/1  0/0"))
    assert grades.split()[1:8] == ["1/1", *["0/0"] * 4, "-", "-"]


def test_no_id_and_no_path_is_in_what_is_written(described: Described) -> None:
    rows = [{**row, "subject_id": f"Anna{row['subject_id']}", "recording_id": f"Film{number}"}
            for number, row in enumerate(HAND)]  # fmt: skip
    told, folder = described(rows)
    for text in [told, *(path.read_text() for path in folder.glob("*.csv"))]:
        assert [word for word in ("Anna", "Film", "absent.mp4") if word in text] == []


def test_counts_of_few_people_and_what_describes_them_are_not_told(described: Described) -> None:
    rows = [
        {"subject_id": f"S{n}", "item": "gait", "grade": str(n // 6 * 2), "sex": "f",
         "age": str(60 + 4 * n), "visit_id": "V1", "start_seconds": "1", "end_seconds": "4"}
        for n in range(9)
    ]  # fmt: skip
    told, folder = described([*rows, {**rows[8], "subject_id": "S9", "age": ""}], small_cells=5)
    assert told.startswith("10 recordings of 10 subjects\n")
    assert "<5: fewer than 5 people, not shown" in " ".join(told.split())
    grades = read(folder / "grades.csv")[0]
    assert [grades[f"{grade} recordings"] for grade in range(3)] == ["6", "0", "<5"]
    items = read(folder / "items.csv")
    assert [row["subjects"] for row in items] == ["6", "<5", "10"]
    assert [row["seconds max"] for row in items] == ["3.0", "<5", "3.0"]
    groups = read(folder / "groups.csv")
    assert [row["age mean"] for row in groups] == ["70.0", "<5", "76.0"]
    ages = {
        row["value"]: row["all subjects"]
        for row in read(folder / "facts.csv")
        if row["fact"] == "age"
    }
    assert ages == dict.fromkeys(("60 to 69", "70 to 79", "80 to 89", "90+", "not given"), "<5")
    lengths = read(folder / "lengths.csv")[0]
    assert (lengths["recordings"], lengths["mean"]) == ("10", "3.0")


def test_pictures_say_what_they_count_and_are_left_out_with_a_reason(
    described: Described, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: dict[str, Figure] = {}
    save = cohort_pictures.save_picture

    def keep(figure: Figure, path: Path) -> None:
        figures[path.stem] = figure
        save(figure, path)

    monkeypatch.setattr(cohort_pictures, "save_picture", keep)
    told, folder = described(HAND)
    assert "is not drawn" not in told
    assert {path.stem for path in folder.glob("*.png")} == set(figures)
    assert all(min(imread(path).shape[:2]) > 200 for path in folder.glob("*.png"))
    titles = {name: figure.get_suptitle() for name, figure in figures.items()}
    assert titles == {
        "lengths": "2 recordings of 1 subjects\nlength known for 2 of 6",
        "grades": "6 recordings of 3 subjects\nabove each bar: recordings/subjects",
        "visit_scores": "3 of 4 visits, 2 subjects",
        "years": "1 of 3 subjects, with grades at several ages",
    }
    bars = [text.get_text() for text in figures["grades"].axes[0].texts]
    assert bars == ["1/1", "1/1", "0/0", "1/1", "0/0", "1/1"]
    # What an earlier run left is not taken for that of this one.
    rendered = {"subject_id": "S1", "item": "gait", "grade": 1, "site": "synthetic"}
    told, folder = described([rendered])
    assert {path.name for path in folder.iterdir()} == {
        "items.csv", "lengths.csv", "grades.csv", "groups.csv", "facts.csv", "grades.png"
    }  # fmt: skip
    assert figures["grades"].get_suptitle().startswith("SYNTHETIC data, 1 recordings")
    assert "1 recordings of 1 subjects (SYNTHETIC data: a rendered cohort" in told
    for name, why in {
        "lengths": "no recording has a known length",
        "visit_scores": "no visit has exactly one score",
        "years": "no subject has grades at several ages",
    }.items():
        assert f"note: {name}.png is not drawn: {why}" in told


def test_a_visit_with_several_scores_has_none(described: Described) -> None:
    row = {"subject_id": "S1", "item": "gait", "visit_id": "V1"}
    told, folder = described([{**row, "visit_score": 1}, {**row, "visit_score": 2}])
    assert "note: 1 visits have several different visit scores; none of them is used" in told
    assert not (folder / "visit_scores.png").exists()


def test_a_cohort_described_by_its_diagnosis_has_no_table_of_grades(described: Described) -> None:
    row = {"item": "expression_anger", "grade": 3}
    rows: Rows = [{**row, "subject_id": "S1", "diagnosis": "hc"},
                  {**row, "subject_id": "S2", "diagnosis": "PD"}]  # fmt: skip
    told, folder = described(rows, target="diagnosis")
    items = [(one["item"], one["class"], one["grades"]) for one in read(folder / "items.csv")]
    assert items[:2] == [("expression_anger", "0", "healthy"), ("expression_anger", "1", "ill")]
    assert not (folder / "grades.csv").exists()
    assert not (folder / "grades.png").exists()
    words = " ".join(told.split())
    assert "the classes are those of the diagnosis: healthy (hc) and ill (PD)" in words
    assert {row["group"] for row in read(folder / "groups.csv")} >= {"healthy", "ill"}


def test_recordings_that_name_no_subject_are_no_subjects(described: Described) -> None:
    face = {"item": "face_interview", "grade": 2}
    rows: Rows = [{"subject_id": "", **face}, {"subject_id": "", **face}]
    told, folder = described(rows, items=("face_interview",), subjects="none")
    assert told.startswith("2 recordings, 2 of them without a subject_id\n")
    assert "face_interview  1         2-5    2/?  not given       not given" in told
    assert "note: 2 of 2 recordings have no subject_id; several of them may" in told
    assert [row["subjects"] for row in read(folder / "items.csv")] == ["0", "", ""]
    named = {"subject_id": "S1", **face}
    told, folder = described([*rows, named], items=("face_interview",), subjects="none")
    assert told.startswith("3 recordings of 1 subjects, 2 of them without a subject_id\n")
    assert "face_interview  all             3/1?  not given" in told
    last = read(folder / "items.csv")[-1]
    assert (last["recordings"], last["subjects"], last["unnamed"]) == ("3", "1", "2")


def test_actions_have_classes_and_no_grades(described: Described) -> None:
    rows: Rows = [{"subject_id": f"S{k}", "item": "action", "grade": k} for k in (0, 2, 2)]
    told, folder = described(rows, items=("action",))
    assert "action  2           2    2/1" in told
    assert "action  1           1    0/0" in told
    assert not (folder / "grades.csv").exists()
    assert "note: grades.png is not drawn: classes of actions are not grades" in told
    with pytest.raises(ManifestError, match="name the items to use"):
        described(rows)


def test_other_items_are_left_out_and_counted(described: Described) -> None:
    told, _ = described(HAND, items=("gait",))
    assert told.startswith("2 recordings of 2 subjects\n")
    assert "note: 4 recordings are left out: their items are not in data.items" in told


def test_wide_tables_go_on_below_and_long_words_are_cut(described: Described) -> None:
    rows: Rows = [
        {"subject_id": f"S{k}", "item": "gait", "grade": k, "site": "x" * 40, "diagnosis": "a\nb"}
        for k in range(5)
    ]
    told, folder = described(rows, grade_cuts=(1, 2, 3, 4))
    assert f"site        {'x' * 21}...  5/5" in told
    assert "diagnosis   a b " in told
    assert "fact        value                     class 4\n" in told
    assert read(folder / "facts.csv")[-2]["value"] == "x" * 40


def test_disease_stimulation_and_stage_are_described_by_class_and_diagnosis(
    described: Described,
) -> None:
    """In the form of TSA, Table VI, expressions, Table 2, and YouTubePD, Tables 11 and 12."""
    ill = {"diagnosis": "PD", "sex": "m", "medication_state": "off", "recording_protocol": "phone"}
    rows: Rows = [
        {"subject_id": "S1", "item": "gait", "grade": 1, "stimulation_state": "on",
         "hoehn_yahr": 2.5, "disease_years": 4, "hours_since_dose": 12, **ill},
        {"subject_id": "S1", "item": "gait", "grade": 3, "stimulation_state": "off",
         "hoehn_yahr": 2.5, "disease_years": 4, "dyskinesia": "none", **ill},
        {"subject_id": "S2", "item": "gait", "grade_status": "unable", "site": "Ulm",
         "disease_years": 11, **ill},
        {"subject_id": "S3", "item": "gait", "grade": 0, "diagnosis": "healthy", "sex": "f"},
    ]  # fmt: skip
    told, folder = described(rows)
    facts = {(row["fact"], row["value"]): row for row in read(folder / "facts.csv")}
    wanted = {
        ("stimulation", "on"): ("1", "1", "0"),
        ("stimulation", "not given"): ("2", "1", "0"),
        ("medication/stim.", "off/on"): ("1", "1", "0"),
        ("medication/stim.", "off/off"): ("1", "0", "1"),
        ("Hoehn and Yahr", "2.5"): ("2", "1", "1"),
        ("disease years", "0 to 4"): ("2", "1", "1"),
        ("disease years", "10 to 14"): ("1", "0", "0"),
        ("dyskinesia", "none"): ("1", "0", "1"),
        ("protocol", "phone"): ("3", "1", "1"),
        ("grade status", "unable"): ("1", "0", "0"),
    }
    columns = ("all recordings", "class 0 recordings", "class 1 recordings")
    assert {key: tuple(facts[key][name] for name in columns) for key in wanted} == wanted
    years = [row["value"] for row in read(folder / "facts.csv") if row["fact"] == "disease years"]
    assert years == ["0 to 4", "10 to 14", "not given"]
    groups = {row["group"]: row for row in read(folder / "groups_by_diagnosis.csv")}
    assert groups["PD"]["disease years mean"] == "7.5"
    assert groups["PD"]["with disease years subjects"] == "2"
    assert groups["PD"]["hours since dose mean"] == "12.0"
    assert groups["healthy"]["disease years mean"] == ""
    (women,) = [row for row in read(folder / "facts_by_diagnosis.csv") if row["value"] == "f"]
    assert (women["PD subjects"], women["healthy subjects"]) == ("0", "1")
    assert "note: 1 of 4 recordings could not be rated and take no part: gait 1;" in told


def test_an_output_that_cannot_be_made_is_refused(described: Described, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(SettingsError, match="output: nothing can be written"):
        described(HAND)
