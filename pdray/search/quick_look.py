"""A quick look at a cohort: a linear model on movement, tested on all subjects."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdray.command import Say
from pdray.config import dump, merge, read_tree
from pdray.data.cohort.manifest import Manifest, open_manifest
from pdray.errors import FoldsError, StudyError
from pdray.search.plan import StudyPlan, plan_study
from pdray.search.protocol import check_metric, settle
from pdray.search.quick_settings import MOTION, QuickLookConfig
from pdray.search.settings import StudyConfig
from pdray.search.study import StudyOutcome, run_plan
from pdray.tracking.run_log import StudyLog

_SPLITS = ((5, 5), (5, 3), (5, 2), (3, 3), (3, 2), (2, 2))  # outer and inner folds, best first


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
    manifest = open_manifest(config.data, output=config.output)
    plan = motion_plan(config, spaces, manifest)
    try:
        return _told(run_plan(plan, say))
    except KeyboardInterrupt as interrupt:  # whose words continue one study only
        raise KeyboardInterrupt from interrupt


def motion_plan(config: QuickLookConfig, spaces: Path, manifest: Manifest) -> StudyPlan:
    """Return the study of the linear model on movement, tested on all subjects.

    Raises:
        FoldsError: If the subjects cannot be split.
        StudyError: If a study of this name has another manifest.
    """
    name = f"{config.name}-{MOTION}"
    return _begun(config, name, manifest) or nested_plan(
        _tree(config, name, spaces / "motion_linear.yaml"), manifest
    )


def nested_plan(tree: Mapping[str, Any], manifest: Manifest) -> StudyPlan:
    """Return a plan that tests everybody, in the most folds that the subjects can be split into.

    Args:
        tree: Nested settings.
        manifest: The manifest.

    Raises:
        FoldsError: If two outer folds are too many.
    """
    fault: FoldsError | None = None
    for num_outer, num_folds in _SPLITS:
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


def _tree(config: QuickLookConfig, name: str, file: Path) -> dict[str, Any]:
    """Return the settings of a new study: those of its file, and what the command line says."""
    tree = read_tree(StudyConfig, ["--config", str(file)])
    given = {key: value for key, value in dump(config).items() if key in StudyConfig.model_fields}
    return merge(merge(tree, given), {"search": {"name": name}})


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
    return plan_study(merge(merge({}, saved["settings"]), {"data": dump(config.data)}))


def _told(outcome: StudyOutcome) -> str:
    return f"\n{outcome.held_out}\n\n{outcome.checks}\n\nlog        {outcome.folder}"
