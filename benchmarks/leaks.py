"""Plants leaks in SYNTHETIC cohorts, and counts which checks name them, and which name nothing.

    python -m benchmarks.leaks                 # about 10 minutes of one free core
    python -m benchmarks.leaks clean=10 repeats=1  # only a test run; ignore its numbers

Two parts (``benchmarks/leaks_cohorts.py`` draws the cohorts):

- *Planted*: each leak is planted in a clean cohort; a check that may name it must warn. Beside the
  number stands how often it does in ``repeats`` cohorts.
- *Clean*: 16 cohorts of 24 people are drawn; some people have no recording. Each of 100 clean
  cohorts takes 24 of these people at random; sites, raters, ages, sexes and names of files are
  drawn anew. So two of the cohorts share 1 or 2 people of 24 on average, and hardly depend on each
  other. A check should warn in at most 5 of 100.

Each fifth of the people is held out once, as in a nested search. Checks of trials and scores
(PDR006 to PDR011) are not asked. For PDR005, the first fold's model starts from a model.pt of a
study on half of the people.
"""

import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field

from benchmarks.leaks_cohorts import CUT, PLANTED, Row, draw_rows, write_rows
from pdray.checks.case import Case, Split
from pdray.checks.finding import Finding
from pdray.checks.run import run_checks
from pdray.config import Settings, build, dump, load
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.manifest import Manifest, Recording, load_manifest
from pdray.data.cohort.members import inner_sides, make_cohort, rated
from pdray.data.cohort.rated import StoredRecording
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import PdrayError
from pdray.evaluation.report import aligned
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import StudyLog

CHECKED = ("PDR001", "PDR002", "PDR003", "PDR004", "PDR005", "PDR012")
RECIPE = Recipe(decode=DecodeConfig(height=48, width=48))
NUM_POOLS, NUM_PEOPLE = 16, 24


class LeaksConfig(Settings):
    """Settings of this benchmark."""

    clean: int = Field(100, ge=1, description="clean cohorts")
    repeats: int = Field(3, ge=1, description="cohorts that each leak is planted in")
    seed: int = Field(0, ge=0, description="seed of all cohorts")
    vowels: Path | None = Field(
        None, description="parkinsons_updrs.data of the telemonitoring vowels; null: without them"
    )


def main(argv: list[str]) -> int:
    """Print the tables."""
    try:
        config = load(LeaksConfig, argv)
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="pdray_leaks_"))
    try:
        print("SYNTHETIC cohorts: rendered, not patients\n")
        print(planted_table(config, folder), flush=True)
        print(clean_table(config, folder), flush=True)
    finally:
        shutil.rmtree(folder)
    if config.vowels is not None:
        print(vowels_table(config.vowels))
    print(f"{time.monotonic() - started:.0f} s")
    return 0


def planted_table(config: LeaksConfig, folder: Path) -> str:
    """Plant each leak and return which checks warn."""
    lines = [["planted leak", "meant", "named", "warnings in the first cohort"]]
    drawn = [draw_rows(config.seed + repeat) for repeat in range(config.repeats)]
    for name, (meant, plant) in PLANTED.items():
        warned = [
            warnings(examine(folder / f"{len(lines)}_{repeat}", plant(rows)))
            for repeat, rows in enumerate(drawn)
        ]
        named = sum(bool(set(meant) & set(codes)) for codes in warned)
        lines.append([name, " or ".join(meant), f"{named} of {len(warned)}", " ".join(warned[0])])
    warned = [
        warnings(examine(folder / f"weights_{repeat}", rows, pretrained=True))
        for repeat, rows in enumerate(drawn)
    ]
    named = sum("PDR005" in codes for codes in warned)
    lines.append(
        ["weights trained on test people", "PDR005", f"{named} of {len(warned)}",
         " ".join(warned[0])]
    )  # fmt: skip
    return "\n".join(aligned(lines)) + "\n"


def clean_table(config: LeaksConfig, folder: Path) -> str:
    """Return in how many clean cohorts each check warns."""
    people = _pool(config, folder / "pool")
    counts: Counter[str] = Counter()
    states: Counter[str] = Counter()
    seconds = dict.fromkeys(CHECKED, 0.0)
    rng = np.random.default_rng([config.seed, 1])
    for number in range(config.clean):
        chosen = [people[place] for place in rng.permutation(len(people))[:NUM_PEOPLE]]
        case = _clean_case(folder / "pool", chosen, rng, seed=number)
        for one in run_checks(case, _muted()):
            counts[one.code] += one.state == "warning"
            states[one.code] += one.state == "unknown"
            seconds[one.code] = seconds.get(one.code, 0.0) + one.seconds
    lines = [["check", "warns", "unknown", "seconds each"]]
    lines += [
        [code, f"{counts[code]} of {config.clean}", str(states[code]),
         f"{seconds[code] / config.clean:.1f}"]
        for code in CHECKED
    ]  # fmt: skip
    return "\n".join(aligned(lines)) + "\n"


def vowels_table(path: Path) -> str:
    """Return how age and sex alone predict motor_UPDRS of real vowels, by rows and by people."""
    from sklearn.dummy import DummyRegressor
    from sklearn.ensemble import ExtraTreesRegressor
    from sklearn.model_selection import GroupKFold, KFold, cross_val_predict

    table = pd.read_csv(path, sep="\t")
    truth = table["motor_UPDRS"].to_numpy()
    lines = [["real vowels, age and sex alone", "R2", "MAE", "MAE of the mean"]]
    for name, folds in (
        ("split by rows", KFold(5, shuffle=True, random_state=0)),
        ("split by people", GroupKFold(5)),
    ):
        groups = table["subject#"] if name.endswith("people") else None
        model = ExtraTreesRegressor(100, random_state=0)
        found = cross_val_predict(model, table[["age", "sex"]], truth, groups=groups, cv=folds)
        mean = cross_val_predict(DummyRegressor(), truth[:, None], truth, groups=groups, cv=folds)
        errors = (np.abs(truth - one).mean() for one in (found, mean))
        r2 = 1 - ((truth - found) ** 2).sum() / ((truth - truth.mean()) ** 2).sum()
        lines.append([name, f"{r2:.3f}", *(f"{error:.2f}" for error in errors)])
    return "\n".join(aligned(lines)) + "\n"


def examine(folder: Path, rows: Sequence[Row], *, pretrained: bool = False) -> tuple[Finding, ...]:
    """Write a cohort, store it and run the checks on it.

    Args:
        folder: A new folder, which is removed.
        rows: The cohort.
        pretrained: Whether its model starts from weights that saw half of the people.
    """
    folder.mkdir(parents=True)
    manifest = load_manifest(write_rows(folder, rows))
    store = FrameStore(folder / "store", RECIPE)
    stored = {one.recording_id: store.add(one) for one in manifest.recordings}
    case = case_of(manifest, stored, folder)
    if pretrained:
        start_from_weights(case)
    findings = run_checks(case, _muted())
    shutil.rmtree(folder)
    return findings


def case_of(
    manifest: Manifest, stored: dict[str, StoredRecording], output: Path, *, seed: int = 0
) -> Case:
    """Return a finished search of a manifest, without trials and predictions."""
    settings = {
        "data": {"manifest": manifest.path, "grade_cuts": (CUT,)}, "output": output,
        "folds": {"seed": seed, "num_folds": 2},
    }  # fmt: skip
    config = build(StudyConfig, settings)
    cohort = make_cohort(manifest, config.data, config.folds, needs=("rgb",), searches=False)
    recordings = rated(cohort, config.data, stored)
    splits = tuple(
        Split(f"fold {number}", side.training, side.evaluation)
        for number, side in enumerate(inner_sides(cohort.folds, recordings))
    )
    study = StudyLog(output / "studies" / "leaks")
    study.start(name="leaks", settings=dump(config), tags={"manifest_digest": manifest.digest})
    return Case(
        study=study, config=dump(config), cohort=cohort, recordings=recordings,
        splits=splits, table=None,
        searches=(study,), cache=output / "store" / "checks", output=output,
    )  # fmt: skip


def start_from_weights(case: Case) -> None:
    """Let the model start from the model.pt of a study on half of the people."""
    earlier = StudyLog(case.output / "studies" / "earlier")
    digest = case.cohort.manifest.digest
    earlier.start(name="earlier", settings={}, tags={"manifest_digest": digest})
    people = sorted({one.subject_id for one in case.recordings})
    folds = Folds(frozenset(people[::2]), (frozenset(people[1::2]),))
    earlier.folds_path.write_text(folds_to_json(folds), encoding="utf-8")
    files = {"pretrained": str(earlier.winner.model_path)}
    for study, settings in ((earlier, {}), (case.study, files)):
        study.winner.start(
            number=0, num_epochs=1, params={}, settings=settings, role="winner"
        )  # fmt: skip
    earlier.winner.model_path.write_bytes(b"weights")


def warnings(findings: Sequence[Finding]) -> list[str]:
    """Return the codes that warn."""
    return [one.code for one in findings if one.state == "warning"]


def _muted() -> dict[str, str]:
    from pdray.checks import CHECKS

    return {code: "needs a search" for code in CHECKS if code not in CHECKED}


def _pool(config: LeaksConfig, folder: Path) -> list[list[tuple[Recording, StoredRecording]]]:
    """Draw the people of whom clean cohorts are made; return the recordings of each."""
    store = FrameStore(folder / "store", RECIPE)
    people = []
    for pool in range(NUM_POOLS):
        place = folder / f"{pool}"
        place.mkdir(parents=True)
        rows = draw_rows(config.seed + 1000 + pool, num_subjects=NUM_PEOPLE)
        manifest = load_manifest(write_rows(place, rows))
        for name in sorted({one.subject_id for one in manifest.recordings}):
            mine = [one for one in manifest.recordings if one.subject_id == name]
            mine = [
                replace(one, recording_id=f"P{pool:02d}_{one.recording_id}",
                        subject_id=f"P{pool:02d}_{name}") for one in mine
            ]  # fmt: skip
            people.append([(one, store.add(one)) for one in mine])
    return people


def _clean_case(
    folder: Path,
    people: Sequence[Sequence[tuple[Recording, StoredRecording]]],
    rng: np.random.Generator,
    *,
    seed: int,
) -> Case:
    rows = []
    for person in people:
        site, rater = str(rng.choice(["SYNTHETIC A", "SYNTHETIC B"])), int(rng.integers(2))
        age, sex = float(rng.integers(48, 83)), str(rng.choice(["female", "male"]))
        for one, _ in person:
            raters = tuple(one.grade if place == rater else None for place in range(2))
            rows.append(replace(one, site=site, age=age, sex=sex, raters=raters))
    stored = {one.recording_id: entry for person in people for one, entry in person}
    manifest = Manifest(folder / "manifest.csv", f"{seed:064d}", tuple(rows))
    return case_of(manifest, stored, folder, seed=seed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
