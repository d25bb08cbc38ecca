"""Plans a table of changed pictures, and checks its settings before any picture is read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pdray.config import build, merge
from pdray.data.cohort.manifest import Manifest, select
from pdray.errors import SettingsError, refuse
from pdray.importers.terms import terms
from pdray.papers.settings import ReproduceConfig
from pdray.papers.table import PaperTable

_NEEDED = {
    "judge": "a study with modality=portraits that tells ill from healthy",
    "identity": "a study with modality=portraits that tells people apart, or the file of "
    "VGGFace2's ResNet-50",
}
_TRUE = ".counterfactual.csv"


@dataclass(frozen=True)
class Translation:
    """Table of changed pictures that is ready to run.

    Attributes:
        config: Settings of the job.
        manifest: All recordings.
        true: Table of the true ill pictures of healthy recordings, beside the manifest of a
            SYNTHETIC cohort; None if there is none.
        synthetic: Whether the cohort is SYNTHETIC.
        notes: Sentences below the table.
    """

    config: ReproduceConfig
    manifest: Manifest
    true: Path | None
    synthetic: bool
    notes: tuple[str, ...]


def places_of(config: ReproduceConfig) -> dict[str, Path]:
    """Return the places of the networks and of the studies of methods, by setting."""
    found = {name: getattr(config, name) for name in (*_NEEDED, "fid")}
    found |= {f"methods.{label}": place for label, place in config.methods.items()}
    return {name: place for name, place in found.items() if place is not None}


def plan_translation(
    table: PaperTable, name: str, asked: Mapping[str, Any], manifest: Manifest
) -> Translation:
    """Combine a command line with the table's settings, and check the networks' places.

    Args:
        table: Its definition.
        name: Of the table.
        asked: Settings of the command line, nested.
        manifest: All recordings.

    Raises:
        SettingsError: Lists what is lacking or wrong.
        ManifestError: If no recording can be used.
    """
    first = build(ReproduceConfig, merge(merge({}, table.settings), asked))
    usable, _ = select(manifest, items=first.data.items, needs=(first.data.target,))
    is_rendered = any(one.is_synthetic for one in usable)
    small = table.synthetic if is_rendered else {}
    config = build(ReproduceConfig, merge(merge(merge({}, table.settings), small), asked))
    faults = [
        f"{key} is missing; give {what}, which learnt from other people"
        for key, what in _NEEDED.items()
        if getattr(config, key) is None
    ]
    faults += [
        f"{key}: there is no {place.name}"
        for key, place in places_of(config).items()
        if not place.exists()
    ]
    refuse(faults, SettingsError, f"table {name} scores pictures by networks")
    notes = [*table.notes, *manifest.notes]
    if is_rendered:
        notes.append(
            "the cohort is SYNTHETIC, with the table's small settings: no number of it is to be "
            "compared with the paper's"
        )
    else:
        notes += terms(name)
    beside = config.data.manifest.with_suffix(_TRUE)
    true = beside if is_rendered and beside.is_file() else None
    return Translation(config, manifest, true, is_rendered, tuple(notes))
