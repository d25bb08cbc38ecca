from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.config import load
from pdray.data.media.tracks import read_track, write_track
from pdray.predict import unlike as module
from pdray.predict.run import predict_new
from pdray.predict.settings import PredictConfig
from pdray.predict.unlike import ALPHA, distances, p_values
from tests.predict.conftest import NETWORK, THREE, train
from tests.predict.test_families import settings_of, whole_rows


def test_a_distance_counts_standard_deviations_of_the_bank_and_no_idle_number() -> None:
    bank = np.array([[0.0, 5.0, np.nan, 1.0], [2.0, 5.0, np.nan, np.nan], [4.0, 5.0, np.nan, 3.0]])
    spread = np.std([0.0, 2.0, 4.0]), np.std([1.0, 3.0])
    new = np.array([[2.0, 5.0, 7.0, 2.0], [10.0, 9.0, 0.0, np.nan], [4.0, 5.0, 1.0, 4.0]])
    wanted = [0.0, 6 / spread[0], 1 / spread[1]]
    wanted[1] = np.hypot(6 / spread[0], 1 / spread[1])  # the nearest is the third of the bank
    assert distances(bank, bank).tolist() == [0.0, 0.0, 0.0]
    assert distances(bank, new).tolist() == pytest.approx(
        [0.0, min(wanted[1], 8 / spread[0]), wanted[2]]
    )


def test_a_p_value_is_counted_over_the_models_that_may_judge() -> None:
    held = [np.array([1.0, 2.0, 3.0]), np.array([10.0, 20.0])]
    new = [np.array([2.0, 9.0, 2.5]), np.array([15.0, 5.0, 99.0])]
    judges = [np.array([True, True, False]), np.array([True, False, True])]
    shares, counts = p_values(held, new, judges)
    # 2 and 3 are as far as 2, and 20 as 15; nothing as far as 9; nothing as far as 99.
    assert shares.tolist() == pytest.approx([(1 + 2 + 1) / 6, 1 / 4, 1 / 3])
    assert counts.tolist() == [5, 3, 2]


def test_of_recordings_like_those_of_the_study_about_five_percent_are_unlike() -> None:
    draw = np.random.default_rng(3)
    found = []
    for _ in range(20):
        study, new = draw.normal(size=(60, 4)), draw.normal(size=(200, 4))
        folds = np.arange(60) % 5
        near = [distances(study[folds != k], np.concatenate([study, new])) for k in range(5)]
        held = [one[:60][folds == k] for k, one in enumerate(near)]
        shares, _ = p_values(held, [one[60:] for one in near], [np.ones(200, np.bool_)] * 5)
        found.append(np.mean(shares <= ALPHA))
        far, _ = p_values(held, [np.array([99.0])] * 5, [np.ones(1, np.bool_)] * 5)
        assert far.tolist() == [1 / 61]
    assert 0.03 < np.mean(found) < 0.07


@pytest.mark.parametrize("name", ["tsa", "region_attention", "motion_linear", "fusion"])
def test_a_recording_that_few_are_as_far_as_is_noted_where_a_model_has_vectors(
    faces: Path,
    tmp_path: Path,
    write_video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    """Six people cannot show 5%: one of them is as far as noise, or four in features of regions."""
    monkeypatch.setattr(module, "LEAST", 6)
    monkeypatch.setattr(module, "ALPHA", 2 / 7)
    rows = whole_rows(faces, tmp_path, grade=["0", "3"] * 3)
    study = train(tmp_path / "output", rows, NETWORK if name == "tsa" else settings_of(name), THREE)
    noise = np.random.default_rng(1).integers(0, 255, (28, 32, 32, 3), np.uint8)
    new = pd.read_csv(rows, dtype=str).iloc[:1]
    regions = read_track(Path(new.loc[0, "regions"]))
    write_track(tmp_path / "new.npz", replace(regions, points=regions.points + 0.01))
    new = new.assign(recording_id="R1", subject_id="N1", regions=tmp_path / "new.npz",
                     video=write_video("noise.mp4", noise), audio="", landmarks="")  # fmt: skip
    pd.concat([pd.read_csv(rows, dtype=str), new]).to_csv(tmp_path / "both.csv", index=False)
    words = [f"data.manifest={tmp_path / 'both.csv'}", f"output={tmp_path / 'new.csv'}"]
    lines: list[str] = []
    predict_new(load(PredictConfig, [f"study={study.folder}", *words]), lines.append)
    notes = pd.read_csv(tmp_path / "new.csv", comment="#")["note"].astype(str)
    told = notes.str.contains("unlike the training recordings").tolist()
    assert told == [False] * 6 + [name in ("tsa", "motion_linear")]
    why = "not compared with the training recordings: fusion gives no vector of numbers"
    assert any(why in line for line in lines) == (name == "fusion")
    assert sum("not compared" in line for line in lines) == (name == "fusion")
