"""The training sides that get a set of made recordings each: those of the folds of a study.

A generator that learnt from a person carries that person, so a fold can only learn from what was
made by a generator of its own training side. The folds are those of real recordings, as a study
with the same ``data`` and ``folds`` makes them.
"""

from collections.abc import Sequence
from functools import partial

from pdray.data.cohort.folds import make_folds, make_held_out_folds
from pdray.data.cohort.manifest import Manifest
from pdray.data.cohort.members import Cohort, make_cohort, split_again
from pdray.data.modalities import Modality
from pdray.search.protocol import FEW_SUBJECTS
from pdray.synthesis.settings import Protocol, SynthesizeConfig


def training_sides(
    manifest: Manifest, config: SynthesizeConfig, needs: Sequence[Modality]
) -> dict[str, frozenset[str]]:
    """Return the subjects of each training side, by its name; sides of the same subjects once.

    Args:
        manifest: Its real recordings are split.
        config: Settings.
        needs: Modalities that a recording must have.

    Raises:
        ManifestError: If no recording has what is needed.
        FoldsError: If the subjects cannot be split as asked.
    """
    fixed = config.folds.from_split or config.folds.person is not None
    cohort = make_cohort(manifest, config.data, config.folds, needs=needs, searches=fixed)
    protocol = config.synthesis.protocol or _usual(cohort, config)
    folds = config.folds
    found: dict[str, frozenset[str]] = {}
    if fixed:
        found = _of_search(cohort)
    elif protocol == "comparison":
        split = split_again(cohort, config.data, folds, make_held_out_folds)
        found = {f"fold{n}": split.folds.train(n) for n in range(len(split.folds.folds))}
    elif protocol == "holdout":
        found = _of_search(split_again(cohort, config.data, folds, make_folds))
    else:
        make = partial(make_folds, is_pooled=True)
        for number in range(folds.num_outer):
            outer = folds.model_copy(update={"outer_fold": number})
            split = split_again(cohort, config.data, outer, make)
            found |= _of_search(split, f"outer{number}_")
        make = partial(make_held_out_folds, key="folds.num_folds")
        split = split_again(cohort, config.data, folds, make)
        found |= {f"all_fold{n}": split.folds.train(n) for n in range(len(split.folds.folds))}
        found["all"] = split.folds.development
    names = {subjects: name for name, subjects in reversed(found.items())}
    return {name: subjects for subjects, name in reversed(names.items())}


def _of_search(cohort: Cohort, prefix: str = "") -> dict[str, frozenset[str]]:
    """Return the training sides of a search: its folds, and all that it learns from at the end."""
    folds = cohort.folds
    found = {f"{prefix}fold{n}": folds.train(n) for n in range(len(folds.folds)) if folds.train(n)}
    return found | {f"{prefix}development": folds.development}


def _usual(cohort: Cohort, config: SynthesizeConfig) -> Protocol:
    """Return the protocol of the studies of a translator, or what one of an estimator chooses."""
    if config.synthesis.study:
        return "holdout"
    people = {recording.group for recording in cohort.recordings}
    is_nested = not config.folds.outer_fold and len(people) < FEW_SUBJECTS
    return "nested" if is_nested else "holdout"
