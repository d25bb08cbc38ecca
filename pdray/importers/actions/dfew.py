"""Clips of DFEW (Jiang et al. 2020): videos, or folders of numbered pictures.

The layout was seen in public programs that read it, not in the data, which is given on request:
``EmoLabel_DataSplit`` with the lists of five folds, ``Clip/clip_224x224/<5 digits>/*.jpg``, and the
original videos in any folder of ``Clip`` where they are. Its actors are not named.
"""

import os
from pathlib import Path

from pdray.data.media.picture_list import SUFFIX, list_text, numbered_pictures
from pdray.errors import DecodeError, ManifestError, refuse
from pdray.importers.actions.found import ActionRecording, Found, folders_in, videos_in
from pdray.importers.actions.lists import DFEW_LABELS, read_dfew
from pdray.importers.actions.settings import ImportConfig

PICTURES = "clip_224x224"  # folder of Clip


def match_dfew(config: ImportConfig, lists: Path) -> Found:
    """Match a fold's lists with videos of any folder in ``Clip``, else with folders of pictures.

    Args:
        config: Folder and fold.
        lists: Folder of the lists.

    Raises:
        ManifestError: If a list or a folder cannot be read.
    """
    listed = read_dfew(lists, config.split)
    clips = config.folder / "Clip"
    videos = {_clip_name(video): video for place in folders_in(clips) for video in videos_in(place)}
    pictures = clips / PICTURES
    folders = {one.name: one for one in folders_in(pictures)} if pictures.is_dir() else {}
    stand_ins = {name: _list_path(config, name) for name in folders}
    files = stand_ins | videos
    recordings = [
        ActionRecording("", one.action, files[one.name], one.split)
        for one in listed
        if one.name in files
    ]
    known = {one.name for one in listed}
    return Found(
        classes=list(DFEW_LABELS.values()),
        recordings=recordings,
        absent=[f"{one.action}/{one.name}" for one in listed if one.name not in files],
        unlisted=[name for name in files if name not in known],
        pictures={stand_ins[name]: folder for name, folder in folders.items() if name in known
                  and name not in videos},
    )  # fmt: skip


def _clip_name(video: Path) -> str:
    return f"{int(video.stem):05d}" if video.stem.isdecimal() else video.stem


def _list_path(config: ImportConfig, name: str) -> Path:
    return config.output.absolute().with_suffix(".clips") / f"{name}{SUFFIX}"


def picture_lists(found: Found, config: ImportConfig) -> dict[Path, str]:
    """Return the text of each picture list.

    Raises:
        ManifestError: If a folder's pictures are not numbered one after the other, or their rate is
            not set.
    """
    rate = config.pictures_per_second
    if found.pictures and rate is None:
        raise ManifestError(
            f"{config.folder}: {len(found.pictures)} clips are folders of pictures, which do not "
            "say how fast they follow each other; set pictures_per_second=25, or what it was"
        )
    texts, faults = {}, []
    for path, folder in found.pictures.items():
        try:
            place = Path(os.path.relpath(folder, path.parent)).as_posix()
            texts[path] = list_text(numbered_pictures(folder), place, rate or 0.0)
        except (DecodeError, OSError) as error:
            faults.append(f"{folder}: {error}")
    refuse(faults, ManifestError, f"{config.folder} cannot be imported")
    return texts
