"""Settings of ``jobs/quick_look.py``."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field

from pdray.config import Settings, build, merge, read_tree
from pdray.data.cohort.settings import DataConfig
from pdray.errors import StudyError
from pdray.rights import OutputMode
from pdray.search.settings import OutputFolder, ResourcesConfig, default_output
from pdray.tracking.address import TrackingConfig
from pdray.tracking.run_log import StudyLog

MOTION, NETWORK, FEATURES = "motion", "network", "features"
MINUTES = "quick_look.minutes"  # tag of the first study


class QuickLookConfig(Settings):
    """Settings of ``jobs/quick_look.py``."""

    help_groups: ClassVar = {
        "recordings and classes": ("data.items", "data.grade_cuts", "data.target",
                                   "data.scale", "data.max_decode_failures"),
        "time, names and output": ("minutes", "name", "output", "tracking.uri"),
    }  # fmt: skip
    data: DataConfig
    minutes: float = Field(
        60.0,
        ge=0,
        description="time for the network, which decides how it is tested and searched; 0: no "
        "network [minutes]",
    )
    name: str = Field(
        "quick-look",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="the studies are <name>-motion and <name>-network in <output>/studies; without "
        "videos <name>-features",
    )
    resources: ResourcesConfig = ResourcesConfig()
    tracking: TrackingConfig = TrackingConfig()
    output: OutputFolder = Field(
        default_factory=default_output,
        validate_default=True,
        description="folder for everything that the studies write",
    )
    output_mode: OutputMode = "owner"


def load_quick_look(argv: Sequence[str]) -> QuickLookConfig:
    """Read the command line of ``jobs/quick_look.py``.

    Args:
        argv: ``key=value`` words and ``--config FILE``; with ``--resume`` the recordings and
            minutes are those of the quick look in this output folder, if none are given.

    Raises:
        SettingsError: Lists all faults.
        StudyError: If there is no quick look to resume.
    """
    words = [word for word in argv if word != "--resume"]
    tree = read_tree(QuickLookConfig, words)
    data = tree.get("data", {})
    if len(words) < len(argv) and isinstance(data, dict):
        tree = merge(_saved(tree, has_manifest="manifest" in data), tree)
    return build(QuickLookConfig, tree)


def _saved(tree: dict[str, Any], *, has_manifest: bool) -> dict[str, Any]:
    """Return what the quick look in the output folder was begun with: recordings and minutes."""
    whole = build(QuickLookConfig, merge({"data": {"manifest": ""}}, tree))
    study, network, features = (
        StudyLog(whole.output / "studies" / f"{whole.name}-{title}")
        for title in (MOTION, NETWORK, FEATURES)
    )
    study = features if features.exists() else study
    if not study.exists() and has_manifest:
        return {}
    if not study.exists():
        raise StudyError(
            f"no quick look named {whole.name} in {whole.output} to resume; name the output folder "
            "with output=..., another name with name=..., or the manifest with data.manifest=..."
        )
    saved = study.read()
    minutes = {} if network.exists() else saved["tags"]
    return {
        **({} if has_manifest else {"data": saved["settings"]["data"]}),
        **({"minutes": float(minutes[MINUTES])} if MINUTES in minutes else {}),
    }
