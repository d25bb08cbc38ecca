"""Tables of features of YouTubePD's clips, and of the vowels of UCI's telemonitoring."""

import math
from pathlib import Path

import numpy as np
import yaml

from pdray import plain_yaml
from pdray.data.cohort.rows import file_columns
from pdray.data.cohort.rows import read_rows as read_manifest
from pdray.errors import ManifestError
from pdray.importers.features.found import Cells, Found, cell, numbers, read_rows, without_zeros
from pdray.importers.features.settings import ImportConfig
from pdray.importers.files import shown

FACE, SOUND = "features.face", "features.sound"
_FACTS = ("subject#", "age", "sex", "test_time", "motor_updrs", "total_updrs")


def read_youtubepd(config: ImportConfig) -> Found:
    """Read WavLM embeddings and facial actions of YouTubePD's clips, for an existing manifest."""
    assert config.manifest is not None, "the settings demand it"
    path = config.manifest.absolute()
    try:
        rows, _ = read_manifest(path, path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read: {error.strerror or error}") from error
    faces = read_rows(config.folder, ["facial_features.csv"], ("clip_id",))
    described, _ = numbers(faces, [name for name in faces[0].cells if name != "clip_id"])
    described, _ = without_zeros(described)
    tables = {
        FACE: {cell(row, "clip_id"): one for row, one in zip(faces, described, strict=True)},
        SOUND: _embeddings(config.folder / "wavlm.npz"),
    }
    output = config.output.absolute().parent
    found = []
    for row in rows:
        cells = dict(row.cells)
        moved = {name: shown(path.parent / cells[name], output) for name in file_columns(cells)
                 if cells.get(name)}  # fmt: skip
        found.append(cells | moved)
    ids = {row["recording_id"] for row in found}
    notes = [
        f"{modality}: {len(ids - table.keys())} recordings of the manifest have no row, and "
        f"{len(table.keys() - ids)} rows no recording"
        for modality, table in tables.items()
        if ids != table.keys()
    ]
    notes.append(
        "clips are no people: the same voice and face are in several clips, so scores by clip are "
        "too high"
    )
    kept = {name: {key: one for key, one in table.items() if key in ids}
            for name, table in tables.items()}  # fmt: skip
    data, folds = _settings_of(path)
    return Found(rows=found, tables=kept, data=data, folds=folds, notes=notes)


def _embeddings(path: Path) -> dict[str, Cells]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names, values = arrays["clip_id"].tolist(), arrays["embedding"]
    except (OSError, ValueError, KeyError) as error:
        raise ManifestError(
            f"{path}: is no .npz file with the arrays clip_id and embedding"
        ) from error
    width = len(str(values.shape[1] - 1))
    keys = [f"wavlm_{number:0{width}d}" for number in range(values.shape[1])]
    return {
        name: {key: str(value) for key, value in zip(keys, row, strict=True)}
        for name, row in zip(names, values, strict=True)
    }


def _settings_of(manifest: Path) -> tuple[dict[str, object], dict[str, object]]:
    """Return the sections data and folds that an importer wrote beside its manifest."""
    try:
        with manifest.with_suffix(".data.yaml").open(encoding="utf-8") as file:
            tree = plain_yaml.load(file)
        data = {key: value for key, value in tree["data"].items() if key != "manifest"}
        return data, tree.get("folds", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {"items": ["face_interview"]}, {}


def read_telemonitoring(config: ImportConfig) -> Found:
    """Read 16 dysphonia measures of sustained vowels, with UPDRS scores between visits."""
    rows = read_rows(config.folder, ["parkinsons_updrs.data"], _FACTS)
    described, _ = numbers(rows, [name for name in rows[0].cells if name.lower() not in _FACTS])
    found = [
        {
            "recording_id": f"vowel_{number:04d}",
            "subject_id": f"T{int(cell(row, 'subject#')):02d}",
            "item": "sustained_vowel",
            "grade": str(math.floor(float(cell(row, "motor_updrs")) + 0.5)),
            "visit_score": cell(row, "motor_updrs"),
            "age": cell(row, "age"),
            "sex": {"0": "male", "1": "female"}.get(cell(row, "sex"), ""),
            "x_test_time": cell(row, "test_time"),
        }
        for number, row in enumerate(rows, start=1)
    ]
    return Found(
        rows=found,
        tables={
            "features": {
                row["recording_id"]: one for row, one in zip(found, described, strict=True)
            }
        },
        data={"items": ["sustained_vowel"], "scale": "0..99", "grade_cuts": [20]},
        notes=[
            "motor_UPDRS was interpolated in a straight line between visits: rows of a person are "
            "no ratings of their own. Use this table to try checks for leaks, not as a benchmark",
            "grades are motor_UPDRS rounded to whole numbers",
        ],
    )
