"""Block below a table: how raters agree with each other, and the models beside them."""

from collections.abc import Collection, Mapping

import pandas as pd

from pdray.evaluation.numbers import Number
from pdray.evaluation.rater_numbers import rater_numbers
from pdray.evaluation.report import aligned

_METRICS = ("mae", "kappa", "within_one")


def rater_block(rows: Mapping[str, pd.DataFrame], reference: Collection[int]) -> list[str]:
    """Return lines: raters in pairs, then each rater and each model against the same grades.

    Args:
        rows: By label, predictions of one model by all seeds, with the grades of raters.
        reference: Raters with whose mean all are compared, from 1.
    """
    cells: dict[str, dict[str, Number]] = {}
    for label, table in rows.items():
        for one in rater_numbers(table, [], reference):
            if one.table == "raters" and one.metric in _METRICS:
                name = one.group
                if name.startswith("model"):
                    who, target = name.split(" against ", 1)
                    # Where a rater graded everything, the model has the same line for each.
                    whole = one.num_rows == len(table)
                    name = f"{label if whole else who.replace('model', label)} against {target}"
                cells.setdefault(name, {}).setdefault(one.metric, one)
    # Lines of the same target stand together.
    order = sorted(cells, key=lambda name: (" against " in name, name.partition(" against ")[2]))
    body = [["", *_METRICS]]
    body += [[name, *(_cell(cells[name].get(one)) for one in _METRICS)] for name in order]
    return ["raters with each other, and raters and models against the same grades", *aligned(body)]


def _cell(one: Number | None) -> str:
    if one is None or one.undefined:
        return "-"
    return f"{one.value:.3f}" + f" [{one.low:.3f}, {one.high:.3f}]" * one.has_interval
