"""Settings of a table's runs that differ from the paper's, in words."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from pdray.config import build, dump, merge
from pdray.data.cohort.settings import ACTION
from pdray.papers.table import PaperTable
from pdray.search.plan import StudyPlan
from pdray.search.resume import decides
from pdray.search.settings import StudyConfig
from pdray.search.space import trial_config

_ABSENT = object()
# What a comparison's scores do not depend on, beyond what no study's do: it searches nothing.
_SILENT = ("data.max_decode_failures", "frames", "search.metric", "search.prune", "search.startup")


def settings_notes(
    table: PaperTable, plan: StudyPlan, given: Mapping[str, Any], *, is_rendered: bool
) -> list[str]:
    """Say which settings are not the paper's, those that all runs share first.

    Args:
        table: Whose settings are the paper's; where it is silent, the defaults are.
        plan: What is run, of any item.
        given: What is laid over the table's settings, nested.
        is_rendered: Whether the cohort is; then the table's small settings are in ``given``.
    """
    changes = {run: _changes(table, plan, run, given) for run in plan.fixed}
    first, *others = changes.values()
    shared = [change for change in first if all(change in other for other in others)]
    begin = "small settings, not the paper's" if is_rendered else "settings given over the paper's"
    parts = ["the cohort is rendered"] if is_rendered else []
    parts += [begin, ", ".join(shared)] if shared else []
    notes = [": ".join(parts)] if parts else []
    lone: dict[str, list[str]] = {}
    for run, found in changes.items():
        told = ", ".join(change for change in found if change not in shared)
        lone.setdefault(told, []).append(run)
    return notes + [f"{begin}, of {', '.join(runs)}: {told}" for told, runs in lone.items() if told]


def _changes(table: PaperTable, plan: StudyPlan, run: str, given: Mapping[str, Any]) -> list[str]:
    """Return each setting of a run that is not the paper's, and in brackets what it is there."""
    params = plan.fixed[run]
    fixed: dict[str, Any] = {"manifest": plan.config.data.manifest}
    if table.items:  # one comparison an item: no change
        fixed["items"] = plan.config.data.items
    if plan.config.data.items == (ACTION,):  # its classes are the dataset's, not cuts of a scale
        fixed["grade_cuts"] = plan.config.data.grade_cuts
    paper = build(StudyConfig, merge(merge({}, table.settings), {"data": fixed}))
    named = {key for key, _, _ in _differing({}, given)} | set(params)
    return [
        f"{key} {_plain(new)}" + ("" if old is _ABSENT else f" ({_plain(old)})")
        for key, old, new in _differing(
            _run_settings(paper, table.runs[run]), _run_settings(plan.config, params)
        )
        # Another network's own defaults are no change that anybody made: its name is.
        if (old is not _ABSENT or key in named)
        and decides(key)
        and not key.startswith(_SILENT)
        and not (key == "pretrained" and "pretrained" in params)  # the table names it
        and (key, new) != ("store.codec", "lz4")  # exact
    ]


def _run_settings(config: StudyConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study's settings, nested, with those of a run over them, its weights aside."""
    own = {key: value for key, value in params.items() if key != "pretrained"}
    return {**dump(config), **dump(trial_config(config.fit, own))}


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted key, old and new value of everything in ``new`` that is not so in ``old``."""
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if isinstance(value, Mapping):
            section = before if isinstance(before, Mapping) else {}
            yield from _differing(section, value, f"{prefix}{name}.")
        elif before != value:
            yield f"{prefix}{name}", before, value


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
