"""Public action recordings, as their owners hand them out, to a manifest for pre-training.

Three layouts: UCF-101 (Soomro et al. 2012), HMDB-51 (Kuehne et al. 2011) and Kinetics (Kay et al.
2017), as folders or with its annotation files. A fourth is our own demo cohort, whose SYNTHETIC
items then stand for actions. Nothing is decoded or copied: the manifest names the files where they
lie. Beside it go the names of its classes and the settings that use it.
"""

import json
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pdray.atomic import write_text
from pdray.config import require_writable
from pdray.data.cohort.csv_table import table_text
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.settings import ACTION, SYNTHETIC_SITE
from pdray.errors import ManifestError, refuse
from pdray.importers.actions.lists import Listed, read_hmdb51, read_kinetics, read_ucf101
from pdray.importers.actions.settings import LISTS, ImportConfig
from pdray.importers.files import inside, settings_text, shown, text_faults

COLUMNS = ("recording_id", "subject_id", "item", "grade", "video", "split", "site")
SUFFIXES = frozenset({".avi", ".mp4", ".mkv", ".webm", ".mov"})

_SIDES = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
_GROUP = re.compile(r"v_.+_g(\d+)_c\d+")
_SHOWN = 5  # names in one message


@dataclass(frozen=True)
class ActionRecording:
    """One recording to write.

    Attributes:
        subject_id: Empty where nothing says who is in it.
        action: Name of its class.
        video: Where it lies.
        split: train, val or test; empty where the official split leaves it out.
        site: Where it was filmed; "synthetic" where it was rendered.
    """

    subject_id: str
    action: str
    video: Path
    split: str
    site: str = ""


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Attributes:
        classes: Names, in the order of their grades.
        recordings: Those to write.
        absent: Listed recordings without a file.
        unlisted: Files that are in no list.
    """

    classes: list[str]
    recordings: list[ActionRecording]
    absent: list[str]
    unlisted: list[str]


@dataclass(frozen=True)
class Imported:
    """What was written.

    Attributes:
        manifest: The manifest.
        settings: YAML with the data settings that use it, for ``--config``.
        found: What it was made of.
    """

    manifest: Path
    settings: Path
    found: Found


def import_actions(config: ImportConfig) -> Imported:
    """Write the manifest of a folder of public action recordings.

    The subject of a UCF-101 recording is its group within its class: the clips of a group share
    person and background. The demo cohort knows its subjects; every third of them is in its test
    side. Elsewhere nothing says who is in a recording, and its cell stays empty.

    Args:
        config: Layout, folder and output.

    Returns:
        What was written: the manifest, its classes (``.classes.json``) and its settings
        (``.data.yaml``), each whole or not at all and the manifest last.

    Raises:
        ManifestError: If a folder or list cannot be read, a listed recording has no file or a file
            is in no list, a class has no recording, two files have one name, or the output is
            there with another content.
        SettingsError: If the output's folder cannot be made or written.
    """
    require_writable(config.output.parent, key="output")
    inside(config.folder)
    found = _LAYOUTS[config.layout](config)
    faults = [*_list_faults(found, config), *_class_faults(found), *_name_faults(found)]
    refuse(faults, ManifestError, f"{config.folder} cannot be imported")
    output = config.output.absolute()
    settings = output.with_suffix(".data.yaml")
    texts = {
        class_names_path(output): json.dumps(found.classes, indent=1) + "\n",
        settings: _settings_text(output, found),
        output: _manifest_text(output, found),
    }
    try:
        refuse(text_faults(texts), ManifestError, "nothing was written")
        for path, text in texts.items():
            write_text(path, text)
    except OSError as error:
        raise ManifestError(f"{output}: cannot be written: {error.strerror or error}") from error
    return Imported(output, settings, found)


def class_names_path(manifest: Path) -> Path:
    """Return where the names of a manifest's classes lie: a JSON list, in the order of grades."""
    return manifest.with_suffix(".classes.json")


def _ucf101(config: ImportConfig) -> Found:
    listed = read_ucf101(_lists_folder(config), config.split)
    return _matched(config, *listed, subject=_ucf101_subject)


def _hmdb51(config: ImportConfig) -> Found:
    listed = read_hmdb51(_lists_folder(config), config.split)
    return _matched(config, *listed, subject=lambda *_: "")


def _kinetics(config: ImportConfig) -> Found:
    if config.annotations:
        return _annotated_kinetics(config)
    recordings, classes = [], set()
    for side in _folders(config.folder):
        if side.name not in _SIDES:
            raise ManifestError(
                f"{side}: expected only the folders {', '.join(_SIDES)} in {config.folder}, and "
                "the classes in them"
            )
        for folder in _folders(side):
            classes.add(folder.name)
            split = _SIDES[side.name]
            recordings += [ActionRecording("", folder.name, v, split) for v in _videos(folder)]
    return Found(sorted(classes), recordings, [], [])


def _annotated_kinetics(config: ImportConfig) -> Found:
    listed = read_kinetics(config.annotations)
    files: dict[str, list[Path]] = {}
    for root, _, names in os.walk(config.folder, onerror=_unreadable):
        for path in (Path(root, name) for name in sorted(names) if _is_video(name)):
            files.setdefault(path.stem, []).append(path)
    recordings = [
        ActionRecording("", one.action, path, _SIDES.get(one.split, one.split))
        for one in listed
        for path in files.get(one.name, [])
    ]
    known = {one.name for one in listed}
    return Found(
        classes=sorted({one.action for one in listed}),
        recordings=recordings,
        absent=[f"{one.action}/{one.name}" for one in listed if one.name not in files],
        unlisted=[name for name in files if name not in known],
    )


def _demo(config: ImportConfig) -> Found:
    """Take the items of a rendered cohort for actions."""
    recordings = load_manifest(config.folder / "manifest.csv").recordings
    real = [one.recording_id for one in recordings if not one.is_synthetic]
    if real:
        raise ManifestError(
            f"{config.folder}: not a demo cohort: site of {_few(real)} is not synthetic"
        )
    held = set(sorted({one.subject_id for one in recordings})[2::3])
    found = [
        ActionRecording(
            one.subject_id, one.item, one.video, "test" if one.subject_id in held else "train",
            site=SYNTHETIC_SITE,
        )
        for one in recordings
        if one.video is not None
    ]  # fmt: skip
    return Found(sorted({one.action for one in found}), found, [], [])


def _matched(
    config: ImportConfig,
    classes: list[str],
    listed: Sequence[Listed],
    *,
    subject: Callable[[str, str], str],
) -> Found:
    """Bring the lists and the files of the class folders together."""
    # Copies of UCF-101 differ from its lists in the case of some names.
    by_name = {(one.action, one.name.casefold()): one for one in listed}
    absent = dict(by_name)
    recordings, unlisted = [], []
    for folder in _folders(config.folder):
        for video in _videos(folder):
            key = (folder.name, video.stem.casefold())
            absent.pop(key, None)
            if key not in by_name:
                unlisted.append(f"{folder.name}/{video.name}")
                continue
            who = subject(folder.name, video.stem)
            recordings.append(ActionRecording(who, folder.name, video, by_name[key].split))
    missing = [f"{one.action}/{one.name}" for one in absent.values()]
    return Found(classes, recordings, missing, unlisted)


def _ucf101_subject(action: str, stem: str) -> str:
    match = _GROUP.fullmatch(stem)
    if match is None:
        raise ManifestError(f"{action}/{stem}: has no group; expected v_<class>_g<group>_c<clip>")
    return f"{action}_g{match[1]}"


_LAYOUTS = {"ucf101": _ucf101, "hmdb51": _hmdb51, "kinetics": _kinetics, "demo": _demo}


def _lists_folder(config: ImportConfig) -> Path:
    if config.lists is not None:
        return config.lists
    folder, name = config.folder.absolute(), LISTS[config.layout]
    for place in (folder / name, folder.parent / name):
        if place.is_dir():
            return place
    raise ManifestError(
        f"{folder}: the official lists are neither in {folder / name} nor in "
        f"{folder.parent / name}; say where with lists=..."
    )


def _folders(folder: Path) -> list[Path]:
    return [path for path in inside(folder) if path.is_dir()]


def _videos(folder: Path) -> list[Path]:
    return [path for path in inside(folder) if _is_video(path.name)]


def _is_video(name: str) -> bool:
    return Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")


def _unreadable(error: OSError) -> None:
    raise ManifestError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _list_faults(found: Found, config: ImportConfig) -> list[str]:
    faults = []
    if len(found.absent) > config.max_absent:
        faults.append(
            f"{len(found.absent)} listed recordings have no file (allowed: max_absent = "
            f"{config.max_absent}): {_few(found.absent)}"
        )
    # An official split is whole; annotations may be of a part of what is there.
    if found.unlisted and not config.annotations:
        faults.append(
            f"{len(found.unlisted)} recordings are in no list of split {config.split}: "
            f"{_few(found.unlisted)}"
        )
    return faults


def _class_faults(found: Found) -> list[str]:
    filled = {one.action for one in found.recordings}
    faults = [f"class {name} has no video" for name in found.classes if name not in filled]
    if len(found.classes) < 2:
        faults.append(f"{len(found.classes)} classes: a network needs at least 2 to tell apart")
    return faults


def _name_faults(found: Found) -> list[str]:
    """Name the files that would be one recording, and names that a manifest cannot hold."""
    home: dict[str, Path] = {}
    faults = []
    for video in (one.video for one in found.recordings):
        first = home.setdefault(video.stem, video)
        if first is not video:
            faults.append(f"two files of one name: {first} and {video}")
        if video.stem != video.stem.strip() or not str(video).isprintable():
            faults.append(
                f"file {str(video)!a}: rename it, without spaces at the ends or signs that cannot "
                "be printed"
            )
    return faults


def _manifest_text(output: Path, found: Found) -> str:
    grades = {name: grade for grade, name in enumerate(found.classes)}
    cells = (
        (one.video.stem, one.subject_id, ACTION, grades[one.action],
         shown(one.video, output.parent), one.split, one.site)
        for one in found.recordings
    )  # fmt: skip
    return table_text(COLUMNS, (dict(zip(COLUMNS, row, strict=True)) for row in cells))


def _settings_text(output: Path, found: Found) -> str:
    data = {
        "manifest": str(output),
        "items": [ACTION],
        "subjects": "required" if all(one.subject_id for one in found.recordings) else "none",
        "grade_cuts": list(range(1, len(found.classes))),
    }
    return settings_text(data)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
