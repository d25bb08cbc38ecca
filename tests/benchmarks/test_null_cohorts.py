import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from benchmarks import null_cohorts
from benchmarks.null_cohorts import CHANCE, Outcome, draw, rejected, report, search, value_of


def with_signal(num_subjects: int) -> null_cohorts.Drawn:
    drawn = draw(num_subjects, 0)
    return null_cohorts.Drawn(drawn.recordings, drawn.x + 1.5 * drawn.classes[:, None])


def test_the_closed_form_is_ridge_regression_on_standardised_numbers() -> None:
    drawn = draw(16, 1)
    learnt = np.arange(len(drawn.classes)) % 3 > 0
    scores = null_cohorts.ridge_scores(drawn.x, drawn.classes, learnt[None])[0]
    for place, (width, penalty) in enumerate(
        (width, penalty) for width in null_cohorts.WIDTHS for penalty in null_cohorts.PENALTIES
    ):
        scaler = StandardScaler().fit(drawn.x[learnt, :width])
        known = Ridge(penalty).fit(
            scaler.transform(drawn.x[learnt, :width]), 2 * drawn.classes[learnt] - 1
        )
        right = known.predict(scaler.transform(drawn.x[:, :width]))
        np.testing.assert_allclose(scores[place], right, atol=1e-9)


def test_a_signal_is_found_and_nothing_is_found_without_one() -> None:
    rows = search(with_signal(40), 0)
    assert value_of("auroc", rows) > 0.9
    assert rejected(with_signal(40), rows, 0, fixed=False) == {"mcc": True, "auroc": True}
    null = draw(40, 1)
    assert rejected(null, search(null, 1), 1, fixed=False) == {"mcc": False, "auroc": False}


def test_every_subject_is_scored_once_by_models_that_did_not_learn_from_it() -> None:
    """Folds of recordings would score subjects by models that know them."""
    drawn = draw(16, 3)
    rows, leaky = search(drawn, 3), search(drawn, 3, by_subject=False)
    per_subject = [len(set(rows.network[rows.subject == s])) for s in range(16)]
    assert per_subject == [1] * 16
    assert max(len(set(leaky.network[leaky.subject == s])) for s in range(16)) > 1


@pytest.mark.parametrize(
    ("covers", "rejects", "missed"),
    [(True, False, 0), (False, False, 3), (None, False, 0), (True, True, 2)],
)
def test_each_target_can_be_missed(covers: bool | None, rejects: bool, missed: int) -> None:
    both = dict.fromkeys(null_cohorts.TESTED, rejects)
    one = Outcome(dict(CHANCE), dict.fromkeys(CHANCE, covers), both, both, None)
    text, found = report({16: [one] * 10})
    assert len(found) == missed
    assert "mcc" in text
