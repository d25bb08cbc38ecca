"""Reads folders of an import, and makes the files that are written next to a manifest."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from pdray.errors import ManifestError

OTHER_CONTENT = "exists with other content; give another output"


def inside(folder: Path) -> list[Path]:
    """Return the content of a folder, sorted by name, without hidden files.

    Raises:
        ManifestError: If it cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise ManifestError(f"{folder}: cannot be read: {error.strerror or error}") from error


def shown(path: Path | None, folder: Path) -> str:
    """Return a path as it is written into a manifest in ``folder``; empty for None.

    It is relative if it is below the folder, so that both can be moved together.
    """
    if path is None:
        return ""
    path = path.absolute()
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def outside(cells: Iterable[str]) -> dict[str, bool]:
    """Return the settings that a manifest needs for its files.

    Args:
        cells: Paths as :func:`shown` writes them: absolute outside the manifest's folder.
    """
    return {"allow_outside": True} if any(Path(cell).is_absolute() for cell in cells) else {}


def settings_text(data: Mapping[str, Any], **sections: Any) -> str:
    """Return the settings for a manifest as YAML, for ``--config``."""
    tree = {"data": dict(data), **sections}
    return yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=100)


def text_faults(texts: Mapping[Path, str]) -> list[str]:
    """List the files that exist with other content than the text to write."""
    return [
        f"{path}: {OTHER_CONTENT}"
        for path, text in texts.items()
        if path.exists() and not (path.is_file() and path.read_bytes() == text.encode())
    ]
