import numpy as np
import pandas as pd
import pytest

from pdray.evaluation.predictions import probabilities
from pdray.papers.decision import in_two_steps


def table_of(*shares: tuple[float, ...]) -> pd.DataFrame:
    columns = {f"probability_{k}": column for k, column in enumerate(zip(*shares, strict=True))}
    return pd.DataFrame({"recording_id": [f"r{i}" for i in range(len(shares))], **columns})


@pytest.mark.parametrize(
    ("shares", "decided"),
    [
        ((0.4, 0.2, 0.25, 0.15), 2),  # ill, though health is likelier than any grade
        ((0.5, 0.1, 0.1, 0.3), 3),  # just as likely ill as healthy: ill
        ((0.51, 0.0, 0.0, 0.49), 0),
        ((0.2, 0.4, 0.4, 0.0), 1),  # the lower one
    ],
)
def test_disease_is_asked_first(shares: tuple[float, ...], decided: int) -> None:
    table = in_two_steps(table_of(shares))
    np.testing.assert_array_equal(probabilities(table), np.eye(4)[[decided]])
    assert table["recording_id"].tolist() == ["r0"]


def test_two_classes_are_decided_by_the_one_question() -> None:
    decided = probabilities(in_two_steps(table_of((0.6, 0.4), (0.3, 0.7)))).argmax(axis=1)
    assert decided.tolist() == [0, 1]
