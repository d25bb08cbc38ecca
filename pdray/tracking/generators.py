"""Studies of generators: models that learnt to make pictures of people, and grade nobody.

Their weights can bring out faces that they learnt. So they are neither exported nor sent to MLflow,
and nothing that grades or scores recordings takes them.
"""

from collections.abc import Mapping
from typing import Any

from pdray.config import value_at
from pdray.errors import StudyError
from pdray.models import MODELS


def generator_of(settings: Mapping[str, Any]) -> str:
    """Return the name of the model of a fit if it makes pictures; else nothing.

    Args:
        settings: Settings of a fit or of a study, nested.
    """
    name = str(value_at(settings, "model.name") or "")
    entry = MODELS.get(name)
    return name if entry is not None and not entry.predicts else ""


def refuse_generator(study: str, settings: Mapping[str, Any]) -> None:
    """Refuse to grade or score by a generator.

    Raises:
        StudyError: Names the study and the model.
    """
    if name := generator_of(settings):
        raise StudyError(
            f"study {study}: its model {name} makes pictures and grades nobody; give a study of a "
            "classifier (a network or an estimator of docs/reference/models.md)"
        )
