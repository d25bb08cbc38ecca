"""The expression of each class of an expression network, by its name or by its phrase."""

import json
from collections.abc import Sequence
from pathlib import Path

from pdray.data.cohort.settings import EXPRESSIONS
from pdray.models.networks.expression_clip_settings import (
    PHRASES,
    ExpressionClipConfig,
    class_phrases,
)


def expressions_by_name(manifest: Path, num_classes: int) -> tuple[str, ...]:
    """Return the expressions that the names of classes beside a manifest give.

    Args:
        manifest: The manifest; the names are in ``.classes.json``, as importers of actions write
            them.
        num_classes: Classes K.

    Returns:
        One per class; nothing if there are no K names, or one is no expression.
    """
    try:
        found = json.loads(manifest.with_suffix(".classes.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ()
    is_list = isinstance(found, list) and len(found) == num_classes
    return tuple(map(str, found)) if is_list and set(found) <= set(EXPRESSIONS) else ()


def expressions_by_phrase(model: ExpressionClipConfig, num_classes: int) -> tuple[str, ...]:
    """Return the expression of pdray's own phrases, one per class; empty for another phrase."""
    names = {phrase: expression for expression, phrase in PHRASES.items()}
    return tuple(names.get(one, "") for one in class_phrases(model.phrases, num_classes))


def phrase_faults(
    model: ExpressionClipConfig, expressions: Sequence[str], num_classes: int
) -> list[str]:
    """List classes whose phrase is of another expression.

    Args:
        model: Settings of the network.
        expressions: The expression of each class; empty if it is not known.
        num_classes: Classes K.
    """
    pairs = zip(expressions, expressions_by_phrase(model, num_classes), strict=False)
    return [
        f"class {place} is {name}, and its phrase is that of {phrase}; write model.phrases="
        f"[{','.join(expressions)}]"
        for place, (name, phrase) in enumerate(pairs)
        if phrase not in ("", name)
    ]
