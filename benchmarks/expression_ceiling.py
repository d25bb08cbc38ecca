"""Ceiling of the demo's posed expressions: scores of exact landmarks, a yardstick for networks.

usage: python -m benchmarks.expression_ceiling [actors_seed] [cohort_seed ...]

Linear discriminant analysis learns the four expressions from the exact landmarks of healthy actors
of one seed. It then names the expressions of SYNTHETIC cohorts of other seeds, and a logistic
regression on its 16 scores of each visit (4 recordings x 4 expressions) separates ill from healthy
in five folds of subjects. It learns full expressions alone: a network that also learns how they
begin may name weak ones more often. The amplitudes of the expressions were chosen on seeds 100 and
101.
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.data.face.points import INDEX
from pdray.demo.cohort import points_of
from pdray.demo.illness.severity import POSED_ITEMS, DemoConfig, DemoRecording, plan_cohort

Doubles = NDArray[np.float64]
FOLDS = 5
SEEDS = (70, 71, 72, 73)  # of the actors, and of the cohorts: of no other benchmark
GRADES = range(5)
FPS = 10  # pictures per second


def config_of(seed: int, *, healthy: bool, num_subjects: int) -> DemoConfig:
    """Return the settings of actors or of a cohort, one whole visit each."""
    return DemoConfig(
        num_subjects=num_subjects, num_visits=1, items=POSED_ITEMS, missing=0.0, fps=FPS,
        healthy=healthy, seed=seed,
    )  # fmt: skip


def features(plan: Sequence[DemoRecording], config: DemoConfig) -> Doubles:
    """Return (N, 424): landmarks in the middle of each recording, and less those at its start.

    The unit is the distance between the eyes, the origin midway between them, the head upright.
    """
    rows = []
    for one in plan:
        points = points_of(one, config).points.astype(np.float64)
        left, right = (points[:, INDEX[f"{side}_eye_center"]] for side in ("left", "right"))
        across = (right - left) @ (1, 1j)
        z = (points - 0.5 * (left + right)[:, None]) @ (1, 1j) / across[:, None]
        middle, start = z[len(z) * 2 // 5 : len(z) * 4 // 5].mean(axis=0), z[:2].mean(axis=0)
        rows.append(np.concatenate([part for x in (middle, middle - start) for part in
                                    (x.real, x.imag)]))  # fmt: skip
    return np.array(rows)


def measure(actors_seed: int, cohort_seed: int, *, num_subjects: int = 120) -> dict[str, float]:
    """Return the ceilings of one cohort: accuracy by grade, and AUROC of ill against healthy."""
    actors = config_of(actors_seed, healthy=True, num_subjects=num_subjects)
    plan = plan_cohort(actors)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    model.fit(features(plan, actors), [POSED_ITEMS.index(one.item) for one in plan])
    cohort = config_of(cohort_seed, healthy=False, num_subjects=num_subjects)
    plan = plan_cohort(cohort)  # by subject, each with its four items in their order
    scores = model.decision_function(features(plan, cohort))
    is_right = scores.argmax(axis=1) == [POSED_ITEMS.index(one.item) for one in plan]
    grades = np.array([one.grade for one in plan])
    found = {f"accuracy, grade {g}": float(is_right[grades == g].mean()) for g in GRADES}
    visits, grade = scores.reshape(len(plan) // 4, -1), grades[::4]
    found["AUROC, grade >= 1 against 0"] = separation(visits, grade >= 1)
    kept = grade != 1
    found["AUROC, grade >= 2 against 0"] = separation(visits[kept], grade[kept] >= 2)
    found["AUROC, the same from the neutral recording"] = separation(
        visits[kept, :4], grade[kept] >= 2
    )
    return found


def separation(numbers: Doubles, is_ill: NDArray[np.bool_]) -> float:
    """Return the mean AUROC of five folds of subjects, each scored by a model of the others."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3, class_weight="balanced"))
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    guess = cross_val_predict(model, numbers, is_ill, cv=folds, method="decision_function")
    # Scores of two models cannot be compared: pairs are of one fold.
    aucs = [roc_auc_score(is_ill[test], guess[test]) for _, test in folds.split(numbers, is_ill)]
    return float(np.mean(aucs))


def main(words: Sequence[str]) -> None:
    """Print the ceilings of each cohort and their mean."""
    actors, *cohorts = map(int, words or SEEDS)
    found = [measure(actors, seed) for seed in cohorts]
    print(f"SYNTHETIC; actors of seed {actors}, cohorts of seeds {', '.join(map(str, cohorts))}")
    for name in found[0]:
        values = [one[name] for one in found]
        print(f"{name:<45}{np.mean(values):6.3f}   {'  '.join(f'{v:.3f}' for v in values)}")


if __name__ == "__main__":
    main(sys.argv[1:])
