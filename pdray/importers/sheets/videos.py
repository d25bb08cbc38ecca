"""Finds the videos below a folder, and those that are damaged."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pdray.data.media.container import ending
from pdray.data.media.decode import check_readable
from pdray.errors import ManifestError, refuse
from pdray.importers.sheets.join import Part, told
from pdray.importers.sheets.pattern import NamePattern
from pdray.importers.sheets.words import Words, key

ENDINGS = frozenset(
    [".mp4", ".mov", ".m4v", ".avi", ".mkv", ".webm", ".wmv", ".flv", ".3gp", ".mpg", ".mpeg",
     ".mts", ".m2ts", ".ts", ".mxf", ".ogv"]
)  # fmt: skip
_READERS = 8  # threads that open files; they wait for the disk, not for a core
_SHOWN = 3  # names


def find_videos(folder: Path) -> tuple[list[Path], int]:
    """Return the videos below a folder, sorted, and the number of other files; no hidden ones.

    Links to folders are followed; each folder is searched once, however many ways lead to it.

    Returns:
        Paths relative to the folder, and how many files are no videos by their ending.

    Raises:
        ManifestError: If a folder cannot be read, or there is no video.
    """

    def stop(error: OSError) -> None:
        raise ManifestError(
            f"{error.filename}: cannot be read: {error.strerror}; give a folder that is there and "
            "that you may read"
        ) from error

    found, others, seen = [], 0, {os.path.realpath(folder)}
    for place, folders, names in os.walk(folder, onerror=stop, followlinks=True):
        named = sorted((one for one in folders if not one.startswith(".")), reverse=True)
        ways = {os.path.realpath(Path(place, one)): one for one in named}
        folders[:] = sorted(one for real, one in ways.items() if real not in seen)
        seen.update(ways)
        for name in names:
            if name.startswith("."):  # such as the ._ files that macOS leaves on other disks
                continue
            path = Path(place, name).relative_to(folder)
            if path.suffix.lower() not in ENDINGS:
                others += 1
            else:
                found.append(path)
    try:
        "".join(map(str, found)).encode()
    except UnicodeEncodeError as error:
        strange = [text for one in found if "\\ud" in (text := ascii(str(one)))][:_SHOWN]
        raise ManifestError(
            f"{folder}: names of videos are not in UTF-8; rename {', '.join(strange)}"
        ) from error
    if not found:
        raise ManifestError(
            f"{folder}: there is no video in it: none of {others} files ends in "
            f"{', '.join(sorted(ENDINGS))}"
        )
    return sorted(found), others


def read_names(
    videos: Sequence[Path], pattern: str | None, words: Words
) -> tuple[list[Part], list[Path]]:
    """Return what the names of videos say, and the videos whose names do not fit.

    Args:
        videos: Paths below the folder.
        pattern: As :class:`NamePattern` reads it; None says nothing of any video.
        words: How cells are written in a manifest.

    Raises:
        ManifestError: If no name fits; shows three of them and how far each fits.
    """
    if pattern is None:
        return [Part(path, {}) for path in videos], []
    reader = NamePattern(pattern)
    parts, strange = [], []
    for path in videos:
        found = reader.match(path)
        if found is None:
            strange.append(path)
        else:
            cells = {column: words.cell(column, text) for column, text in found.items()}
            parts.append(Part(path, cells))
    if not parts:
        lines = "".join(f"\n  - {reader.reach(path)}" for path in strange[:_SHOWN])
        raise ManifestError(
            f"pattern={pattern!r} fits none of the {len(videos)} names of videos, such as{lines}"
        )
    refuse(_twins(parts), ManifestError, "names of videos")
    return parts, strange


def _twins(parts: Sequence[Part]) -> list[str]:
    """Return which videos have names that say the same."""
    found: dict[tuple[str, ...], list[Part]] = {}
    for part in parts:
        found.setdefault(tuple(map(key, part.cells.values())), []).append(part)
    return [
        f"{len(some)} say the same ({told(some[0].cells)}); move copies away, or name what tells "
        "them apart in the pattern, such as {x_take}"
        for some in found.values()
        if len(some) > 1
    ]


def damage(
    folder: Path, paths: Sequence[Path], progress: Callable[[int, int], None]
) -> dict[Path, str]:
    """Return why videos cannot be used, by path; headers and ends are looked at, not pictures.

    Args:
        folder: Of the videos.
        paths: Below it.
        progress: Called with (done, all).
    """
    wanted = list(dict.fromkeys(paths))
    found = {}
    with ThreadPoolExecutor(_READERS) as pool:
        reasons = pool.map(lambda path: _damage(folder / path), wanted)
        for number, (path, reason) in enumerate(zip(wanted, reasons, strict=True), start=1):
            progress(number, len(wanted))
            if reason:
                found[path] = reason
    return found


def _damage(video: Path) -> str | None:
    reason = check_readable(video)
    if reason:
        return reason
    whole, size = ending(video).num_bytes, video.stat().st_size
    if whole is not None and size < whole:
        return f"is cut: it has {size} of {whole} bytes; copy it again"
    return None
