"""Looks at Python, the installed packages, the extras, and what FFmpeg can decode."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

from pdray.doctor.finding import Line

_CONSTRAINTS = Path(__file__).resolve().parents[2] / "constraints.txt"  # of a checkout
_DEVELOPERS = ("bench", "dev", "docs")
_SHOWN = 5
_INSTALL = "make test installs the pinned packages into .venv; pdray's own Python is in it"
# What phones, cameras and screens write. FFmpeg's own "av1" needs a graphics card.
_CODECS = {
    "H.264": ("h264",),
    "HEVC": ("hevc",),
    "VP9": ("vp9", "libvpx-vp9"),
    "AV1": ("libdav1d", "libaom-av1"),
}


def look_at_packages() -> Iterator[Line]:
    """Yield what is installed."""
    try:
        wanted = [Requirement(text) for text in metadata.requires("pdray") or ()]
    except metadata.PackageNotFoundError:  # a node of a cluster, to which jobs bring their source
        told = f"Python {sys.version.split()[0]}; pdray is not installed, so versions are not known"
        yield Line("packages", "warning", told, "install it: pip install -e .")
    else:
        yield packages(wanted, versions(wanted), pinned(_CONSTRAINTS))
        yield extras(wanted, versions(wanted))
    yield decoders()


def versions(wanted: Sequence[Requirement]) -> dict[str, str]:
    """Return the installed version of each package; those that are not installed are left out."""
    found = {}
    for one in wanted:
        try:
            found[one.name] = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            continue
    return found


def pinned(constraints: Path) -> dict[str, str]:
    """Return the version of each package that pdray was tested with; empty without the file."""
    if not constraints.is_file():  # pdray was installed from a wheel
        return {}
    lines = constraints.read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def packages(
    wanted: Sequence[Requirement], installed: Mapping[str, str], tested: Mapping[str, str]
) -> Line:
    """Compare installed versions with those that pdray accepts, and was tested with.

    Args:
        wanted: Requirements of pdray; those of extras are left out.
        installed: Version of each package.
        tested: Version that it was tested with, as far as known.
    """
    own = [one for one in wanted if one.marker is None]
    wrong = [
        f"{one.name} {installed.get(one.name, 'is missing')} ({one.specifier} is needed)"
        for one in own
        if one.name not in installed or not one.specifier.contains(installed[one.name], True)
    ]
    python = f"Python {sys.version.split()[0]}"
    if wrong:
        return Line("packages", "fault", f"{python}; {_some(wrong)}", _INSTALL)
    others = [
        f"{one.name} {installed[one.name]} (tested: {tested[one.name]})"
        for one in own
        if one.name in tested and Version(installed[one.name]).public != tested[one.name]
    ]
    if others:
        return Line("packages", "warning", f"{python}; {_some(others)}", _INSTALL)
    same = ", each of the version that pdray was tested with" if tested else ""
    return Line("packages", "ok", f"{python}; {len(own)} packages are there{same}")


def _some(texts: Sequence[str]) -> str:
    more = f"; and {len(texts) - _SHOWN} more" if len(texts) > _SHOWN else ""
    return "; ".join(texts[:_SHOWN]) + more


def extras(wanted: Sequence[Requirement], installed: Mapping[str, str]) -> Line:
    """Say which extras of pdray are installed; none of them is needed for a search on videos.

    Args:
        wanted: Requirements of pdray.
        installed: Version of each package.
    """
    names: dict[str, list[str]] = {}
    for one in wanted:
        extra = str(one.marker).rpartition("extra == ")[2].strip('"') if one.marker else ""
        if extra and extra not in _DEVELOPERS:
            names.setdefault(extra, []).append(one.name)
    there = [name for name, needed in names.items() if set(needed) <= installed.keys()]
    absent = [name for name in names if name not in there]
    told = f"installed: {', '.join(there) or 'none'}"
    if not absent:
        return Line("extras", "ok", told)
    told += f"; not installed: {', '.join(absent)}"
    way = f"for one that you need: pip install -c constraints.txt -e '.[{absent[0]}]'"
    return Line("extras", "ok", told, way)


def decoders(has: Callable[[str], bool] | None = None) -> Line:
    """Look at what the FFmpeg inside PyAV decodes.

    Args:
        has: Whether it has a decoder of a name; None: it is asked.
    """
    import av

    has = has or _has_decoder
    there = [name for name, decoders in _CODECS.items() if any(map(has, decoders))]
    told = f"PyAV {av.__version__} decodes {', '.join(there) or 'no video'}"
    if lacking := [name for name in _CODECS if name not in there]:
        told += f", and not {', '.join(lacking)}"
        way = "install PyAV as a wheel, which has all of them: pip install --only-binary av av"
        return Line("FFmpeg", "warning" if there else "fault", told, way)
    return Line("FFmpeg", "ok", told)


def _has_decoder(name: str) -> bool:
    from av.codec import Codec

    try:
        Codec(name, "r")
    except ValueError:
        return False
    return True
