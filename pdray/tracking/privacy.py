"""Privacy of the mirror: no path leaves the machine, because folders carry names of people."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pdray.tracking.address import bare


def shared_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with only the last part of every path, and no password in a URI.

    Args:
        settings: Nested plain values; ``manifest`` is a path even when it is relative.

    Returns:
        The same keys.
    """
    return {
        key: Path(value).name if key == "manifest" and isinstance(value, str) else _shared(value)
        for key, value in settings.items()
    }


def _shared(value: Any) -> Any:
    if isinstance(value, Mapping):
        return shared_settings(value)
    if isinstance(value, list | tuple):
        return [_shared(entry) for entry in value]
    if not isinstance(value, str):
        return value
    if value.startswith("sqlite:"):
        return f"sqlite:{Path(value).name}"
    return Path(value).name if Path(value).is_absolute() else bare(value)
