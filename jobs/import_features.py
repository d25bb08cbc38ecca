r"""Make a manifest of published tables of features, without videos.

usage: python jobs/import_features.py [--config FILE] [key=value ...]

for example:
  python jobs/import_features.py layout=rochci folder=/data/finger_tapping \
    output=/data/tapping.csv
  python jobs/import_features.py layout=ufnet folder=/data/UFNet/data \
    output=/data/smile_speech.csv
  python jobs/import_features.py layout=youtubepd folder=/data/modalities \
    manifest=/data/youtubepd.csv output=/data/youtubepd_features.csv
"""

import sys

from pdray.command import run_job
from pdray.config import load
from pdray.importers.features.settings import ImportConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ImportConfig)


def work(words: list[str]) -> str:
    """Write the manifest and its tables; return what is in them."""
    config = load(ImportConfig, words)
    from pdray.importers.features.importing import import_features
    from pdray.importers.terms import terms

    imported = import_features(config)
    found = imported.found
    people = len({row["subject_id"] or row["recording_id"] for row in found.rows})
    lines = [
        f"manifest   {imported.manifest}",
        f"           {len(found.rows)} recordings of {people} subjects",
    ]
    for modality, path in imported.tables.items():
        table = found.tables[modality]
        num_names = len(next(iter(table.values()), ()))
        num_rows = sum(row["recording_id"] in table for row in found.rows)
        lines.append(f"table      {path}, {modality}: {num_names} features, {num_rows} rows")
    lines.append(f"settings   --config {imported.settings}")
    if imported.left_out is not None:
        lines.append(f"left out   {imported.left_out}, {len(found.left_out)} recordings")
        lines += [f"           {number}: {why}" for why, number in imported.reasons.items()]
    notes = [*found.notes, *terms(config.layout)]
    return "\n".join([*lines, *(f"note       {note}" for note in notes)])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
