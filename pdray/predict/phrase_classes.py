"""The expression of each class of the network of a study."""

from collections.abc import Sequence

from pdray.data.cohort.settings import EXPRESSIONS
from pdray.errors import StudyError, refuse
from pdray.models.networks.expression_clip_settings import ExpressionClipConfig
from pdray.predict.studied import Studied
from pdray.training.phrase_classes import (
    expressions_by_name,
    expressions_by_phrase,
    phrase_faults,
)


def class_expressions(studied: Studied, given: Sequence[str]) -> tuple[str, ...]:
    """Return the expression of each class of the network of a study.

    It is the one that the setting gives; else that of the class's name beside the study's manifest;
    else that of its phrase.

    Args:
        studied: The study.
        given: The setting; empty if it is not set.

    Raises:
        StudyError: If the model has no phrases, the expression of a class is not known, two classes
            have the same, or a class learnt the phrase of another expression.
    """
    model, name, num = studied.config.model, studied.name, studied.num_classes
    if not isinstance(model, ExpressionClipConfig):
        raise StudyError(
            f"study {name}: its model {model.name} has no phrases; use a study of "
            "model.name=expression_clip"
        )
    if given and len(given) != num:
        raise StudyError(
            f"expressions: got {len(given)} for the {num} classes of study {name}; write one for "
            "each"
        )
    by_name = expressions_by_name(studied.data.manifest, num)
    told = tuple(given) or by_name or expressions_by_phrase(model, num)
    faults = [
        f"the expression of class {place} {f'is {one!r} like another' if one else 'is not known'}; "
        f"write one for each class, such as expressions=[{','.join(EXPRESSIONS[:num])}]"
        for place, one in enumerate(told)
        if not one or told.count(one) > 1
    ]
    refuse(faults or phrase_faults(model, told, num), StudyError, f"study {name}")
    return told
