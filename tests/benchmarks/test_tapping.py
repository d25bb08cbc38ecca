import numpy as np
import pandas as pd

from benchmarks.tapping import RATERS, predict, predictions
from pdray.evaluation.metrics import score
from pdray.evaluation.predictions import probabilities, targets


def test_people_are_apart_and_what_names_a_person_is_no_score() -> None:
    draws = np.random.default_rng(0)
    people = pd.Series([f"s{n // 2}" for n in range(120)])
    classes = np.repeat(draws.integers(0, 2, size=60), 2)
    # Both hands of a person share these numbers, which are noise otherwise.
    features = pd.DataFrame(np.repeat(draws.normal(size=(60, 3)), 2, axis=0))
    features.iloc[::7, 1] = np.nan
    shares, folds = predict("forest", features, classes, people, seed=0)
    assert pd.Series(folds).groupby(people).nunique().max() == 1
    assert set(folds) == set(range(5))
    clips = pd.DataFrame({"clip_id": range(120), "subject_id": people, "hand": "left"})
    clips[["site", "gender", "rating", *RATERS]] = 0
    table = predictions(clips, classes, shares, folds, 0)
    assert score("auroc", targets(table), probabilities(table)) < 0.7  # split by rows: 0.84
