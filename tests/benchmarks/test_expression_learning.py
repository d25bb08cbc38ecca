"""The whole benchmark of expressions; it draws cohorts and trains, which takes minutes."""

from pathlib import Path

import pytest

from benchmarks import expression_learning
from benchmarks.expression_ceiling import separation
from benchmarks.expression_learning import (
    Size,
    demo,
    draw,
    fit_config,
    measure,
    scored,
    tell_phrases,
    train,
)
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


@pytest.mark.integration
@pytest.mark.timeout(600)
def test_a_short_training_from_random_weights_reads_expressions_and_phrases(tmp_path: Path) -> None:
    """The short form of the benchmark, on seeds that settings were chosen on."""
    config = fit_config(Size(changes={"optim": {"epochs": 30}}))
    actors = draw(tmp_path, demo(200, 60, healthy=True, num_visits=2), config)
    cohort = draw(tmp_path, demo(201, 40, healthy=False), config)
    network = train(actors, config)
    found = scored(network, [cohort], config)
    # Measured: 0.72, 0.45 and 0.86; guessing has 0.25, 0.25 and 0.5.
    healthy, severe = (
        found.is_right[chosen].mean() for chosen in (found.grades == 0, found.grades >= 3)
    )
    assert healthy > 0.5
    assert severe < healthy - 0.1
    assert separation(found.cosines.reshape(-1, 16), found.grades >= 2) > 0.65
    report = Report()
    tell_phrases(network, found, report)
    assert not report.missed


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
