r"""Make a manifest of YouTubePD: labels, split, landmarks, regions, marks.

usage: python jobs/import_youtubepd.py [--config FILE] [key=value ...]

for example:
  python jobs/import_youtubepd.py layout=pack folder=/data/pack \
    output=/data/manifest.csv
  python jobs/import_youtubepd.py layout=release folder=/data/YouTubePD-data \
    landmarks=/data/YoutubePD_Additional_Modalities output=/data/manifest.csv
  python jobs/import_youtubepd.py layout=pack folder=/data/pack \
    output=/data/manifest.csv videos=/data/clips subjects=/data/subjects.csv
"""

import sys
from collections import Counter

from pdray.command import run_job
from pdray.config import load
from pdray.importers.youtubepd.settings import ImportConfig

SHOWN = 5  # names of one kind


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ImportConfig)


def work(words: list[str]) -> str:
    """Write the manifest; return what is in it and what is not."""
    config = load(ImportConfig, words)
    from pdray.importers.terms import terms
    from pdray.importers.youtubepd.clips import batch, severity
    from pdray.importers.youtubepd.importing import count_lacks, import_youtubepd

    imported = import_youtubepd(config)
    counts = Counter((one.split, batch(one.name), severity(one.label)) for one in imported.clips)
    lines = [
        f"manifest   {imported.manifest}",
        f"           {len(imported.clips)} recordings; by split, batch and grade 0 to 5:",
    ]
    for split, site in sorted({key[:2] for key in counts}):
        numbers = "".join(f"{counts[split, site, grade]:5d}" for grade in range(6))
        lines.append(f"           {split:<5} {site}{numbers}")
    lines.append(f"marks      {imported.marks}, {imported.num_marks} rows")
    lines.append(f"settings   --config {imported.settings}")
    if not imported.has_subjects:
        lines += [
            "subjects   some recordings have no subject id, so the settings file says subjects:",
            "           none; the same person may be in training and test",
        ]
    lines.append(f"lacking    {imported.lacks}, {len(imported.lacking)} rows")
    for what, names in count_lacks(imported.lacking).items():
        some = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        lines.append(f"           {what}: {len(names)} ({some})")
    return "\n".join([*lines, *(f"note       {note}" for note in terms("youtubepd"))])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
