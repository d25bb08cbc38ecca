import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.null_studies import NUM_EXCHANGES, exchanged_manifest, main, share_rejected


def test_grades_change_places_and_nothing_of_them_stays_in_the_manifest(
    write_manifest: Callable[..., Path],
) -> None:
    manifest = write_manifest(
        [
            {
                "recording_id": f"{subject}-{visit}", "subject_id": subject, "visit_id": visit,
                "item": "gait", "grade": (grade + place) % 5, "rater_1": grade,
            }
            for grade, subject in enumerate(("S1", "S2", "S3", "S4", "S5"))
            for place, visit in enumerate(("V1", "V2", "V3"))
        ]
    )  # fmt: skip
    before, after = (_grades(path) for path in (manifest, exchanged_manifest(manifest, 0)))
    assert before.keys() == after.keys()
    assert Counter(before.values()) == Counter(after.values())
    assert before != after
    assert _vectors(before, in_order=False) == _vectors(after, in_order=False)
    assert _vectors(before, in_order=True) != _vectors(after, in_order=True)
    assert "rater" not in exchanged_manifest(manifest, 0).read_text()


def _vectors(grades: dict[tuple[str, str], str], *, in_order: bool) -> Counter[tuple[str, ...]]:
    """Return how often each subject's grades occur, in the order of its visits or sorted."""
    people = sorted({subject for subject, _ in grades})
    found = [tuple(grades[one, visit] for visit in ("V1", "V2", "V3")) for one in people]
    return Counter(found if in_order else (tuple(sorted(one)) for one in found))


def _grades(path: Path) -> dict[tuple[str, str], str]:
    with path.open(newline="", encoding="utf-8") as file:
        return {(row["subject_id"], row["visit_id"]): row["grade"] for row in csv.DictReader(file)}


@pytest.mark.parametrize(
    ("values", "share"),
    [
        ([0.0] * 40, 0.0),  # a tie is as good
        ([float(i) for i in range(100)], 81 / 100),  # the first 19 of a falling ring
        ([1.0, *[0.0] * NUM_EXCHANGES], 1 / 20),
    ],
)
def test_a_study_is_significant_if_none_of_the_19_after_it_is_as_good(
    values: list[float], share: float
) -> None:
    falling = sorted(values, reverse=True)
    assert share_rejected(falling) == pytest.approx(share)


def test_other_words_run_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["folder", "fast"]) == 2
    assert "null_studies FOLDER" in capsys.readouterr().out
