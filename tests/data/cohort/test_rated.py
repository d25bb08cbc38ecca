import pytest

from pdray.data.cohort.rated import RatedRecording, expected_counts, rater_shares, table_rows
from pdray.errors import ManifestError


@pytest.mark.parametrize(
    ("raters", "grade", "shares"),
    [
        ((1, 2, 2, 4), 2, [0, 0.25, 0.5, 0, 0.25]),
        ((3, None, 1), 3, [0, 0.5, 0, 0.5, 0]),  # who did not rate has no vote, nor the consensus
        ((0, 0), 4, [1, 0, 0, 0, 0]),
        ((None, None), 4, [0, 0, 0, 0, 1]),
        ((), 2, [0, 0, 1, 0, 0]),
        ((2,), None, [0, 0, 1, 0, 0]),
    ],
)
def test_every_rater_who_rated_has_one_vote(raters, grade, shares):
    assert rater_shares(raters, grade, (1, 2, 3, 4)).tolist() == shares


def test_votes_are_for_classes_not_grades():
    assert rater_shares((0, 1, 2, 4), 1, (2,)).tolist() == [0.5, 0.5]
    assert rater_shares((0, 1, 1), 1, (2,)).tolist() == [1, 0]
    assert rater_shares((1, 2, 3), 2, (1, 3)).tolist() == pytest.approx([0, 2 / 3, 1 / 3])


def test_a_recording_that_nobody_rated_is_refused():
    with pytest.raises(ManifestError, match="none of 2 raters gave a grade and there is no cons"):
        rater_shares((None, None), None, (2,))


def test_expected_counts_add_the_shares():
    shares = [rater_shares(votes, None, (1, 2, 3)) for votes in ((0, 0), (0, 1), (1, 1), (0, 1))]
    assert expected_counts(shares) == [2.0, 2.0, 0.0, 0.0]


def test_a_class_with_part_of_a_vote_counts_once():
    shares = [rater_shares(votes, None, (1, 2)) for votes in ((0, 0, 0, 1), (0, 0), (0, 0))]
    assert expected_counts(shares) == [2.75, 1.0, 0.0]


def test_rows_of_a_table_have_each_fact_that_a_recording_has():
    first = RatedRecording("r1", "S1", "gait", 3, 1, None, facts={"side": "left", "rater_2": 3.0})
    second = RatedRecording("r2", "S2", "gait", 0, 0, None, facts={"sex": "f"})
    rows = table_rows([first, second], num_snippets=2)
    assert rows == {
        "recording_id": ["r1", "r1", "r2", "r2"],
        "subject_id": ["S1", "S1", "S2", "S2"],
        "item": ["gait"] * 4,
        "grade": [3, 3, 0, 0],
        "target": [1, 1, 0, 0],
        "snippet": [0, 1, 0, 1],
        "side": ["left", "left", None, None],
        "rater_2": [3.0, 3.0, None, None],
        "sex": [None, None, "f", "f"],
    }
