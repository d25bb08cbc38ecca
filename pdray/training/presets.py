"""Presets of translators: the numbers of their papers, and small ones for a demo.

All of them stand in ``presets.yaml``.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pdray import plain_yaml
from pdray.config import merge

_FILE = Path(__file__).with_name("presets.yaml")


@cache
def presets() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """Return the settings of a fit, nested, by preset and name of the model."""
    found: Mapping[str, Mapping[str, Mapping[str, Any]]] = plain_yaml.load(
        _FILE.read_text(encoding="utf-8")
    )
    return found


def with_preset(tree: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a fit over those of the preset that they name.

    Args:
        tree: Nested plain values. Where they name no preset, or one that their model does not have,
            they are returned as they are.
    """
    section, model = tree.get("synthesis"), tree.get("model")
    if not (isinstance(section, Mapping) and isinstance(model, Mapping)):
        return tree
    below = presets().get(str(section.get("preset")), {}).get(str(model.get("name")))
    return tree if below is None else merge(merge({}, below), tree)
