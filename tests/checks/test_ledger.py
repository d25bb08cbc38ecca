from pathlib import Path

from pdray.checks.case import Case
from pdray.checks.ledger import run
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import Scoring, note_scoring, note_study, subject_marks
from tests.checks.cases import cohort_of, make_case

HELD = [f"S{s:03d}" for s in (0, 1, 8, 9)]


def scored(output: Path) -> Case:
    """Return a case whose own scoring is listed twice, as after a stop, and once by a job."""
    case = make_case(output, cohort_of(16), held=[HELD])
    case.study.folds_path.write_text(folds_to_json(case.cohort.folds))
    for job in ("search", "search", "evaluate"):
        note_study(output, case.study, job=job, model="winner")
    return case


def other(output: Path, tested: list[str], *, name: str = "other", digest: str = "d" * 64) -> None:
    note_scoring(
        output,
        Scoring("search", name, 0, "abc", "manifest.csv", "winner", digest, f"id of {name}",
                subject_marks(tested)),
    )  # fmt: skip


def test_lines_of_the_study_itself_other_people_and_other_manifests_do_not_count(
    tmp_path: Path,
) -> None:
    case = scored(tmp_path)
    other(tmp_path, ["S002", "S003"])
    other(tmp_path, HELD, name="edited", digest="e" * 64)
    found = run(case)
    assert found.state == "passed"
    assert found.found == "no other study is known to have scored any of the 4 subjects"


def test_studies_that_scored_the_same_subjects_are_counted_once_each(tmp_path: Path) -> None:
    case = scored(tmp_path)
    for name, tested in (("a", HELD[:1]), ("a", HELD[:2]), ("b", ["S001", "S002"])):
        other(tmp_path, tested, name=name)
    found = run(case)
    assert found.state == "warning"
    assert found.found.startswith("2 other studies scored 2 of the 4 subjects")


def test_the_searches_in_outer_folds_are_of_one_study(tmp_path: Path) -> None:
    case = scored(tmp_path)
    for fold in range(2):
        other(tmp_path, [HELD[fold]], name=f"nested-outer-0{fold}")
    assert run(case).found.startswith("1 other study scored 2 of the 4 subjects")


def test_a_new_study_under_an_old_name_is_another_study(tmp_path: Path) -> None:
    case = scored(tmp_path)
    other(tmp_path, HELD, name=case.study.name)
    assert run(case).numbers["studies"] == 1


def test_a_scored_study_without_a_line_counts(tmp_path: Path) -> None:
    case = scored(tmp_path)
    log = StudyLog(tmp_path / "studies" / "unlisted")
    log.start(name="unlisted", settings={}, tags={"manifest_digest": "d" * 64})
    log.folds_path.write_text(folds_to_json(Folds(frozenset(HELD[:3]), (frozenset({"x"}),))))
    assert run(case).state == "passed"
    log.winner.folder.mkdir()
    log.winner.predictions_path.touch()
    assert run(case).numbers == {"studies": 1, "subjects": 3, "scored": 4, "unknown_studies": 0}
    (tmp_path / "studies" / "torn").mkdir()
    (tmp_path / "studies" / "torn" / "study.json").write_text("{")
    assert run(case).numbers["studies"] == 1


def test_a_list_of_an_earlier_version_leaves_it_open(tmp_path: Path) -> None:
    case = scored(tmp_path)
    note_scoring(tmp_path, Scoring("tsa.table5", "old", 0, "abc", "manifest.csv", "a"))
    found = run(case)
    assert found.state == "unknown"
    assert "of 1 study of a manifest of this name" in found.found
    other(tmp_path, HELD)
    assert run(case).state == "warning"
