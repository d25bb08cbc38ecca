"""Checks of a study that fits translators: its settings, its guide, and who agreed to take part.

A translator predicts no class. So nobody is tested by one, and a search can compare trials by a
guide alone, which has to grade the same kind of pictures of people whom it does not know.
"""

import json
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from pdray.config import dump
from pdray.data.cohort.made_sets import LEARN
from pdray.data.cohort.members import Cohort
from pdray.data.modalities import MODALITIES
from pdray.errors import PdrayError, StudyError, refuse
from pdray.evaluation.metrics import KERNEL_DISTANCE
from pdray.search.plan import StudyPlan
from pdray.search.settings import NESTED
from pdray.search.space import Choices, corners

if TYPE_CHECKING:
    from pdray.training.translators.guide import GuideStudy


def study_faults(plan: StudyPlan) -> list[str]:
    """List what a study that fits a translator cannot have."""
    config, name = plan.config, plan.config.model.name
    search = config.search
    if plan.fixed:
        return [
            f"model.name: {name} predicts no class, and a comparison compares predictions; fit it "
            "by jobs/tune_tsa.py"
        ]
    asked = {
        f"search.protocol={search.protocol}": search.protocol in NESTED,
        f"search.reshuffle={search.reshuffle}": search.reshuffle,
        f"evaluation.permutations={config.evaluation.permutations}": bool(
            config.evaluation.permutations
        ),
    }
    faults = [
        f"{key}: {name} predicts no class, so there is nothing to test by it; leave it out, or set "
        "search.protocol=holdout"
        for key, is_asked in asked.items()
        if is_asked
    ]
    if search.metric != KERNEL_DISTANCE:
        faults.append(
            f"search.metric: got '{search.metric}', but {name} predicts no class; leave it out, or "
            f"set it to {KERNEL_DISTANCE}"
        )
    if config.data.made != "none":
        faults.append(
            f"data.made: got '{config.data.made}', but {name} learns from real recordings alone; "
            "set it to none"
        )
    return [*faults, *_worker_faults(plan), *_guide_faults(plan)]


def check_people(plan: StudyPlan, cohort: Cohort) -> None:
    """Refuse people who did not agree that a generator learns from them, or whom the guide knows.

    Args:
        plan: Settings of a new study.
        cohort: Its recordings and folds.

    Raises:
        StudyError: Says how many, and what to do.
    """
    if all(fit.entry.predicts for fit in plan.fits):
        return
    faults = []
    everybody = {one.subject_id for one in cohort.recordings}
    lacking = {
        one.subject_id
        for one in cohort.manifest.recordings
        if one.subject_id in everybody and LEARN not in (one.consent_synthesis or "").split()
    }
    if lacking:
        faults.append(
            f"{len(lacking)} of {len(everybody)} subjects did not consent to '{LEARN}': a "
            "generator learns from pictures of people only where consent_synthesis has that word "
            "in all rows of a subject, and an empty cell is no consent; ask them, or remove their "
            "rows"
        )
    folder = plan.config.synthesis.guide
    if folder is not None:
        from pdray.training.translators.guide import open_guide

        faults += _known_faults(open_guide(folder), cohort)
    refuse(faults, StudyError, f"model.name={plan.config.model.name}")


def _known_faults(guide: "GuideStudy", cohort: Cohort) -> Iterator[str]:
    """Yield each held-out side of whom every model of the guide has learnt from somebody."""
    for name, (_, held) in cohort.folds.splits.items():
        if guide.model_for(held) is None:
            known = min(len(learnt & held) for _, learnt in guide.models())
            yield (
                f"synthesis.guide: each model of study {guide.study.name} learnt from {known} or "
                f"more of the {len(held)} subjects of the {name}, so it would know the people whom "
                "it scores; train the guide on other people, or by search.protocol=holdout and "
                "search.keep_folds=true with the same data.* and folds.*"
            )


def _worker_faults(plan: StudyPlan) -> list[str]:
    """Refuse batches that workers cannot share equally: gradients are the mean over workers."""
    entry = plan.space.get("optim.batch_size", Choices((plan.config.optim.batch_size,)))
    workers = plan.config.resources.num_workers
    wrong = [size for size in corners(entry) if int(size or 0) % workers]
    return [
        f"optim.batch_size: got {size}, which {workers} workers (resources.num_workers) do not "
        f"share equally; use a multiple of {workers}"
        for size in wrong[:1]
    ]


def _guide_faults(plan: StudyPlan) -> list[str]:
    config, name = plan.config, plan.config.model.name
    folder = config.synthesis.guide
    if folder is None and config.entry.is_guided:
        return [
            f"synthesis.guide: not set, but {name} learns from a classifier of single pictures; "
            "give the folder of a finished study of one, such as OUTPUT/studies/NAME"
        ]
    if folder is None and (plan.space or config.search.trials > 1):
        return [
            f"search.trials: got {config.search.trials}"
            + (" and a space" if plan.space else "")
            + ", but without a guide nothing says which translator is better; set synthesis.guide, "
            "or search.trials=1 and no space"
        ]
    if folder is None:
        return []
    from pdray.training.translators.guide import open_guide

    try:
        guide = open_guide(folder)
    except PdrayError as error:
        return [str(error)]
    told = _differences(plan, guide)
    return [f"synthesis.guide: study {guide.study.name} {one}" for one in told]


def _differences(plan: StudyPlan, guide: "GuideStudy") -> Iterator[str]:
    """Yield in what the pictures and classes of a guide differ from those of a study."""
    config, data = plan.config, guide.settings["data"]
    if guide.config.modality != config.modality:
        yield f"grades {guide.config.modality}, not {config.modality}; use one of the same modality"
        return
    section = MODALITIES[config.modality].section or "decode"
    recipe = dump(config.recipe)[section]
    keys = [key for key in recipe if key in ("size", "height", "width")]
    yield from _others(section, recipe, guide.settings.get(section, {}), keys)
    yield from _others("data", dump(config.data), data, ("grade_cuts", "target"))


def _others(
    section: str, ours: dict[str, object], theirs: dict[str, object], keys: Collection[str]
) -> Iterator[str]:
    for key in keys:
        if key in theirs and json.dumps(ours[key], default=str) != json.dumps(theirs[key]):
            yield f"has {section}.{key}={theirs[key]}, and this one {ours[key]}; use the same"
