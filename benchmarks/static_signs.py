"""Ceiling of the demo's static signs: AUROC of exact landmarks, grade >= 3 against grade 0.

usage: python -m benchmarks.static_signs [strength ...]

Logistic regression on the exact landmarks of SYNTHETIC face interviews, aligned by the eyes: of one
frame from the middle of each recording, and of the mean over its frames. A model learns one cohort
and is scored on the people of another one. With strength 0 only movement tells the grade, so one
frame should be at chance. The signs were chosen on seeds 90 and 91.
"""

import sys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.data.face.points import INDEX
from pdray.demo.cohort import points_of
from pdray.demo.illness.severity import DemoConfig, DemoRecording, plan_cohort

Doubles = NDArray[np.float64]
STRENGTHS = (0.0, 0.5, 1.0, 2.0)
SEEDS = ((80, 81), (82, 83), (84, 85))  # cohorts to learn from and to score
FPS = 10


def config_of(seed: int, strength: float, *, num_subjects: int) -> DemoConfig:
    """Return the settings of a cohort of one visit each."""
    return DemoConfig(
        num_subjects=num_subjects, num_visits=1, items=("face_interview",), missing=0.0, fps=FPS,
        static_signs=strength, seed=seed,
    )  # fmt: skip


def shapes(plan: Sequence[DemoRecording], config: DemoConfig) -> tuple[Doubles, Doubles]:
    """Return the aligned landmarks of each recording: of its middle frame, and their mean.

    Returns:
        (N, 212) each. The unit is the distance between the eyes, the origin midway between them,
        the head upright.
    """
    single: list[Doubles] = []
    mean: list[Doubles] = []
    for one in plan:
        points = points_of(one, config).points.astype(np.float64)
        left, right = (points[:, INDEX[f"{side}_eye_center"]] for side in ("left", "right"))
        across = (right - left) @ (1, 1j)
        z = (points - 0.5 * (left + right)[:, None]) @ (1, 1j) / across[:, None]
        for rows, shape in ((single, z[len(z) // 2]), (mean, z.mean(axis=0))):
            rows.append(np.concatenate([shape.real, shape.imag]))
    return np.array(single), np.array(mean)


def measure(
    seeds: tuple[int, int], strength: float, *, num_subjects: int = 300
) -> tuple[float, float]:
    """Return the AUROC on other people, from one frame and from the mean over the frames."""
    sides = []
    for seed in seeds:
        config = config_of(seed, strength, num_subjects=num_subjects)
        plan = [one for one in plan_cohort(config) if one.grade == 0 or one.grade >= 3]
        sides.append((shapes(plan, config), np.array([one.grade >= 3 for one in plan])))
    (learnt, is_ill), (scored, truth) = sides
    found = []
    for features, others in zip(learnt, scored, strict=True):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=2000))
        score = model.fit(features, is_ill).decision_function(others)
        found.append(float(roc_auc_score(truth, score)))
    return found[0], found[1]


def main(words: Sequence[str]) -> None:
    """Print the ceilings of each strength."""
    print("SYNTHETIC; AUROC of grade >= 3 against 0, other people: each pair of cohorts")
    for strength in map(float, words or STRENGTHS):
        found = [measure(seeds, strength) for seeds in SEEDS]
        for place, name in enumerate(("one frame", "mean of the frames")):
            values = [pair[place] for pair in found]
            told = "  ".join(f"{value:.3f}" for value in values)
            print(f"static_signs={strength:<5g}{name:<20}{np.mean(values):6.3f}   {told}")


if __name__ == "__main__":
    main(sys.argv[1:])
