"""A quick look at a cohort: a linear model on movement over all subjects, then a small network.

Without videos, the linear model learns from a table of features, and there is no network.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pdray.cluster import joined_cluster
from pdray.config import dump, merge, read_tree
from pdray.data.cohort.manifest import Manifest, open_manifest
from pdray.display import Say, clock, step
from pdray.errors import FoldsError, PdrayError, StudyError
from pdray.rights import written_for
from pdray.search.cluster import measure, reserve
from pdray.search.forecast import LONGEST, hours_of
from pdray.search.plan import StudyPlan, plan_study
from pdray.search.protocol import check_metric, num_searches, settle
from pdray.search.quick_report import Looked, report
from pdray.search.quick_settings import FEATURES, MINUTES, MOTION, NETWORK, QuickLookConfig
from pdray.search.settings import StudyConfig
from pdray.search.study import run_plan
from pdray.tracking.run_log import StudyLog

Forecast = Callable[[StudyPlan], float | None]

_LONGEST = 60.0  # that a few steps of the paper's settings may take [s]
# Outer and inner folds, and protocols with trials: best first.
_MOTION_SPLITS = ((5, 5), (5, 3), (5, 2), (3, 3), (3, 2), (2, 2))
_NETWORK_SPLITS = ((5, 2), (3, 2), (2, 2))
_LINEAR: dict[str, Any] = {
    "model": {
        "name": "feature_choice",
        "grid": [{"classifier": "linear", "strength": value} for value in (0.01, 0.1, 1.0)],
    },
    "optim": {"epochs": 1},
    "search": {"trials": 1},
}
_EXTENTS = tuple((protocol, trials) for protocol in ("nested", "holdout") for trials in (6, 3, 1))


def run_quick_look(config: QuickLookConfig, spaces: Path, say: Say) -> str:
    """Run or continue the studies of a quick look.

    Args:
        config: Which recordings, and how many minutes.
        spaces: Folder of the YAML files that the studies start from.
        say: Prints a line of progress.

    Returns:
        What they found, and where.

    Raises:
        PdrayError: If something is wrong that the user can correct; nothing is lost.
        KeyboardInterrupt: If interrupted; the same command continues.
    """
    with step("reading the manifest and the headers of its videos"):
        manifest = open_manifest(config.data, output=config.output)
        table = common_table(manifest, config.data.items)
        first = (
            features_plan(config, manifest, table)
            if table
            else motion_plan(config, spaces, manifest)
        )
        first = replace(first, tags={MINUTES: f"{config.minutes:g}"})  # for --resume
    titles = (FEATURES,) if table else (MOTION, NETWORK) if config.minutes else (MOTION,)
    is_complete = _is_complete(config, titles)
    joined = nullcontext() if is_complete else joined_cluster(config.resources.address)
    with written_for(config.output_mode), joined:
        if table:
            say(f"quick look: a linear model on {table}, tested on everybody; there are no videos")
            return report([_look(table, first, None, say)])
        return report(_looks(config, spaces, first, manifest, say))


def common_table(manifest: Manifest, items: Sequence[str] | None) -> str:
    """Return the modality of features that most recordings have; empty if there are videos."""
    asked = [one for one in manifest.recordings if items is None or one.item in items]
    counts = Counter(name for one in asked for name in sorted(one.features))
    if any(one.video for one in asked) or not counts:
        return ""
    return counts.most_common(1)[0][0]


def _looks(
    config: QuickLookConfig, spaces: Path, motion: StudyPlan, manifest: Manifest, say: Say
) -> list[Looked]:
    say("quick look: a linear model on the rhythm of movement, tested on everybody")
    looks = [_look("movement", motion, None, say)]
    if not config.minutes:
        return looks
    say(f"\nmovement: {looks[0].outcome.held_out.splitlines()[0]}")
    say("\nquick look: a small network on the pictures")
    name = f"{config.name}-{NETWORK}"
    network, seconds = _begun(config, name, manifest), None
    if network is None:
        network, seconds = _network(config, spaces, manifest, say)
    if network is not None:
        looks.append(_look("network", network, seconds, say))
    return looks


def _is_complete(config: QuickLookConfig, titles: Sequence[str]) -> bool:
    """Return whether nothing is left to run, so that Ray is not needed."""
    folder = config.output / "studies"
    return all(StudyLog(folder / f"{config.name}-{title}").is_complete() for title in titles)


def _look(title: str, plan: StudyPlan, forecast: float | None, say: Say) -> Looked:
    study = StudyLog(plan.config.output / "studies" / str(plan.config.search.name))
    is_whole, started = not study.exists(), time.monotonic()
    with step(title):
        outcome = run_plan(plan, say)
    taken = time.monotonic() - started
    return Looked(title, plan, outcome, taken if is_whole else None, forecast)


def motion_plan(config: QuickLookConfig, spaces: Path, manifest: Manifest) -> StudyPlan:
    """Return the study of the linear model on movement, tested on all subjects.

    Raises:
        FoldsError: If the subjects cannot be split.
        StudyError: If a study of this name has another manifest.
    """
    name = f"{config.name}-{MOTION}"
    tree = _tree(config, name, spaces / "motion_linear.yaml")
    return _begun(config, name, manifest) or nested_plan(tree, manifest, _MOTION_SPLITS)


def features_plan(config: QuickLookConfig, manifest: Manifest, table: str) -> StudyPlan:
    """Return the study of a linear model on a table of features, tested on all subjects.

    Raises:
        FoldsError: If the subjects cannot be split.
        StudyError: If a study of this name has another manifest.
    """
    name = f"{config.name}-{FEATURES}"
    tree = _asked(config, name, _LINEAR | {"modality": table})
    return _begun(config, name, manifest) or nested_plan(tree, manifest, _MOTION_SPLITS)


def nested_plan(
    tree: Mapping[str, Any], manifest: Manifest, splits: Sequence[tuple[int, int]]
) -> StudyPlan:
    """Return a plan that tests everybody, in the first folds that the subjects can be split into.

    Args:
        tree: Nested settings.
        manifest: The manifest.
        splits: Numbers of outer and of inner folds, the preferred ones first.

    Raises:
        FoldsError: If none is possible.
    """
    fault: FoldsError | None = None
    for num_outer, num_folds in splits:
        folds = {"num_outer": num_outer, "num_folds": num_folds}
        asked = {"folds": folds, "search": {"protocol": "nested"}}
        plan = plan_study(merge(merge({}, tree), asked))
        try:
            check_metric(settle(plan, manifest))
        except FoldsError as error:
            fault = error
        else:
            return plan
    assert fault is not None, "there are splits"
    raise fault


def choose_network(
    tree: Mapping[str, Any], manifest: Manifest, forecast: Forecast, seconds: float
) -> tuple[StudyPlan | None, float | None]:
    """Return the most thorough study of the network that fits a time, and its forecast [s].

    To test everybody goes before to search more.

    Args:
        tree: Nested settings of the network.
        manifest: The manifest.
        forecast: Returns the seconds of a study; None: unknown, and the study is taken.
        seconds: The time that there is [s].

    Returns:
        Study and forecast; None and the forecast of the shortest study if none fits.

    Raises:
        FoldsError: If the subjects cannot be split.
    """
    plan, found = nested_plan(tree, manifest, _NETWORK_SPLITS), None
    for protocol, trials in _EXTENTS:
        asked = {"search": {"protocol": protocol, "trials": trials}}
        plan = plan_study(merge(merge({}, plan.tree), asked))
        found = forecast(plan)
        if found is None or found <= seconds:
            return plan, found
    return None, found


def _network(
    config: QuickLookConfig, spaces: Path, manifest: Manifest, say: Say
) -> tuple[StudyPlan | None, float | None]:
    """Choose the study of the network, and say how long it and the paper's settings take."""
    tree = _tree(config, f"{config.name}-{NETWORK}", spaces / "laptop.yaml")
    forecast = partial(_forecast, manifest)
    with step("planning the network"):
        plan, seconds = choose_network(tree, manifest, forecast, 60 * config.minutes)
    if plan is not None:
        _say_chosen(config, plan, seconds, say)
    elif seconds is not None:
        say(
            f"time       no network: its shortest study would take about {clock(seconds)} here; "
            f"to run it, set minutes={seconds / 60 + 1:.0f}"
        )
    say_paper(_tree(config, f"{config.name}-paper", spaces / "tsa.yaml"), manifest, say)
    return plan, seconds


def _say_chosen(config: QuickLookConfig, plan: StudyPlan, seconds: float | None, say: Say) -> None:
    search = plan.config.search
    tested = "everybody is tested" if search.protocol == "nested" else "one group is tested"
    searched = "with fixed settings"
    if search.trials > 1:
        searched = f"and {search.trials} settings are tried"
    length = "not known before it starts" if seconds is None else f"about {clock(seconds)}"
    say(f"time       the network here: {length}; {tested} {searched} (minutes={config.minutes:g})")


def say_paper(tree: dict[str, Any], manifest: Manifest, say: Say) -> None:
    """Say what the paper's settings would take, from a few timed steps of them."""
    plan = plan_study(merge(tree, {"search": {"protocol": "holdout"}}))
    told = f"not known, since a few of its steps take more than {_LONGEST:g} s"
    try:
        seconds = _forecast(manifest, plan, longest=_LONGEST)
        if seconds is not None:
            told = f"about {clock(seconds)}, from a few timed steps"
    except PdrayError as error:  # such as too few subjects for its folds
        told = f"they cannot be run: {str(error).splitlines()[:2][-1].strip(' -')}"
    say(
        f"time       the paper's settings here, for comparison (search_spaces/tsa.yaml, "
        f"{plan.num_trials} trials): {told}\n"
        "time       on GPUs: not known, since pdray was timed on none; N GPUs run N trials at once"
    )


def _forecast(manifest: Manifest, plan: StudyPlan, *, longest: float = LONGEST) -> float | None:
    """Return the forecast of a whole study [s], from a few timed steps; None: unknown."""
    settled, resources = settle(plan, manifest), plan.config.resources
    reservation = reserve(plan.config, measure(resources), reads_through_ray=False)
    num = num_searches(settled.plan, settled.cohort)
    hours = hours_of(settled.plan, settled.cohort, reservation, num_searches=num, longest=longest)
    return None if hours is None else 3600 * hours


def _tree(config: QuickLookConfig, name: str, file: Path) -> dict[str, Any]:
    """Return the settings of a new study: those of its file, and what the command line says."""
    return _asked(config, name, read_tree(StudyConfig, ["--config", str(file)]))


def _asked(config: QuickLookConfig, name: str, tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with what the command line says."""
    given = {key: value for key, value in dump(config).items() if key in StudyConfig.model_fields}
    return merge(merge(merge({}, tree), given), {"search": {"name": name}})


def _begun(config: QuickLookConfig, name: str, manifest: Manifest) -> StudyPlan | None:
    """Return the plan of a study that was begun; None if there is none.

    Raises:
        StudyError: If it has another manifest.
    """
    study = StudyLog(config.output / "studies" / name)
    if not study.exists():
        return None
    saved = study.read()
    if saved["tags"]["manifest_digest"] != manifest.digest:
        raise StudyError(
            f"name: '{config.name}' is in {config.output} already, a quick look at another "
            "manifest or at this one before it was changed; give this one another name, such as "
            f"name={config.name}-2"
        )
    here = {"data": dump(config.data), "output": str(config.output)}  # it may have been copied
    given = config.model_dump(
        mode="json", exclude_unset=True, include={"resources", "tracking", "output_mode"}
    )  # the command line comes before what was saved
    return plan_study(merge(merge(merge({}, saved["settings"]), here), given))
