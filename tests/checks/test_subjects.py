from pathlib import Path

from pdray.checks.subjects import run
from tests.checks.cases import cohort_of, make_case


def test_a_class_with_few_subjects_on_a_side_is_named(tmp_path: Path) -> None:
    assert run(make_case(tmp_path, cohort_of(64))).state == "passed"
    few = run(make_case(tmp_path, cohort_of(40)))  # 10 are held out, 5 of each class
    assert (few.state, few.found) == ("warning", "scored: 10 subjects, 12 are needed")
    ill = cohort_of(64, grade=lambda s, r: 4 * (s < 4))
    rare = run(make_case(tmp_path, ill))
    assert rare.found == (
        "scored: 2 subjects of class 1, 5 are needed; learnt from: 2 subjects of class 1 "
        "(test set), 5 are needed"
    )
    assert rare.numbers == {"scored": 16, "scored_0": 14, "scored_1": 2}


def test_recordings_without_a_subject_are_not_people(tmp_path: Path) -> None:
    unnamed = cohort_of(
        64, 1, subject_id=lambda s, r: f"S{s:03d}_R{r}", item=lambda s, r: "face_interview"
    )
    data = {"subjects": "none", "items": ["face_interview"]}
    found = run(make_case(tmp_path, unnamed, settings={"data": data}))
    assert (found.state, found.found) == (
        "unknown",
        "64 recordings without a subject each count as one; how many people there are is not known",
    )


def test_subjects_of_all_outer_folds_are_scored_together(tmp_path: Path) -> None:
    recordings = cohort_of(20)
    folds = [[f"S{s:03d}" for s in range(20) if s // 2 % 5 == fold] for fold in range(5)]
    assert run(make_case(tmp_path, recordings, held=folds)).state == "passed"
