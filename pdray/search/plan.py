"""The plan of a study: settings and search space (or fixed trials), checked together."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pdray.config import (
    attempt,
    build,
    dump,
    merge,
    plain_default,
    read_tree,
)
from pdray.data.batches.plan import derive_seed
from pdray.data.cohort.settings import subject_faults
from pdray.data.modalities import Modality, in_order
from pdray.earlier import as_begun
from pdray.errors import SettingsError, StudyError, refuse
from pdray.evaluation.metrics import KERNEL_DISTANCE, METRICS, metrics_for
from pdray.models import MODELS
from pdray.plugins import require, used
from pdray.search.settings import NESTED, SearchConfig, StudyConfig, default_name
from pdray.search.space import (
    Choices,
    Space,
    Start,
    Value,
    combination_faults,
    combinations,
    corners,
    fit_faults,
    networks,
    read_space,
    read_starts,
    trial_config,
)
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig

_SEEDS = 100_000


@dataclass(frozen=True)
class StudyPlan:
    """Checked settings of a study and what varies between its trials.

    Attributes:
        config: The settings.
        space: The search space; empty if trials are fixed.
        entries: The space as the user wrote it.
        fixed: For a comparison: the settings (dotted keys) of each trial that differ from the
            study's, by label.
        starts: The first trials of a search, before any is proposed.
        start_study: Folder of the earlier study that they come from.
        tags: Further tags of its log.
    """

    config: StudyConfig
    space: Space
    entries: dict[str, Any]
    fixed: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    starts: tuple[Start, ...] = ()
    start_study: Path | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def seed(self) -> int:
        """Seed of the sampler and of every fit."""
        assert self.config.search.seed is not None, "a plan has a seed"
        return self.config.search.seed

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Every modality that a trial may use."""
        return in_order(modality for config in self.fits for modality in config.sees)

    @property
    def needs(self) -> tuple[Modality, ...]:
        """Every modality without which a recording is left out."""
        return in_order(modality for config in self.fits for modality in config.needs)

    @cached_property
    def variants(self) -> tuple[tuple[Mapping[str, Value], FitConfig], ...]:
        """Values (dotted keys) and all settings of each fixed trial, or of each model to search."""
        first = [dict(one.params) for one in self.starts if not one.is_held]
        every = list(self.fixed.values()) or [*networks(self.space), *first]
        return tuple((params, trial_config(self.config.fit, params)) for params in every)

    @property
    def fits(self) -> tuple[FitConfig, ...]:
        """The settings of each fixed trial, or of one trial for each model to search."""
        return tuple(config for _, config in self.variants)

    @property
    def plugins(self) -> dict[str, str]:
        """Version of each plug-in that brings a model, a loss or a metric of the study."""
        sections = [one for fit in self.fits for one in (fit.model, fit.network) if one is not None]
        kinds = self.space.get("loss.kind")
        losses = (
            kinds.values if isinstance(kinds, Choices) else (fit.loss.kind for fit in self.fits)
        )
        named = [("pdray.models", section.name) for section in sections]
        named += [("pdray.losses", str(kind)) for kind in losses]
        return used([*named, *(("pdray.metrics", name) for name in METRICS)])

    @property
    def epochs(self) -> int:
        """The largest number of epochs per fold of any trial."""
        return max(config.optim.epochs for config in self.fits)

    @property
    def num_trials(self) -> int:
        """Trials that the study will run: ``search.trials``, or fewer if the space has fewer."""
        asked, every = self.config.search.trials, combinations(self.space)
        if self.fixed or every is None:
            return asked
        return min(asked, len(every) + sum(not start.is_held for start in self.starts))

    @property
    def tree(self) -> dict[str, Any]:
        """All settings, nested, as they are logged and as :func:`plan_study` accepts them."""
        fixed = {name: dict(params) for name, params in self.fixed.items()}
        return {**dump(self.config), "space": self.entries, **({"fixed": fixed} if fixed else {})}


def load_study(argv: Sequence[str], *, saved: dict[str, Any] | None = None) -> StudyPlan:
    """Read a study from a command line.

    Args:
        argv: ``--config FILE`` and ``key=value``.
        saved: Settings to start from, as an interrupted study logged them.

    Returns:
        Settings and space, checked together.

    Raises:
        SettingsError: Lists all faults of both.
    """
    return plan_study(read_tree(StudyConfig, argv, start=saved))


def saved_settings(argv: Sequence[str]) -> dict[str, Any]:
    """Return the logged settings of the study to resume.

    Args:
        argv: The command line; ``search.name`` and ``output`` choose the study. Without a name,
            the newest unfinished study in the output folder is chosen.

    Returns:
        Nested settings, including the study's name.

    Raises:
        StudyError: If there is no such study.
        PluginError: If it used a plug-in that is not installed here.
    """
    tree = read_tree(StudyConfig, argv)
    output = Path(str(tree.get("output") or plain_default(StudyConfig.model_fields["output"])))
    folder = Path(os.path.expanduser(output)) / "studies"  # noqa: PTH111 - it may have no home
    search = tree.get("search")
    name = search.get("name") if isinstance(search, dict) else None
    found = [StudyLog(folder / name)] if name else [StudyLog(path) for path in folder.glob("*")]
    studies = [study.read() for study in found if study.exists()]
    if not name:
        studies = [study for study in studies if study["state"] != "complete"]
    if not studies:
        known = ", ".join(sorted(path.parent.name for path in folder.glob("*/study.json")))
        raise StudyError(
            f"no study to resume{f' named {name}' if name else ''} in {folder}; studies there: "
            f"{known or 'none'}; choose one with search.name=..., or another folder with output=..."
        )
    study = max(studies, key=lambda study: study["started"])
    require(study["tags"], study["name"])
    settings: dict[str, Any] = study["settings"]
    return merge(settings, {"search": {"name": study["name"]}})


def plan_study(tree: dict[str, Any]) -> StudyPlan:
    """Check nested settings with a ``space`` section among them; see :func:`load_study`."""
    settings = {key: value for key, value in tree.items() if key != "space"}
    entries = tree.get("space") or {}
    space, wrong = read_space(entries)
    config, faults = attempt(StudyConfig, settings)
    refuse([*faults, *wrong], SettingsError, "settings")
    assert config is not None, "there is no fault"
    config = _begun_protocol(_seeded(_as_begun(settings, config)))
    if not config.entry.predicts and "metric" not in (settings.get("search") or {}):
        config = _with_search(config, metric=KERNEL_DISTANCE)
    start, earlier = config.search.start, None
    if isinstance(start, str) and start not in ("default", "sampler"):
        from pdray.search.starts import settings_of  # few searches start from an earlier study

        earlier = Path(start)
        start = tuple(settings_of(earlier, entries))
        config = _with_search(config, start=start)  # a resume does not need the folder
    wrong = combination_faults(config.fit, space) if space else fit_faults(config.fit, {})
    starts, faults = ((), []) if wrong else read_starts(start, config.fit, space)
    plan = StudyPlan(config, space, dict(entries), starts=starts, start_study=earlier)
    _refuse_plan(plan, [*wrong, *faults])
    return plan


def plan_comparison(tree: dict[str, Any], fixed: Mapping[str, Mapping[str, Value]]) -> StudyPlan:
    """Check nested settings and the trials that are compared under them.

    Args:
        tree: Nested settings without a ``space``.
        fixed: By label, the settings (dotted keys) of each trial that differ from the study's; at
            least one trial.

    Returns:
        The plan; ``search.trials`` is the number of trials.

    Raises:
        SettingsError: Lists all faults of the settings and of each trial, with its label.
    """
    settings = merge(merge({}, tree), {"search": {"trials": max(1, len(fixed))}})
    config = _as_begun(settings, build(StudyConfig, settings))
    if config.search.seed is None:  # a table of a paper is the same in every study
        config = _with_search(config, seed=0)
    plan = StudyPlan(config, {}, {}, fixed)
    wrong = [
        f"trial '{label}': {fault}"
        for label, params in fixed.items()
        for fault in fit_faults(plan.config.fit, params)
    ]
    if num := config.evaluation.permutations:
        wrong.append(
            f"evaluation.permutations: got {num}, but a comparison has no search to run again; "
            "leave it out, and set it in a study"
        )
    _refuse_plan(plan, wrong)
    return plan


def _as_begun(tree: Mapping[str, Any], config: StudyConfig) -> StudyConfig:
    """Return settings with earlier values, if the study was begun by an earlier version."""
    study = StudyLog(config.output / "studies" / (config.search.name or ""))
    if not (config.search.name and study.exists()):
        return config
    return build(StudyConfig, as_begun(StudyConfig, tree, study.read()["settings"]))


def _seeded(config: StudyConfig) -> StudyConfig:
    """Return settings with a name, and with the seed that the study has or that follows from it."""
    name = config.search.name or default_name(config)
    seed, study = config.search.seed, StudyLog(config.output / "studies" / name)
    if seed is None and study.exists():
        seed = int(study.read()["settings"]["search"].get("seed", 0))
    return _with_search(config, name=name, seed=short_seed("study", name) if seed is None else seed)


def _begun_protocol(config: StudyConfig) -> StudyConfig:
    """Return settings with the protocol that the study has, or that the manifest's split means."""
    protocol, folds = config.search.protocol, config.folds
    study = StudyLog(config.output / "studies" / str(config.search.name))
    if protocol is None and study.exists():
        protocol = study.read()["settings"]["search"].get("protocol", "holdout")
    if protocol is None and folds.from_split:
        protocol = "split"
    if protocol == "split":
        folds = folds.model_copy(update={"from_split": True})
    return _with_search(config, protocol=protocol).model_copy(update={"folds": folds})


def short_seed(*parts: object) -> int:
    """Return a seed that depends on all parts, of few digits, which are easy to write again."""
    return derive_seed(*parts) % _SEEDS


def with_search(plan: StudyPlan, **values: object) -> StudyPlan:
    """Return a plan with other values in the section ``search``."""
    return replace(plan, config=_with_search(plan.config, **values))


def _with_search(config: StudyConfig, **values: object) -> StudyConfig:
    search = config.search.model_copy(update=values)
    return config.model_copy(update={"search": search})


def _refuse_plan(plan: StudyPlan, wrong: list[str]) -> None:
    """Refuse trials that cannot be built, or sections that conflict."""
    config = plan.config
    wrong = [
        *wrong,
        *_sharing_faults(config, plan.space),
        *_metric_faults(config),
        *([] if wrong else _class_faults(plan)),
        *subject_faults(config.data, config.folds),
        *_start_faults(config, plan.fixed, plan.space),
        *_protocol_faults(plan),
        *_translator_faults(plan, wrong),
        *([] if wrong else _modality_faults(plan)),  # needs trials that can be built
    ]
    refuse(wrong, SettingsError, "settings")


def _translator_faults(plan: StudyPlan, wrong: list[str]) -> list[str]:
    """Refuse a translator in a study that it does not fit; ``wrong``: what is wrong with trials."""
    if wrong or all(fit.entry.predicts for fit in plan.fits):
        return []
    from pdray.search.translator_checks import study_faults  # few studies fit one

    return study_faults(plan)


def _metric_faults(config: StudyConfig) -> list[str]:
    if not config.entry.predicts:  # of a translator, see translator_checks.py
        return []
    metric, num_classes = config.search.metric, len(config.data.grade_cuts) + 1
    fitting = metrics_for(num_classes)
    if metric in fitting:
        return []
    return [
        f"search.metric: got '{metric}', which is no score of {num_classes} classes "
        f"(data.grade_cuts); use one of {', '.join(fitting)}"
    ]


def _class_faults(plan: StudyPlan) -> list[str]:
    """Refuse networks that cannot have as many classes as the grades give."""
    networks = [fit.network for fit in plan.fits if fit.network is not None]
    num_classes = len(plan.config.data.grade_cuts) + 1
    faults = [
        fault for one in networks for fault in MODELS[one.name].class_faults(one, num_classes)
    ]
    return list(dict.fromkeys(faults))


def _protocol_faults(plan: StudyPlan) -> list[str]:
    """Refuse settings that ask for one test set and for everybody to be tested."""
    search, folds = plan.config.search, plan.config.folds
    faults = []
    if search.protocol != "repeated" and search.repeats != SearchConfig().repeats:
        faults.append(
            f"search.repeats: got {search.repeats}, but search.protocol is "
            f"{search.protocol or 'not set'}; set search.protocol=repeated, or leave it out"
        )
    if search.protocol not in NESTED:
        return faults
    asked = {
        "folds.from_split": folds.from_split,
        "folds.person": folds.person is not None,
        "folds.outer_fold": folds.outer_fold > 0,
    }
    faults += [
        f"{key}: names one test set, but search.protocol={search.protocol} tests everybody; leave "
        "it out, or set search.protocol=holdout"
        for key, is_set in asked.items()
        if is_set
    ]
    if plan.start_study is not None:
        faults.append(
            f"search.start: got '{plan.start_study}', whose settings were chosen with the labels "
            f"of all subjects, and search.protocol={search.protocol} tests each of them; write "
            "settings that you know from other data as a list, or set search.protocol=holdout"
        )
    return faults


def _start_faults(
    config: StudyConfig, fixed: Mapping[str, Mapping[str, Value]], space: Space
) -> list[str]:
    """Refuse missing weights files before any work starts."""
    searched = space.get("pretrained")
    files: dict[str, object] = {"pretrained": config.pretrained}
    files |= {f"trial '{label}': pretrained": one.get("pretrained") for label, one in fixed.items()}
    if isinstance(searched, Choices):
        files |= {f"space.pretrained: {value}": value for value in searched.values}
    if config.pretrained_pixels not in ("auto", "earlier") and not any(files.values()):
        return [
            f"pretrained_pixels: got '{config.pretrained_pixels}', but no weights file is given; "
            "set pretrained, or leave it out"
        ]
    return [
        f"{key}: no such file: {file}; correct the path"
        for key, file in files.items()
        if file is not None and not Path(str(file)).is_file()
    ]


def _modality_faults(plan: StudyPlan) -> list[str]:
    computed = [modality for modality in plan.modalities if modality != "rgb"]
    if plan.config.frames == "video" and plan.config.entry.loop != "steps":
        return [
            f"frames: got 'video', but {plan.config.model.name} needs the frame store; set "
            "frames=store"
        ]
    if plan.config.frames == "video" and computed:
        return [
            f"frames: got 'video', but {', '.join(computed)} must be computed into the frame "
            "store first; set frames=store"
        ]
    return []


def _sharing_faults(config: StudyConfig, space: Space) -> list[str]:
    """Refuse batches that are too small for all workers; a last batch may be half a batch."""
    searched = space.get("optim.batch_size", Choices((config.optim.batch_size,)))
    smallest = min(corners(searched), key=lambda value: int(value or 0))
    workers = config.resources.num_workers
    if workers > 1 and config.entry.loop == "once":
        name = config.model.name
        return [
            f"resources.num_workers: got {workers}, but {name} is fitted by one worker; set it to 1"
        ]
    if workers > 1 and int(smallest or 0) < 2 * workers and config.entry.predicts:
        return [
            f"optim.batch_size: got {smallest}; {workers} workers (resources.num_workers) share "
            f"each batch, so set it to at least {2 * workers}"
        ]
    return []
