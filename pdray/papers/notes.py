"""Makes notes on settings of a table's runs that differ from the paper's."""

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
# Settings without effect on the scores of a comparison, since it searches nothing.
_SILENT = ("data.max_decode_failures", "frames", "search.metric", "search.prune", "search.startup")


def settings_notes(
    table: PaperTable, plan: StudyPlan, given: Mapping[str, Any], *, is_rendered: bool
) -> list[str]:
    """Return notes on settings that differ from the paper's, those shared by all runs first.

    Args:
        table: Table with the paper's settings; settings that it does not name are the defaults.
        plan: Plan of the runs, of any item.
        given: Settings that replace the table's, nested.
        is_rendered: Whether the cohort is synthetic; ``given`` then has the table's small settings.
    """
    changes = {run: _changes(table, plan, run, given) for run in plan.fixed}
    first, *others = changes.values()
    shared = [change for change in first if all(change in other for other in others)]
    begin = "small settings instead of the paper's" if is_rendered else "changed paper settings"
    parts = ["the cohort is synthetic"] if is_rendered else []
    parts += [begin, ", ".join(shared)] if shared else []
    notes = [": ".join(parts)] if parts else []
    lone: dict[str, list[str]] = {}
    for run, found in changes.items():
        own = ", ".join(change for change in found if change not in shared)
        lone.setdefault(own, []).append(run)
    return notes + [f"{begin}, for {', '.join(runs)}: {own}" for own, runs in lone.items() if own]


def _changes(table: PaperTable, plan: StudyPlan, run: str, given: Mapping[str, Any]) -> list[str]:
    """Return each setting of a run that differs from the paper's, whose value is in brackets."""
    params = plan.fixed[run]
    fixed: dict[str, Any] = {"manifest": plan.config.data.manifest}
    if table.items:  # one comparison per item is not a change
        fixed["items"] = plan.config.data.items
    if plan.config.data.items == (ACTION,):  # classes of a data set, not cuts of a scale
        fixed["grade_cuts"] = plan.config.data.grade_cuts
    paper = build(StudyConfig, merge(merge({}, table.settings), {"data": fixed}))
    named = {key for key, _, _ in _differing({}, given)} | set(params)
    return [
        f"{key} {_plain(new)}" + ("" if old is _ABSENT else f" ({_plain(old)})")
        for key, old, new in _differing(
            _run_settings(paper, table.runs[run]), _run_settings(plan.config, params)
        )
        # With another network, its name is the change, not its own defaults.
        if (old is not _ABSENT or key in named)
        and decides(key)
        and not key.startswith(_SILENT)
        and not (key == "pretrained" and "pretrained" in params)  # the table names it
        and not (table.seeds > 1 and key in ("search.seed", "folds.seed"))  # so are its seeds
        and (key, new) != ("store.codec", "lz4")  # exact
    ]


def _run_settings(config: StudyConfig, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nested settings of a study combined with those of a run, without its weights."""
    own = {key: value for key, value in params.items() if key != "pretrained"}
    return {**dump(config), **dump(trial_config(config.fit, own))}


def _differing(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Yield dotted key, old and new value of each value of ``new`` that differs from ``old``."""
    for name, value in new.items():
        before = old.get(name, _ABSENT)
        if isinstance(value, Mapping):
            section = before if isinstance(before, Mapping) else {}
            yield from _differing(section, value, f"{prefix}{name}.")
        elif before != value:
            yield f"{prefix}{name}", before, value


def _plain(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
