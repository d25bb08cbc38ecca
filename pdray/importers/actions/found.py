"""Content of a folder of public recordings: recordings with their classes, and what is missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pdray.config import nearest
from pdray.errors import ManifestError, refuse
from pdray.importers.actions.settings import ImportConfig
from pdray.importers.files import inside

SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".webm", ".mov"})


@dataclass(frozen=True)
class ActionRecording:
    """Recording of the new manifest.

    Attributes:
        subject_id: Subject; empty if unknown.
        action: Name of its class.
        video: Path of the file.
        split: train, val or test; empty if it is in no side of the official split.
        site: "synthetic" for a SYNTHETIC recording, else empty.
    """

    subject_id: str
    action: str
    video: Path
    split: str
    site: str = ""


@dataclass(frozen=True)
class Found:
    """Content of a folder.

    Attributes:
        classes: Names of the classes, in the order of their grades.
        recordings: Recordings of the new manifest.
        absent: Listed recordings without a file.
        unlisted: Files that are in no list.
        pictures: Folder of pictures by the path of the picture list that stands for it.
    """

    classes: list[str]
    recordings: list[ActionRecording]
    absent: list[str]
    unlisted: list[str]
    pictures: Mapping[Path, Path] = field(default_factory=dict)


def of_classes(found: Found, config: ImportConfig) -> Found:
    """Keep the classes that are asked for, in their order.

    Raises:
        ManifestError: If the folder has no such class.
    """
    if not config.classes:
        return found
    unknown = [
        f"class {name!r}: {nearest(name, found.classes)}classes: {', '.join(found.classes)}"
        for name in config.classes
        if name not in found.classes
    ]
    refuse(unknown, ManifestError, f"{config.folder} has not all that classes names")
    recordings = [one for one in found.recordings if one.action in config.classes]
    used = {one.video for one in recordings}
    return replace(
        found,
        classes=list(config.classes),
        recordings=recordings,
        absent=[name for name in found.absent if name.partition("/")[0] in config.classes],
        pictures={path: folder for path, folder in found.pictures.items() if path in used},
    )


def folders_in(folder: Path) -> list[Path]:
    """Return the folders of a folder, by name."""
    return [path for path in inside(folder) if path.is_dir()]


def videos_in(folder: Path) -> list[Path]:
    """Return the videos of a folder, by name."""
    return [path for path in inside(folder) if is_video(path.name)]


def is_video(name: str) -> bool:
    """Return whether a file name is that of a video."""
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")
