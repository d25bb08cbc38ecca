r"""Make a manifest of YouTubePD: labels, split, landmarks, regions and the clinician's marks.

python jobs/import_youtubepd.py layout=pack folder=/data/pack output=/data/youtubepd/manifest.csv
python jobs/import_youtubepd.py layout=release folder=/data/YouTubePD-data \
  landmarks=/data/YoutubePD_Additional_Modalities output=/data/youtubepd/manifest.csv
python jobs/import_youtubepd.py layout=pack folder=/data/pack output=/data/youtubepd/manifest.csv \
  videos=/data/clips audio=/data/sound subjects=/data/subjects.csv split=none
"""

import sys
from collections import Counter

from pdray.config import describe, load
from pdray.errors import PdrayError
from pdray.importers.youtubepd.clips import batch, severity
from pdray.importers.youtubepd.importing import count_lacks, import_youtubepd
from pdray.importers.youtubepd.settings import ImportConfig

SHOWN = 5  # names of one kind


def main(argv: list[str]) -> int:
    """Write the manifest and say what is in it and what is not; return the exit status."""
    if "--help" in argv or "-h" in argv:
        print(f"{__doc__}\nsettings (key, default, meaning):\n{describe(ImportConfig)}")
        return 0
    try:
        imported = import_youtubepd(load(ImportConfig, argv))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    counts = Counter((one.split, batch(one.name), severity(one.label)) for one in imported.clips)
    print(f"manifest   {imported.manifest}")
    print(f"           {len(imported.clips)} recordings; by split, batch and grade 0 to 5:")
    for split, site in sorted({key[:2] for key in counts}):
        numbers = "".join(f"{counts[split, site, grade]:5d}" for grade in range(6))
        print(f"           {split:<5} {site}{numbers}")
    print(f"marks      {imported.marks}, {imported.num_marks} rows")
    print(f"settings   --config {imported.settings}")
    if not imported.has_subjects:
        print("subjects   not named for every recording: the settings say subjects: none; a person")
        print("           may stand on both sides of any split, and scores are of clips")
    print(f"lacking    {imported.lacks}, {len(imported.lacking)} rows")
    for what, names in count_lacks(imported.lacking).items():
        some = ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
        print(f"           {what}: {len(names)} ({some})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
