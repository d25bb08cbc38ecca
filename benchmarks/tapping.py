"""Predicts grades of real finger tapping by cross-validation over people, and keeps the tables.

    python -m benchmarks.tapping PACK FOLDER     # about one minute on one core

PACK is the folder of the Rochester finger-tapping pack (Islam et al. 2023, npj Digit. Med. 6:156;
MIT licence): 489 recordings of one hand, 241 people, graded 0 to 4 by three experts and two others.
FOLDER gets predictions tables, which ``jobs/evaluate.py`` and ``jobs/compare.py`` read:

- ``logistic.csv`` and ``forest.csv``: five grades, by logistic regression and by random forest;
- ``logistic_two.csv`` and ``forest_two.csv``: grades 0 and 1 against 2, 3 and 4;
- the same names with ``_repeated``: three drawings of the folds, numbered in the column ``seed``.

Each of five folds holds other people; both hands of a person are always in one fold. Everything is
fitted on the other four folds: medians for missing values, scales, and the strength of the penalty,
which inner folds over people choose. All 116 features of the hand are used, since the published
choice of 53 was made on all rows. Age, gender and diagnosis are no features. ``grade`` is the
median of three experts (``rater_1`` to ``rater_3``); ``rater_4`` and ``rater_5`` are no experts.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.atomic import replacing

NUM_FOLDS, NUM_REPEATS = 5, 3
PENALTIES = [0.003, 0.01, 0.03, 0.1, 0.3]
RATERS = ("expert1", "expert2", "expert3", "nonexpert1", "nonexpert2")
CUTS = {"": (1, 2, 3, 4), "_two": (2,)}


def main(pack: Path, folder: Path) -> None:
    """Read the pack, predict, and write the tables."""
    clips = pd.read_csv(pack / "clips.csv")
    features = json.loads((pack / "feature_sets.json").read_text())["all_116"]
    folder.mkdir(parents=True, exist_ok=True)
    for suffix, cuts in CUTS.items():
        classes = np.searchsorted(cuts, clips["rating"], side="right")
        for name in ("logistic", "forest"):
            repeats = [
                predict(name, clips[features], classes, clips["subject_id"], seed)
                for seed in range(NUM_REPEATS)
            ]
            tables = [
                predictions(clips, classes, *found, seed) for seed, found in enumerate(repeats)
            ]
            write(tables[0], folder / f"{name}{suffix}.csv")
            write(pd.concat(tables), folder / f"{name}{suffix}_repeated.csv")


def predict(
    name: str, features: pd.DataFrame, classes: np.ndarray, people: pd.Series, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return (N, K) probabilities of people whom the model has not seen, and their (N,) folds."""
    shares = np.zeros((len(features), classes.max() + 1))
    folds = np.full(len(features), -1)
    for fold, (training, test) in enumerate(sides(classes, people, NUM_FOLDS, seed)):
        model = MODELS[name](seed)
        inner = list(sides(classes[training], people.iloc[training], 3, seed))
        if isinstance(model, GridSearchCV):
            model.set_params(cv=inner)
        model.fit(features.iloc[training], classes[training])
        # A grade without a person in the training set has probability 0.
        shares[np.ix_(test, model.classes_)] = model.predict_proba(features.iloc[test])
        folds[test] = fold
    return shares, folds


def sides(
    classes: np.ndarray, people: pd.Series, number: int, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (training, test) rows of folds over people."""
    folds = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    for training, test in folds.split(np.zeros(len(classes)), classes, people):
        assert not set(people.iloc[training]) & set(people.iloc[test])
        yield training, test


def logistic(seed: int) -> GridSearchCV:
    """Return a logistic regression whose penalty is chosen by the log loss of inner folds."""
    steps = make_pipeline(
        SimpleImputer(strategy="median"), StandardScaler(), LogisticRegression(max_iter=2000)
    )
    penalties = {"logisticregression__C": PENALTIES}
    return GridSearchCV(steps, penalties, scoring="neg_log_loss")


def forest(seed: int) -> Any:
    """Return a random forest; a leaf holds at least five recordings."""
    trees = RandomForestClassifier(300, min_samples_leaf=5, random_state=seed)
    return make_pipeline(SimpleImputer(strategy="median"), trees)


MODELS = {"logistic": logistic, "forest": forest}


def predictions(
    clips: pd.DataFrame, classes: np.ndarray, shares: np.ndarray, folds: np.ndarray, seed: int
) -> pd.DataFrame:
    """Return one row per recording."""
    table = pd.DataFrame(
        {
            "recording_id": clips["clip_id"],
            "subject_id": clips["subject_id"],
            "item": "finger_tapping",
            "side": clips["hand"],
            "site": clips["site"],
            "sex": clips["gender"],
            "outer_fold": folds,
            "seed": seed,
            "grade": clips["rating"],
            "target": classes,
        }
    )
    for number, name in enumerate(RATERS, start=1):
        table[f"rater_{number}"] = clips[name]
    for k in range(shares.shape[1]):
        table[f"probability_{k}"] = shares[:, k]
    return table


def write(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV and print its size."""
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
    print(f"{path.name}: {len(table)} rows of {table['subject_id'].nunique()} people")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
