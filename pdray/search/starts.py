"""Takes the first trials of a search from an earlier study of the same space and people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdray.data.cohort.folds import folds_from_json
from pdray.data.cohort.members import Cohort
from pdray.errors import StudyError
from pdray.search.space import read_space
from pdray.tracking.run_log import StudyLog

MOST = 5
"""Settings that are taken from an earlier study."""


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
    found = _best_first(study, str(saved["settings"]["search"]["metric"]))
    best: list[dict[str, Any]] = []
    for trial in found:  # earlier versions may have tried the same settings twice
        if trial["params"] not in best:
            best.append(dict(trial["params"]))
    return best[:MOST]


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
    from pdray.evaluation.metrics import greater_is_better

    sign = -1.0 if greater_is_better(metric) else 1.0
    trials = [log.read() for log in study.trials()]
    done = [one for one in trials if one["state"] == "complete" and one["value"] is not None]
    return sorted(done, key=lambda one: (sign * one["value"], one["number"]))
