import pytest

from pdray.evaluation.statistics.intervals import too_few

CASES = {
    "11 subjects": ({0: 6, 1: 5}, 11, "each", "11, 12 are needed"),
    "4 of the rarer class": ({0: 9, 1: 4}, 13, "each", "4 of class 1, 5 are needed"),
    "two rare grades": (
        {0: 9, 1: 4, 2: 0, 3: 5},
        18,
        "each",
        "4 of class 1, 0 of class 2, 5 are needed",
    ),
    "only the positive class counts": ({0: 4, 1: 9}, 13, "positive", ""),
    "only the negative class counts": ({0: 4, 1: 9}, 13, "negative", "4 of class 0, 5 are needed"),
    "two grades are enough for a scale": ({0: 9, 1: 4, 2: 0, 3: 5}, 18, "scale", ""),
    "one grade is no scale": (
        {0: 12, 1: 4, 2: 2},
        18,
        "scale",
        "4 of class 1, 2 of class 2, 5 of two classes are needed",
    ),
    "enough": ({0: 7, 1: 5}, 12, "each", ""),
}


@pytest.mark.parametrize(("counts", "subjects", "classes", "reason"), CASES.values(), ids=CASES)
def test_the_least_number_of_subjects(counts, subjects, classes, reason):
    expected = f"too few subjects for an interval: {reason}" if reason else ""
    assert too_few(counts, subjects, classes) == expected
