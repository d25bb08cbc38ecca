"""The expression of each class of an expression network."""

import json
from collections.abc import Sequence

from pdray.data.cohort.settings import EXPRESSIONS
from pdray.errors import StudyError
from pdray.models.networks.expression_clip_settings import (
    PHRASES,
    ExpressionClipConfig,
    class_phrases,
)
from pdray.predict.studied import Studied


def class_expressions(studied: Studied, given: Sequence[str]) -> tuple[str, ...]:
    """Return the expression of each class of the network of a study.

    It is the one that the setting gives; else the one of the class's name beside the study's
    manifest (``.classes.json``, as importers of actions write it); else the one of its phrase.

    Args:
        studied: The study.
        given: The setting; empty if it is not set.

    Raises:
        StudyError: If the model has no phrases, the expression of a class is not known, two classes
            have the same, or a class learnt the phrase of another expression.
    """
    model, name = studied.config.model, studied.name
    if not isinstance(model, ExpressionClipConfig):
        raise StudyError(
            f"study {name}: its model {model.name} has no phrases; use a study of "
            "model.name=expression_clip"
        )
    names = {phrase: expression for expression, phrase in PHRASES.items()}
    phrases = class_phrases(model.phrases, studied.num_classes)
    told = tuple(given) or _class_names(studied) or tuple(names.get(one, "") for one in phrases)
    if len(told) != len(phrases):
        raise StudyError(
            f"expressions: got {len(told)} for the {len(phrases)} classes of study {name}; write "
            "one for each"
        )
    for place, (expression, phrase) in enumerate(zip(told, phrases, strict=True)):
        if expression not in EXPRESSIONS or told.count(expression) > 1:
            found = f"is '{expression}'" if expression else "is not known"
            raise StudyError(
                f"study {name}: the expression of class {place}, with the phrase '{phrase}', "
                f"{found}; write the expression of each class, all different, such as expressions="
                f"[{','.join(EXPRESSIONS[: len(phrases)])}]"
            )
        if names.get(phrase, expression) != expression:
            raise StudyError(
                f"study {name}: class {place} is {expression}, but it learnt the phrase of "
                f"{names[phrase]}; train again with model.phrases=[{','.join(told)}]"
            )
    return told


def _class_names(studied: Studied) -> tuple[str, ...]:
    try:
        text = studied.data.manifest.with_suffix(".classes.json").read_text(encoding="utf-8")
        found = json.loads(text)
    except (OSError, ValueError):
        return ()
    is_list = isinstance(found, list) and len(found) == studied.num_classes
    return tuple(map(str, found)) if is_list and set(found) <= set(EXPRESSIONS) else ()
