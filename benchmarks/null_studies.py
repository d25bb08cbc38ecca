"""Measures what whole studies print where there is nothing to find: search, refit, report on Ray.

    python -m benchmarks.null_studies FOLDER             # 100 studies: 40 minutes on two idle cores
    python -m benchmarks.null_studies FOLDER quick=true  # two studies; ignore their numbers

SYNTHETIC recordings of the demo cohort: one visit of 40 subjects. In each study whole vectors of
grades change places between subjects (:func:`pdray.data.cohort.exchange.exchange_grades`), and the
grades of a subject between its recordings, so that nothing is left to learn. (Without the second
step, what side or medication do to both grade and movement would stay.) Each is a whole study of
``motion_linear`` as a user runs it, on one Ray cluster: a search of two settings in two folds, the
refit of the winner, one score of the test set (half of the subjects), its report, its checks and
MLflow. Frames are decoded once; a second run continues in the folder.

Printed: how often the interval of the report contains chance, where there is one; how often p
against chance is at most 0.05 if the exchanges of each study are the 19 studies after it; and how
often each check warns. ``benchmarks.null_cohorts`` measures thousands of cohorts, with a model in
closed form.
"""

import csv
import json
import random
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev

import pandas as pd
from ray.cluster_utils import Cluster

from pdray.cpus import granted_cpus
from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.exchange import exchange_grades
from pdray.data.cohort.manifest import load_manifest
from pdray.demo.cohort import make_demo
from pdray.search.plan import load_study
from pdray.search.study import run_plan
from pdray.tracking.run_log import FINDINGS, NUMBERS

NUM_STUDIES, NUM_QUICK, NUM_EXCHANGES = 100, 2, 19
CHANCE = {"mcc": 0.0, "balanced_accuracy": 0.5, "auroc": 0.5}
SETTINGS = (
    "--config", "search_spaces/motion_linear.yaml", "search.protocol=holdout", "search.trials=2",
    "folds.num_outer=2", "folds.num_folds=2", "space.model.num_folds={choices: [3, 10]}",
)  # fmt: skip


def exchanged_manifest(manifest: Path, seed: int) -> Path:
    """Write a manifest beside another, in which grades changed places."""
    drawn = derive_seed(seed, "null") % 2**32
    moved, rng = exchange_grades(load_manifest(manifest).recordings, drawn), random.Random(drawn)
    grades: dict[str, int | None] = {}
    for subject in sorted({one.subject_id for one in moved}):
        own = [one for one in moved if one.subject_id == subject]
        values = rng.sample([one.grade for one in own], len(own))
        grades |= {one.recording_id: value for one, value in zip(own, values, strict=True)}
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    kept = [name for name in rows[0] if not name.startswith(("rater_", "visit_score"))]
    written = manifest.with_name(f"null-{seed:03d}.csv")
    with written.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, kept, extrasaction="ignore")
        table.writeheader()
        table.writerows(row | {"grade": grades[row["recording_id"]]} for row in rows)
    return written


def run_one(manifest: Path, seed: int, output: Path, address: str) -> tuple[pd.DataFrame, set[str]]:
    """Run a study with exchanged grades.

    Returns:
        The scores of its report by name, and the codes of checks that warn.
    """
    own = [
        f"data.manifest={exchanged_manifest(manifest, seed)}",
        f"output={output}",
        f"search.name=null-{seed:03d}",
        f"resources.address={address}",
    ]
    folder = run_plan(load_study([*SETTINGS, *own]), say=lambda line: None).folder
    numbers = pd.read_csv(folder / "evaluation" / NUMBERS, dtype={"group": "str"})
    scores = numbers[(numbers["table"] == "scores") & numbers["group"].isna()]
    findings = json.loads((folder / FINDINGS).read_text(encoding="utf-8"))
    warned = {one["code"] for one in findings if one["state"] == "warning"}
    return scores.set_index("metric"), warned


def share_rejected(values: Sequence[float]) -> float:
    """Return the share of values whose p against the ``NUM_EXCHANGES`` after them is <= 0.05.

    The values are taken as a ring. With 19 exchanges, p is at most 0.05 only if none is as good.
    """
    num = len(values)
    after = [[values[(i + j) % num] for j in range(1, NUM_EXCHANGES + 1)] for i in range(num)]
    return fmean(
        all(one < value for one in others) for value, others in zip(values, after, strict=True)
    )


def measure(folder: Path, num_studies: int) -> None:
    """Run the studies and print what they say."""
    manifest = make_demo(folder / "cohort", {"num_visits": 1})
    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": granted_cpus(), "include_dashboard": False},
    )
    scores, warned = [], Counter[str]()
    for seed in range(num_studies):
        found, codes = run_one(manifest, seed, folder / "output", cluster.address)
        scores.append(found)
        warned.update(codes)
        value = found["value"]["mcc"]
        print(f"study {seed + 1} of {num_studies}: test/mcc {value:.3f}", flush=True)
    print(f"\nSYNTHETIC data; {num_studies} studies, chance is inside the interval of")
    for name, chance in CHANCE.items():
        rows = pd.DataFrame([one.loc[name] for one in scores])
        told = rows[rows["low"].notna()]
        inside = ((told["low"] <= chance) & (chance <= told["high"])).sum()
        values = rows["value"].fillna(chance).tolist()
        print(
            f"  {name:18} {inside} of {len(told)}; mean {fmean(values):.3f}, "
            f"SD {stdev(values):.3f}; p <= 0.05 in {share_rejected(values):.1%}"
        )
    print("warnings: " + ", ".join(f"{code} {num}" for code, num in sorted(warned.items())))


def main(argv: list[str]) -> int:
    """Run the benchmark; return 0, or 2 for other words."""
    if not argv or argv[1:] not in ([], ["quick=true"]) or argv[0].startswith("-"):
        print(__doc__)
        return 0 if {"-h", "--help"} & set(argv) else 2
    measure(Path(argv[0]), NUM_QUICK if argv[1:] else NUM_STUDIES)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
