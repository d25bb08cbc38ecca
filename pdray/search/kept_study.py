"""Optuna's study of a search: a copy in memory, and the database that keeps it.

Optuna asks its storage dozens of questions for each trial that it proposes, and a database takes
milliseconds for each. Here it asks a copy in memory. The database, from which the next session
starts, gets each proposed trial whole in one commit, and then each of its values and its end.
"""

from collections.abc import Sequence
from typing import Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.trial import TrialState
from sqlalchemy.pool import NullPool


class KeptStudy(InMemoryStorage):
    """The storage of one study in memory; :meth:`keep` adds a trial to its database.

    What Optuna writes of a kept trial goes to the database first, then into memory.

    Args:
        database: URL of the database, such as ``sqlite:////folder/optuna.db``.
        name: Name of the study, which is made if it is not there.
        direction: Whether more or less is better.
    """

    def __init__(
        self, database: str, name: str, direction: Literal["maximize", "minimize"]
    ) -> None:
        super().__init__()
        # Without a pool, no connection stays open when the study, or its first question, ends.
        engine = RDBStorage(database, engine_kwargs={"poolclass": NullPool})
        self._study = optuna.create_study(
            study_name=name, storage=engine, direction=direction, load_if_exists=True
        )
        self._database = self._study._storage
        self._kept: dict[int, int] = {}  # id of a trial in the database, by its id here
        study = optuna.create_study(study_name=name, storage=self, direction=direction)
        for trial in self._study.get_trials(deepcopy=False):
            self._kept[self.create_new_trial(study._study_id, trial)] = trial._trial_id

    def keep(self, trial_id: int) -> None:
        """Write a new trial to the database, with all that is known of it, in one commit."""
        if trial_id in self._kept:
            return
        trial = self.get_trial(trial_id)
        self._kept[trial_id] = self._database.create_new_trial(self._study._study_id, trial)

    def set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
    ) -> None:
        """Write the value of a searched setting; a kept trial has it only once."""
        if trial_id in self._kept:
            kept = self._kept[trial_id]
            self._database.set_trial_param(kept, param_name, param_value_internal, distribution)
        super().set_trial_param(trial_id, param_name, param_value_internal, distribution)

    def set_trial_intermediate_value(
        self, trial_id: int, step: int, intermediate_value: float
    ) -> None:
        """Write the value of an epoch."""
        if trial_id in self._kept:
            kept = self._kept[trial_id]
            self._database.set_trial_intermediate_value(kept, step, intermediate_value)
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Write that a trial starts or has ended; return whether it was so written."""
        if trial_id in self._kept:
            self._database.set_trial_state_values(self._kept[trial_id], state, values)
        return super().set_trial_state_values(trial_id, state, values)
