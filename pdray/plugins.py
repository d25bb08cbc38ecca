"""Finds the parts of plug-ins: models, losses, metrics and jobs of other installed packages.

A plug-in is an installed package whose ``pyproject.toml`` names its parts as entry points::

    [project.entry-points."pdray.models"]
    two_convolutions = "two_convolutions.settings:ENTRY"

So each process of an environment (a job, its help, a Ray worker) finds them before it reads a
setting. A part that cannot be used is a fault: settings are refused until it is corrected.
"""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from typing import Any, TypeVar

from pdray.errors import PluginError, refuse

GROUPS = ("pdray.models", "pdray.losses", "pdray.metrics", "pdray.jobs")
ENABLED = True
"""False hides every plug-in; pdray's own tests set it, since they and its pages describe pdray."""
TAG = "plugin."
"""Start of the tags of a study that name the plug-ins it used."""

Part = TypeVar("Part")
_packages: dict[tuple[str, str], str] = {}  # of each group and name
_faults: list[str] = []


def parts(
    group: str,
    kind: type[Part],
    own: Collection[str],
    *,
    check: Callable[[str, Part], str] = lambda name, part: "",
) -> dict[str, Part]:
    """Import the parts of one group; a part that cannot be used becomes a fault.

    Args:
        group: Of :data:`GROUPS`.
        kind: Class of each part.
        own: Names that pdray itself has; no plug-in may take one.
        check: Says what is wrong with a part of a name, or nothing.

    Returns:
        Parts by name, in the order of names.
    """
    found: dict[str, Part] = {}
    for point in sorted(entry_points(group=group)) if ENABLED else ():
        package = _package(point)
        if point.name in {*own, *found}:
            owner = _packages.get((group, point.name), "pdray")
            wrong = f"{owner} has this name already; choose another"
        else:
            part, wrong = _import(point)
            if not wrong and not isinstance(part, kind):
                wrong = f"expected a {kind.__name__}, got {part!r}"
            wrong = wrong or check(point.name, part)
        if wrong:
            _faults.append(
                f"plug-in {package} {_version(package)}: {group} '{point.name}' = {point.value}: "
                f"{wrong}; correct the plug-in, or remove it: pip uninstall {package}"
            )
        else:
            found[point.name], _packages[group, point.name] = part, package
    return found


def refuse_faults() -> None:
    """Refuse plug-ins that cannot be used.

    Raises:
        PluginError: Names each such plug-in, the part and what is wrong with it.
    """
    refuse([*_faults, *_unknown_groups()], PluginError, "plug-ins")


@cache
def _unknown_groups() -> list[str]:
    groups = entry_points().groups if ENABLED else ()
    return [
        f"plug-in {_package(point)}: there is no group {group}; groups: {', '.join(GROUPS)}"
        for group in sorted(groups)
        if group.startswith("pdray.") and group not in GROUPS
        for point in entry_points(group=group)
    ]


def used(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the version of each plug-in that has one of the parts, given as (group, name)."""
    packages = sorted({_packages[part] for part in named if part in _packages})
    return {package: _version(package) or "" for package in packages}


def lacking(wanted: Mapping[str, str]) -> list[str]:
    """Return the wanted plug-ins that are not installed, each as ``name==version``."""
    return [f"{name}=={found}" for name, found in wanted.items() if _version(name) is None]


def require(tags: Mapping[str, str], study: str) -> None:
    """Refuse to read a study that used plug-ins which are not installed here.

    Args:
        tags: Of the study; :data:`TAG` and a name to the version of each plug-in that it used.
        study: Name of the study.

    Raises:
        PluginError: Saying what to install.
    """
    if lacks := lacking(recorded(tags)):
        raise PluginError(
            f"study {study} used plug-ins that are not installed here: {', '.join(lacks)}; install "
            f"them: pip install {' '.join(lacks)}"
        )


def recorded(tags: Mapping[str, str]) -> dict[str, str]:
    """Return the version of each plug-in that the tags of a study name."""
    return {key.removeprefix(TAG): tags[key] for key in tags if key.startswith(TAG)}


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.module


def _import(point: EntryPoint) -> tuple[Any, str]:
    """Return a part and what kept it from being imported, or nothing."""
    try:
        return point.load(), ""
    except Exception as error:  # noqa: BLE001 - a module of others may raise anything
        return None, f"cannot be imported: {type(error).__name__}: {error}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
