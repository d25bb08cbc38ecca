"""The whole benchmark of expressions; it draws cohorts and trains, which takes minutes."""

from pathlib import Path

import pytest

from benchmarks import expression_learning
from benchmarks.expression_learning import Size, fit_config, measure
from benchmarks.expression_scores import Report


def test_the_settings_are_those_of_the_search_space_and_a_wrong_word_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = fit_config(Size())
    assert (config.model.name, config.model.stem, config.model.norm) == (
        "expression_clip", "convolution", "batch",
    )  # fmt: skip
    assert expression_learning.main(["quik=true"]) == 2
    assert "quik=true" in capsys.readouterr().err


# Measured on SYNTHETIC cohorts and written down in docs/results/learning.md.
MISSED = {
    "a drop of at least 0.2, interval above 0.1",
    "happiness: at most -0.5",
    "anger: at most -0.5",
}


@pytest.mark.slow
def test_expressions_are_learnt_from_random_weights_and_tell_who_is_ill(tmp_path: Path) -> None:
    report = Report()
    measure(tmp_path, Size(), report)
    assert set(report.missed) <= MISSED
