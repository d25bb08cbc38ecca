"""The people of the table of changed faces; the table itself is made by tests/integration."""

import pytest

from benchmarks import changed_table
from benchmarks.changed_table import clear, persons


def row(subject: str, visit: int, grade: int) -> dict[str, str]:
    name = f"{subject}_{visit}"
    return {
        "recording_id": name, "subject_id": subject, "grade": str(grade), "video": f"{name}.mp4",
        "landmarks": f"{name}.npz", "site": "SYNTHETIC", "item": "face_interview",
    }  # fmt: skip


def test_a_person_is_a_class_and_a_visit_is_a_subject_on_the_usual_side() -> None:
    grades = {"S2": [0, 1, 3], "S1": [4, 2, 0]}
    rows = [row(name, k, one) for name, many in grades.items() for k, one in enumerate(many)]
    found = [*persons(rows)]
    assert [one["recording_id"] for one in found] == ["S2_0", "S2_1", "S1_0", "S1_1"]
    assert [one["subject_id"] for one in found] == [one["recording_id"] for one in found]
    assert [one["grade"] for one in found] == ["1", "1", "0", "0"]
    assert {one["item"] for one in found} == {"action"}


def test_visits_that_are_neither_healthy_nor_clearly_ill_are_left_out() -> None:
    rows = [row("S1", k, grade) for k, grade in enumerate((0, 1, 2, 5))]
    assert [one["grade"] for one in clear(rows)] == ["0", "2", "5"]


def test_a_wrong_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert changed_table.main(["quick=true"]) == 2
    assert changed_table.main(["folder=x", "quik=true"]) == 2
    assert "error: write folder=FOLDER" in capsys.readouterr().out
