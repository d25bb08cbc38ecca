"""Forecasts how long a study takes, before it starts."""

from pdray.data.cohort.members import Cohort
from pdray.search.cluster import Reservation
from pdray.search.plan import StudyPlan


def hours_of(
    plan: StudyPlan, cohort: Cohort, reservation: Reservation, *, num_searches: int
) -> float | None:
    """Return the hours that a whole study will take, refits included; None if nobody knows.

    Args:
        plan: Its settings.
        cohort: Its recordings.
        reservation: Resources of a trial and how many trials run at once.
        num_searches: Searches that run one after the other: 1 of protocol ``holdout``, the number
            of outer folds and one more of ``nested``.
    """
    return None
