"""The first trials of a search, before any is proposed: the study's own settings, or known ones.

In about a tenth of published searches the winner is worse than the default settings (arXiv
2506.19540). So the default settings are a trial of every search: trial 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from pdray.config import dump, nearest, value_at
from pdray.data.cohort.folds import folds_from_json
from pdray.data.cohort.members import Cohort
from pdray.errors import StudyError
from pdray.search.space import Space, Value, fit_faults, holds, read_space, searchable
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig

NAMED = ("default", "sampler")
"""Values of ``search.start`` that are no folder."""

MOST = 5
"""Settings that are taken from an earlier study."""


@dataclass(frozen=True)
class Start:
    """Settings of a first trial.

    Attributes:
        label: "default" for the study's own settings, else "start".
        params: Value of every searched setting, and of others that the user gave, by dotted key.
        is_held: Whether the space holds them, so that the sampler can learn from the trial.
    """

    label: str
    params: Mapping[str, Value]
    is_held: bool


def read_starts(
    start: str | Sequence[Mapping[str, Any]], fit: FitConfig, space: Space
) -> tuple[tuple[Start, ...], list[str]]:
    """Return the first trials of a search.

    Args:
        start: ``search.start``; not the folder of a study, see :func:`settings_of`.
        fit: The study's settings of a fit.
        space: Its search space.

    Returns:
        The first trials, and every fault.
    """
    if start == "sampler" or not space:
        return (), []
    own = _own(fit, space)
    if start == "default":
        wrong = [
            f"the study's own settings, its first trial, cannot be trained: {fault}; correct them, "
            "or set search.start=sampler"
            for fault in fit_faults(fit, {})
        ]
        return (Start("default", own, _is_held(own, space)),), wrong
    assert not isinstance(start, str), "a folder was read before"
    wrong = [
        f"search.start: {fault}"
        for number, given in enumerate(start, 1)
        for fault in _faults(f"entry {number}", given, fit)
    ]
    whole = [own | dict(given) for given in start]
    wrong += [
        f"search.start: entries {whole.index(one) + 1} and {number + 1} are the same; remove one"
        for number, one in enumerate(whole)
        if whole.index(one) < number
    ]
    return tuple(Start("start", one, _is_held(one, space)) for one in whole), wrong


def settings_of(folder: Path, entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the best settings of a complete study, best first.

    Args:
        folder: Its folder.
        entries: The space of the study that starts from it, as the user wrote it.

    Raises:
        StudyError: If it is no complete study, or its space is another one.
    """
    study = StudyLog(folder)
    if not study.exists():
        raise StudyError(
            f"search.start: got '{folder}'; write default, sampler, a list of settings, or the "
            "folder of a complete study"
        )
    saved = study.read()
    if saved["state"] != "complete":
        raise StudyError(
            f"search.start: study {saved['name']} is {saved['state']}; continue it with --resume "
            "until it is complete, or start from another one"
        )
    earlier, _ = read_space(saved["settings"].get("space") or {})
    asked, _ = read_space(entries)
    if earlier != asked:
        others = sorted(key for key in {*earlier, *asked} if earlier.get(key) != asked.get(key))
        raise StudyError(
            f"search.start: study {saved['name']} searched another space: {', '.join(others)} "
            f"{'differs' if len(others) == 1 else 'differ'}; use the same space, or write its "
            "settings as a list"
        )
    best = _best_first(study, str(saved["settings"]["search"]["metric"]))
    return [dict(trial["params"]) for trial in best[:MOST]]


def check_same_people(folder: Path, cohort: Cohort) -> None:
    """Refuse to start from a study that may have learnt from this study's test subjects.

    Args:
        folder: The earlier study.
        cohort: Recordings and folds of the study that starts from it.

    Raises:
        StudyError: If its manifest or its test subjects are others; gives the counts.
    """
    study = StudyLog(folder)
    saved = study.read()
    if saved["tags"]["manifest_digest"] != cohort.manifest.digest:
        raise StudyError(
            f"search.start: study {saved['name']} has another manifest, so its settings may have "
            "been chosen on this study's test subjects; write them as a list if that is wanted"
        )
    test = set(folds_from_json(study.folds_path.read_text(encoding="utf-8")).test)
    ours = set(cohort.folds.test)
    if test != ours:
        raise StudyError(
            f"search.start: {len(ours - test)} of the {len(ours)} test subjects took part in the "
            f"search of study {saved['name']}; use its folds, or write its settings as a list if "
            "that is wanted"
        )


def _best_first(study: StudyLog, metric: str) -> list[dict[str, Any]]:
    from pdray.evaluation.metrics import metric_named

    sign = -1.0 if metric_named(metric).greater_is_better else 1.0
    trials = [log.read() for log in study.trials()]
    done = [one for one in trials if one["state"] == "complete" and one["value"] is not None]
    return sorted(done, key=lambda one: (sign * one["value"], one["number"]))


def _own(fit: FitConfig, space: Space) -> dict[str, Value]:
    tree = dump(fit)
    return {key: cast("Value", value_at(tree, key)) for key in space}


def _is_held(params: Mapping[str, Value], space: Space) -> bool:
    return params.keys() == space.keys() and all(
        holds(entry, params[key]) for key, entry in space.items()
    )


def _faults(name: str, given: Mapping[str, Any], fit: FitConfig) -> list[str]:
    known = list(searchable())
    unknown = [key for key in given if key not in known]
    if unknown or not given:
        return [
            f"{name}: unknown key '{key}'; {nearest(key, known)}write dotted keys of settings "
            "that can be searched"
            for key in unknown
        ] or [f"{name} has no setting; remove it"]
    return [f"{name}: {fault}" for fault in fit_faults(fit, given)]
