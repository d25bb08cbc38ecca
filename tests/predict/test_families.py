"""Every model of the registry grades new recordings as its study evaluated them."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.config import load
from pdray.data.media.tracks import read_track, write_track
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.models import MODELS
from pdray.predict import unlike
from pdray.predict.run import predict_new
from pdray.predict.settings import PredictConfig
from pdray.tracking.run_log import StudyLog
from pdray.training.estimators import intensities
from tests.predict.small_studies import QUICK
from tests.predict.test_run import SHARES

AS_FAR = {"tsa": 1, "motion_linear": 1, "region_attention": 4}
"""Of six people, how many are as far as noise."""
WITHOUT = ("fusion",)
"""Models whose descriptions are no vectors."""


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name, entry in MODELS.items()
        if entry.predicts
    ],
)
def test_every_model_grades_those_it_did_not_see_as_the_trial_did_and_notes_who_is_unlike(
    study_of: Callable[[str], StudyLog],
    write_video: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setattr(unlike, "LEAST", 6)  # six people cannot show 5%
    monkeypatch.setattr(unlike, "ALPHA", 2 / 7)
    monkeypatch.setattr(intensities, "FEWEST_SUBJECTS", 2)  # a training side has four people
    study, lines = study_of(name), list[str]()
    rows = study.folder.parents[2] / "rows.csv"
    noise = np.random.default_rng(1).integers(0, 255, (28, 32, 32, 3), np.uint8)
    known = pd.read_csv(rows, dtype=str)
    new = known.iloc[:1]
    known["intensities"] = [str(rows.parent / file) for file in known["intensities"]]
    if not {"landmarks", "mfcc", "intensities"} & {*MODELS[name].sees}:
        regions = read_track(Path(new.loc[0, "regions"]))
        write_track(tmp_path / "new.npz", replace(regions, points=regions.points + 0.01))
        new = new.assign(recording_id="R1", subject_id="N1", regions=tmp_path / "new.npz",
                         video=write_video("noise.mp4", noise), audio="", landmarks="",
                         intensities="")  # fmt: skip
        known = pd.concat([known, new])
    known.to_csv(tmp_path / "both.csv", index=False)
    words = [f"data.manifest={tmp_path / 'both.csv'}", f"output={tmp_path / 'new.csv'}",
             "data.allow_outside=true"]  # fmt: skip
    predict_new(load(PredictConfig, [f"study={study.folder}", *words]), lines.append)
    now = pd.read_csv(tmp_path / "new.csv", comment="#").set_index("recording_id")
    then = by_recording(read_predictions(study.trial(0).predictions_path)).set_index("recording_id")
    pd.testing.assert_frame_equal(now[SHARES][:6], then[SHARES], check_exact=True)
    assert now["num_models"].tolist() == [1] * 6 + [3] * (len(known) - 6)
    told = now["note"].astype(str).str.contains("unlike the training recordings")
    assert not told[:6].any()
    if name in AS_FAR:
        assert told["R1"] == (AS_FAR[name] <= 1)
    why = f"not compared with the training recordings: {name} gives no vector of numbers"
    assert any(why in line for line in lines) == (name in WITHOUT)
    assert sum("not compared" in line for line in lines) == (name in WITHOUT)
