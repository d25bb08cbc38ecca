"""Makes a manifest for pretraining from public action recordings.

It knows the published layouts of UCF-101 (Soomro et al. 2012), HMDB-51 (Kuehne et al. 2011) and
Kinetics (Kay et al. 2017; as folders or with its annotation files), of DFEW (Jiang et al. 2020),
whose expressions are used as actions, and pdray's own demo cohort, whose SYNTHETIC items are.
Nothing is decoded or copied: the manifest holds paths of the files, or of lists of pictures. The
names of the classes and the settings for the manifest are written next to it.
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
from pdray.importers.actions.dfew import match_dfew, picture_lists
from pdray.importers.actions.found import (
    ActionRecording,
    Found,
    folders_in,
    is_video,
    of_classes,
    videos_in,
)
from pdray.importers.actions.lists import Listed, read_hmdb51, read_kinetics, read_ucf101
from pdray.importers.actions.settings import LISTS, ImportConfig
from pdray.importers.files import inside, outside, settings_text, shown, text_faults

COLUMNS = ("recording_id", "subject_id", "item", "grade", "video", "split", "site")

_SIDES = {"train": "train", "val": "val", "validate": "val", "validation": "val", "test": "test"}
_GROUP = re.compile(r"v_.+_g(\d+)_c\d+")
_SHOWN = 5  # names in one message


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        manifest: The manifest.
        settings: YAML file with the data settings of the manifest, for ``--config``.
        found: Content of the folder.
    """

    manifest: Path
    settings: Path
    found: Found


def import_actions(config: ImportConfig) -> Imported:
    """Write the manifest of a folder of public action recordings.

    The subject of a UCF-101 recording is its group within its class, since the clips of a group
    share person and background. The demo cohort has subjects; every third one becomes a test
    subject. In the other data sets subjects are unknown, and their cells stay empty.

    Args:
        config: Layout, folder and output.

    Returns:
        The manifest, its classes (``.classes.json``) and its settings (``.data.yaml``). Each file
        is written whole or not at all, the manifest last.

    Raises:
        ManifestError: If a folder or list cannot be read, a listed recording has no file, a file is
            in no list, a class has no recording, two files have the same name, or the output
            exists with other content.
        SettingsError: If the output's folder cannot be made or written.
    """
    require_writable(config.output.parent, key="output")
    inside(config.folder)
    found = of_classes(_LAYOUTS[config.layout](config), config)
    faults = [*_list_faults(found, config), *_class_faults(found), *_name_faults(found)]
    refuse(faults, ManifestError, f"{config.folder} cannot be imported")
    output = config.output.absolute()
    settings = output.with_suffix(".data.yaml")
    texts = {
        **picture_lists(found, config),
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
    """Return the path of a manifest's class names: a JSON list, in the order of grades."""
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
    for side in folders_in(config.folder):
        if side.name not in _SIDES:
            raise ManifestError(
                f"{side}: is not a side of the split; give a folder that has only the folders "
                f"{', '.join(_SIDES)}, with the classes in them"
            )
        for folder in folders_in(side):
            classes.add(folder.name)
            split = _SIDES[side.name]
            recordings += [ActionRecording("", folder.name, v, split) for v in videos_in(folder)]
    return Found(sorted(classes), recordings, [], [])


def _annotated_kinetics(config: ImportConfig) -> Found:
    listed = read_kinetics(config.annotations)
    files: dict[str, list[Path]] = {}
    for root, _, names in os.walk(config.folder, onerror=_unreadable):
        for path in (Path(root, name) for name in sorted(names) if is_video(name)):
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
    """Use the items of a synthetic cohort as actions; expressions are classes by their names."""
    recordings = load_manifest(config.folder / "manifest.csv").recordings
    real = [one.recording_id for one in recordings if not one.is_synthetic]
    if real:
        raise ManifestError(
            f"{config.folder}: is not a demo cohort, since the site of {_few(real)} is not "
            "synthetic; give a folder that jobs/make_demo.py wrote"
        )
    held = set(sorted({one.subject_id for one in recordings})[2::3])
    found = [
        ActionRecording(
            one.subject_id, one.item.removeprefix("expression_"), one.video,
            "test" if one.subject_id in held else "train", site=SYNTHETIC_SITE,
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
    """Match the lists with the files of the class folders."""
    # Some names in copies of UCF-101 differ from its lists in upper and lower case.
    by_name = {(one.action, one.name.casefold()): one for one in listed}
    absent = dict(by_name)
    recordings, unlisted = [], []
    for folder in folders_in(config.folder):
        for video in videos_in(folder):
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
        raise ManifestError(
            f"{action}/{stem}: the name has no group; name the file v_<class>_g<group>_c<clip>"
        )
    return f"{action}_g{match[1]}"


def _dfew(config: ImportConfig) -> Found:
    return match_dfew(config, _lists_folder(config))


_LAYOUTS = {
    "ucf101": _ucf101, "hmdb51": _hmdb51, "kinetics": _kinetics, "dfew": _dfew, "demo": _demo,
}  # fmt: skip


def _lists_folder(config: ImportConfig) -> Path:
    if config.lists is not None:
        return config.lists
    folder, name = config.folder.absolute(), LISTS[config.layout]
    for place in (folder / name, folder.parent / name):
        if place.is_dir():
            return place
    raise ManifestError(
        f"{folder}: the official lists are neither in {folder / name} nor in "
        f"{folder.parent / name}; set lists=FOLDER"
    )


def _unreadable(error: OSError) -> None:
    raise ManifestError(f"{error.filename}: cannot be read: {error.strerror}") from error


def _list_faults(found: Found, config: ImportConfig) -> list[str]:
    faults = []
    if len(found.absent) > config.max_absent:
        faults.append(
            f"{len(found.absent)} listed recordings have no file ({_few(found.absent)}); add the "
            f"files, or set max_absent={len(found.absent)} (now {config.max_absent})"
        )
    # An official split lists all files; annotations may list only some, and so do those of DFEW,
    # where clips without one clear label are in no fold.
    if found.unlisted and not config.annotations and config.layout != "dfew":
        faults.append(
            f"{len(found.unlisted)} files are in no list of split {config.split} "
            f"({_few(found.unlisted)}); remove them, or use the lists of this data set"
        )
    return faults


def _class_faults(found: Found) -> list[str]:
    filled = {one.action for one in found.recordings}
    faults = [f"class {name} has no video; add one" for name in found.classes if name not in filled]
    if len(found.classes) < 2:
        faults.append(f"found {len(found.classes)} classes; give a folder with at least 2")
    return faults


def _name_faults(found: Found) -> list[str]:
    """List files with the same name, and names that a manifest cannot hold."""
    home: dict[str, Path] = {}
    faults = []
    for video in (one.video for one in found.recordings):
        first = home.setdefault(video.stem, video)
        if first is not video:
            faults.append(f"two files have the same name: {first} and {video}; rename one")
        if video.stem != video.stem.strip() or not str(video).isprintable():
            faults.append(
                f"file {str(video)!a} has spaces at the ends of its name, or characters that "
                "cannot be printed; rename it"
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
        **outside(shown(one.video, output.parent) for one in found.recordings),
    }
    return settings_text(data)


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
