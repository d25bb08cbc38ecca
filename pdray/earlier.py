"""Settings that earlier versions did not know: what they were then, for studies and stores of then.

A field whose default changes results names the earlier behaviour as a value:
``json_schema_extra={"earlier": "stored"}``. A study that was begun without the key goes on with
that value; a store's keys leave it out, so that they are what they were.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from pdray.config import Settings, dump, leaves, merge, nest, value_at


def earlier_values(root: type[BaseModel]) -> dict[str, object]:
    """Return what settings below ``root`` were before they could be set, by dotted key.

    A field whose default changes results says so: ``json_schema_extra={"earlier": value}``.
    """
    extras = {key: field.json_schema_extra for key, field in leaves(root)}
    return {key: one["earlier"] for key, one in extras.items() if isinstance(one, dict) and one}


def as_begun(
    root: type[BaseModel], tree: Mapping[str, Any], begun: Mapping[str, Any]
) -> dict[str, Any]:
    """Lay earlier values under settings, where what was begun has them or does not know a key yet.

    It has them after this version continued it once.

    Args:
        root: The class of both.
        tree: Nested settings that are asked for.
        begun: Nested settings as they were logged.
    """
    values = {
        key: value
        for key, value in earlier_values(root).items()
        if not _stands(begun, key) or value_at(begun, key) == value
    }
    return merge(nest(values), tree)


def without_earlier(settings: Settings) -> dict[str, Any]:
    """Return settings as plain values, without those that have their earlier value.

    So a digest of them is what it was before they could be set.
    """
    earlier = earlier_values(type(settings))
    return {key: value for key, value in dump(settings).items() if earlier.get(key, ...) != value}


def _stands(tree: Mapping[str, Any], key: str) -> bool:
    section, _, name = key.rpartition(".")
    found = value_at(tree, section) if section else tree
    return isinstance(found, Mapping) and name in found
