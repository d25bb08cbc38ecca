"""Numbers that an external validation adds to the usual ones: calibration, and the one site."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd

from pdray.evaluation.evaluate import headlines
from pdray.evaluation.numbers import Number
from pdray.evaluation.predictions import num_classes
from pdray.evaluation.probability_numbers import calibration_numbers, large_numbers

_TRUTH = "model"  # nothing was trained on these people


def external_numbers(
    units: pd.DataFrame, calibrated: pd.DataFrame | None, kind: str, usual: Sequence[Number]
) -> Iterator[Number]:
    """Yield the scores of the one site, and calibration in the large before and after calibration.

    Args:
        units: One row per recording.
        calibrated: The same with the study's calibrated probabilities; None: it has none.
        kind: The study's calibration, such as "temperature".
        usual: The usual numbers, which have scores of several sites already.
    """
    sites = units["site"] if "site" in units else pd.Series(dtype=object)
    if len(sites) and sites.notna().all() and sites.nunique() == 1:
        names = headlines(num_classes(units))
        for one in usual:
            if one.table == "scores" and one.metric in names:
                yield replace(one, table="groups", group=f"site={sites.iloc[0]}")
    yield from large_numbers(units, _TRUTH)
    if calibrated is not None:
        after = f", after {kind}"
        yield from large_numbers(calibrated, _TRUTH, after)
        for one in calibration_numbers(calibrated, _TRUTH):
            yield replace(one, group=f"{one.group}{after}")
