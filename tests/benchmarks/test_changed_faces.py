"""The benchmark of changed faces, in its short form."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import changed_faces
from benchmarks.changed_faces import METHODS, SEEDS, Found, limits, read_words, with_mean_change
from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.evaluation.translation_rows import SOURCE
from pdray.evaluation.translation_scores import Measure, RowScores

NAMES = [name for name in RowScores.__dataclass_fields__ if name != "pictures"]
GOOD = {"called_ill": 0.5, "excess": 0.3, "right_person": 0.95, "error": 4.0, "kernel_ill": 0.1}
BAD = {"called_ill": 0.3, "excess": 0.1, "right_person": 0.8, "error": 4.6, "kernel_ill": 0.3}


def scores(values: Mapping[str, float]) -> RowScores:
    made = {name: Measure(one, 60, low=one - 0.1) for name, one in values.items()}
    return RowScores(60, **{**dict.fromkeys(NAMES, Measure(0.0, 60)), **made})


def found(**rows: RowScores) -> Found:
    source = scores({"called_ill": 0.05, "error": 5.0, "kernel_ill": 0.2})
    controls = {f"{name} shuffled": scores({"excess": 0.05}) for name in METHODS}
    good = {name: scores(GOOD) for name in METHODS}
    return Found({SOURCE: source, **good, **controls, **rows}, (0.1, 0.2, 0.3), 0.6, (), {})


def missed(one: Found) -> list[str]:
    return [limit.told.partition(":")[0] for limit in limits(one, METHODS) if not limit.holds]


def test_each_limit_is_missed_by_its_own_measure_alone() -> None:
    good = found()
    assert len(limits(good, METHODS)) == 3 * 5 + 1 + 1 + 1 + 3
    assert missed(good) == []
    for name in BAD:
        assert missed(found(cut=scores({**GOOD, name: BAD[name]}))) == ["cut"]
    wide = replace(scores(GOOD), excess=Measure(0.3, 60, low=-0.01))
    assert missed(found(cut=wide)) == ["cut"]
    absent = replace(scores(GOOD), excess=Measure(None, 0, 60))
    assert missed(found(cut=absent)) == ["cut"]


def test_all_measures_must_agree_for_two_methods_and_the_controls_must_fail() -> None:
    one_measure = scores({**GOOD, "error": BAD["error"]})
    both = missed(found(cut=one_measure, hrfae=one_measure))
    assert both == ["cut", "hrfae", "all four limits hold for at least two methods"]
    good = found()
    assert "the judge's mean" in next(
        one.told for one in limits(replace(good, rising=(0.1, 0.3, 0.2)), METHODS) if not one.holds
    )
    assert "a warning" in next(
        one.told for one in limits(replace(good, guided=0.4), METHODS) if not one.holds
    )
    for excess in (-0.11, 0.11):
        name = "cut shuffled"
        assert missed(found(**{name: scores({"excess": excess})})) == [name]


def test_words_are_read(capsys: pytest.CaptureFixture[str]) -> None:
    asked, wrong = read_words(
        ["seed=400", "methods=[cut]", "shuffled=false", "model.learning_rate=0.0005"]
    )
    assert asked is not None
    assert not wrong
    assert (asked.seeds, asked.methods, asked.shuffled) == ((400,), ("cut",), False)
    assert asked.given == {"model": {"learning_rate": 0.0005}}
    whole, _ = read_words([])
    assert whole is not None
    assert (whole.seeds, whole.methods, whole.shuffled) == (SEEDS, METHODS, True)
    assert changed_faces.main(["quik=true"]) == 2
    assert "unknown quik" in capsys.readouterr().out
    assert changed_faces.main(["methods=[tsa]"]) == 2
    assert "methods: unknown tsa; choose from cyclegan, cut, hrfae" in capsys.readouterr().out


def test_the_rival_without_a_network_adds_one_change_to_every_picture(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 256, (4, 3, 64, 64, 3), dtype=np.uint8)
    learnt = []
    for number, some in enumerate(pictures):
        path = tmp_path / f"{number}.arrow"
        with EntryWriter(path, StoreConfig(codec="raw")) as entry:
            for place, one in enumerate(some):
                entry.append(float(place), one)
        learnt.append(RatedRecording(
            recording_id=f"R{number}", subject_id=f"S{number}", item="face_interview", grade=0,
            target=number % 2, video=None, stored={"portraits": path},
        ))  # fmt: skip
    sources = rng.integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    made = with_mean_change(learnt, sources)
    change = pictures[1::2].astype(float).mean((0, 1)) - pictures[::2].astype(float).mean((0, 1))
    assert np.abs(change).max() > 50
    np.testing.assert_allclose(made, (sources + change).clip(0, 255), atol=0.5001)
