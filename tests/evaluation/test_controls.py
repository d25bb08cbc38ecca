import numpy as np
import pandas as pd
import pytest

from pdray.errors import StudyError
from pdray.evaluation.controls import (
    Known,
    as_binary,
    constant_control,
    group_control,
    mixed_groups,
    within_group,
)
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import (
    Origin,
    check_predictions,
    predictions_table,
    probabilities,
    targets,
)

# Recordings of each grade 0..5 in YouTubePD's public split, by side and collection batch.
COUNTS = {
    ("train", "A"): (25, 8, 5, 6, 12, 5),
    ("train", "B"): (11, 0, 0, 0, 0, 0),
    ("test", "A"): (24, 7, 3, 4, 5, 2),
    ("test", "B"): (126, 0, 0, 0, 0, 0),
}


def spread(side: str) -> list[Known]:
    return [
        Known(grade, batch)
        for (where, batch), counts in COUNTS.items()
        if where == side
        for grade, count in enumerate(counts)
        for _ in range(count)
    ]


@pytest.fixture
def scored() -> tuple[pd.DataFrame, dict[str, object]]:
    """Predictions of a made-up model on the 171 test recordings, and their batches."""
    held = spread("test")
    names = [f"video{number}" for number in range(len(held))]
    grades = [one.target for one in held]
    rows = {
        "recording_id": names,
        "snippet": [0] * len(held),
        "subject_id": names,
        "item": ["face_interview"] * len(held),
        "grade": grades,
        "target": grades,
    }
    logits = np.random.default_rng(0).standard_normal((len(held), 6))
    origin = Origin(study="s", trial=0, fold=-1, epoch=0, split="test")
    table = predictions_table(origin, rows, logits)
    return table, dict(zip(names, (one.group for one in held), strict=True))


def scores(table: pd.DataFrame, *names: str) -> list[float]:
    return [score(name, targets(table), probabilities(table)) for name in names]


def test_the_batch_alone_scores_what_is_known_of_it(scored) -> None:
    table, batches = scored
    control = group_control(table, spread("train"), batches)
    check_predictions(control)
    found = scores(as_binary(control), "auroc", "accuracy", "f1_macro", "recall")
    auroc, accuracy, _, recall = found
    assert auroc == pytest.approx(138 / 150)  # 126 of 150 below every ill one, 24 level with them
    assert accuracy == pytest.approx(147 / 171)
    assert recall == 1.0
    ill = as_binary(within_group(control, batches, "A"))
    assert scores(ill, "auroc") == [0.5]


def test_the_constant_is_the_most_frequent_class(scored) -> None:
    table, _ = scored
    control = constant_control(table, spread("train"))
    np.testing.assert_allclose(
        probabilities(control), np.tile(np.array([36, 8, 5, 6, 12, 5]) / 72, (171, 1))
    )
    assert scores(control, "accuracy", "mcc") == [pytest.approx(150 / 171), 0.0]
    assert scores(as_binary(control), "auroc", "recall") == [0.5, 0.0]


def test_a_group_nobody_learnt_from_has_the_frequencies_of_all(scored) -> None:
    table, batches = scored
    control = group_control(table, spread("train"), dict.fromkeys(batches, "C"))
    pd.testing.assert_frame_equal(control, constant_control(table, spread("train")))


def test_ill_is_any_grade_above_zero(scored) -> None:
    table, _ = scored
    two = as_binary(table)
    check_predictions(two)
    np.testing.assert_array_equal(targets(two), targets(table) > 0)
    np.testing.assert_allclose(probabilities(two)[:, 1], probabilities(table)[:, 1:].sum(axis=1))
    assert two["grade"].tolist() == table["grade"].tolist()


def test_one_group_by_itself(scored) -> None:
    table, batches = scored
    assert len(within_group(table, batches, "A")) == 45
    with pytest.raises(StudyError, match="none of 171 predictions is in group 'C'"):
        within_group(table, batches, "C")
    del batches["video7"]
    with pytest.raises(
        StudyError, match=r"the group of recording video7 is unknown \(1 such recordings\)"
    ):
        within_group(table, batches, "A")


def test_callers_mistakes_are_named(scored) -> None:
    table, _ = scored
    with pytest.raises(ValueError, match="need at least one training recording, got none"):
        constant_control(table, [])
    with pytest.raises(ValueError, match=r"training classes \[6\] are outside 0\.\.5"):
        constant_control(table, [Known(6, "A")])


def test_groups_with_both_healthy_and_ill_rows_are_named_in_order() -> None:
    table = pd.DataFrame({"recording_id": list("abcdef"), "target": [0, 2, 0, 0, 1, 0]})
    groups = dict(zip("abcdef", "BBCCAA", strict=True))
    assert mixed_groups(table, groups) == ["A", "B"]
    assert mixed_groups(table, {**groups, "c": None}) == []
    assert mixed_groups(table, dict.fromkeys("abcdef", "A")) == []
