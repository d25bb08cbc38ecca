"""Writes the manifest, the tables of features and the settings of an import."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pdray.atomic import write_text
from pdray.config import require_writable
from pdray.data.cohort.cells import is_unnamed, with_subject
from pdray.data.cohort.csv_table import Row, table_text
from pdray.data.cohort.manifest import check_rows
from pdray.data.cohort.people import in_rows
from pdray.data.cohort.rows import file_columns
from pdray.errors import ManifestError, refuse
from pdray.importers.features.found import Found
from pdray.importers.features.others import read_telemonitoring, read_youtubepd
from pdray.importers.features.rochester import read_both, read_smile, read_speech, read_tapping
from pdray.importers.features.settings import ImportConfig
from pdray.importers.files import outside, settings_text, text_faults

_LAYOUTS: dict[str, Callable[[ImportConfig], Found]] = {
    "rochci": read_tapping,
    "ufnet": read_both,
    "ufnet_smile": read_smile,
    "ufnet_speech": read_speech,
    "youtubepd": read_youtubepd,
    "telemonitoring": read_telemonitoring,
}


@dataclass(frozen=True)
class Imported:
    """Result of an import.

    Attributes:
        manifest: The manifest.
        tables: Table of each modality.
        settings: YAML file with the data settings of the manifest, for ``--config``.
        left_out: Table of recordings that were left out; None if none was.
        found: What was read.
    """

    manifest: Path
    tables: dict[str, Path]
    settings: Path
    left_out: Path | None
    found: Found

    @property
    def reasons(self) -> Counter[str]:
        """How many recordings were left out, by reason."""
        return Counter(self.found.left_out.values())


def import_features(config: ImportConfig) -> Imported:
    """Write a manifest and its tables.

    Returns:
        The written files, each whole or not at all, the manifest last.

    Raises:
        ManifestError: If a table cannot be read, the manifest would have faults (lists all), or a
            file exists with other content. Nothing is written then.
        SettingsError: If the output cannot be written.
    """
    output = config.output.absolute()
    require_writable(output.parent, key="output")
    found = _LAYOUTS[config.layout](config)
    tables = {
        modality: output.with_suffix(f".{modality.rpartition('.')[2]}.csv")
        for modality in found.tables
    }
    rows = [
        row | {one: path.name for one, path in tables.items()
               if row["recording_id"] in found.tables[one]}
        for row in found.rows
    ]  # fmt: skip
    columns = list(dict.fromkeys(name for row in rows for name in row))
    numbered = [
        Row(number, {name: row.get(name, "") for name in columns})
        for number, row in enumerate(rows, start=2)
    ]
    unnamed = frozenset[str]()
    if found.data.get("subjects") == "none":
        unnamed = frozenset(row.cells["recording_id"] for row in numbered if is_unnamed(row))
        numbered = [with_subject(row) for row in numbered]
    _, faults = check_rows(
        numbered, output.parent, unnamed=unnamed, scale=found.data.get("scale"), allowed=None
    )
    refuse(in_rows(faults), ManifestError, output.name)
    settings, aside = output.with_suffix(".data.yaml"), output.with_suffix(".left_out.csv")
    texts = {tables[one]: _table(found, one) for one in tables}
    if found.left_out:
        pairs = ({"recording_id": name, "reason": why} for name, why in found.left_out.items())
        texts[aside] = table_text(("recording_id", "reason"), pairs)
    folds = {"folds": found.folds} if found.folds else {}
    files = (row.get(name) or "" for row in rows for name in file_columns(columns))
    data = {"manifest": str(output), **found.data, **outside(files)}
    texts[settings] = settings_text(data, **folds)
    texts[output] = table_text(columns, rows)
    refuse(text_faults(texts), ManifestError, "nothing was written")
    for path, text in texts.items():
        write_text(path, text)
    return Imported(output, tables, settings, aside if found.left_out else None, found)


def _table(found: Found, modality: str) -> str:
    """Return a table with a row for each recording of the manifest that has the features."""
    cells = found.tables[modality]
    there = [row["recording_id"] for row in found.rows if row["recording_id"] in cells]
    names = list(next(iter(cells.values()), ()))
    return table_text(
        ("recording_id", *names), ({"recording_id": one, **cells[one]} for one in there)
    )
