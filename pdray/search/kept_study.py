"""Optuna's study of a search: a copy in memory, and the database that keeps it.

Optuna asks its storage dozens of questions for each trial that it proposes, and a database takes
milliseconds for each. Here it asks a copy in memory. The database, from which the next session
starts, gets each proposed trial whole in one commit, and then each of its values and its end. What
is new there is inserted without a question whether it is there, which Optuna asks for each value.
"""

from collections.abc import Sequence
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import InMemoryStorage, RDBStorage
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
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
        self._engine = engine = RDBStorage(database, engine_kwargs={"poolclass": NullPool})
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
        trial, study_id = self.get_trial(trial_id), self._study._study_id
        is_new = trial.state == TrialState.RUNNING and not trial.intermediate_values
        if not is_new:  # it is one of an earlier session
            self._kept[trial_id] = self._database.create_new_trial(study_id, trial)
            return
        row = models.TrialModel(
            study_id=study_id,
            number=trial.number,
            state=trial.state,
            datetime_start=trial.datetime_start,
        )
        row.params = [
            models.TrialParamModel(
                param_name=name,
                param_value=one.to_internal_repr(trial.params[name]),
                distribution_json=distribution_to_json(one),
            )
            for name, one in trial.distributions.items()
        ]
        with _create_scoped_session(self._engine.scoped_session) as session:
            session.add(row)
            session.flush()
            kept: Any = row.trial_id
        self._kept[trial_id] = kept

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
        """Write the value of an epoch, which a trial has only once."""
        if trial_id in self._kept:
            kind = models.TrialIntermediateValueModel
            value, value_type = kind.intermediate_value_to_stored_repr(intermediate_value)
            row = kind(
                trial_id=self._kept[trial_id],
                step=step,
                intermediate_value=value,
                intermediate_value_type=value_type,
            )
            with _create_scoped_session(self._engine.scoped_session) as session:
                session.add(row)
        super().set_trial_intermediate_value(trial_id, step, intermediate_value)

    def set_trial_state_values(
        self, trial_id: int, state: TrialState, values: Sequence[float] | None = None
    ) -> bool:
        """Write that a trial starts or has ended; return whether it was so written."""
        if trial_id in self._kept:
            self._database.set_trial_state_values(self._kept[trial_id], state, values)
        return super().set_trial_state_values(trial_id, state, values)
