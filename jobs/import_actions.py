r"""Make a manifest of public action recordings, to pre-train on.

python jobs/import_actions.py layout=ucf101 folder=/data/UCF-101 output=/data/ucf101.csv
python jobs/import_actions.py layout=hmdb51 folder=/data/hmdb51_org output=/data/hmdb51.csv split=2
python jobs/import_actions.py layout=kinetics folder=/data/k400 output=/data/k400.csv \
  annotations='[/data/train.csv, /data/val.csv]' max_absent=20000
python jobs/import_actions.py layout=demo folder=demo output=demo/actions.csv
"""

import sys
from collections import Counter

from pdray.config import describe, load
from pdray.errors import PdrayError
from pdray.importers.actions.folders import class_names_path, import_actions
from pdray.importers.actions.settings import ImportConfig


def main(argv: list[str]) -> int:
    """Write the manifest and say what is in it; return the exit status."""
    if "--help" in argv or "-h" in argv:
        print(f"{__doc__}\nsettings (key, default, meaning):\n{describe(ImportConfig)}")
        return 0
    try:
        imported = import_actions(load(ImportConfig, argv))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found = imported.found
    sides = Counter(one.split or "in neither side" for one in found.recordings)
    shares = ", ".join(f"{name} {count}" for name, count in sorted(sides.items()))
    print(f"manifest   {imported.manifest}")
    print(
        f"           {len(found.recordings)} recordings ({shares}) of {len(found.classes)} classes"
    )
    print(f"           {len(found.absent)} listed without a file, {len(found.unlisted)} not listed")
    print(f"classes    {class_names_path(imported.manifest)}")
    print(f"settings   --config {imported.settings}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
