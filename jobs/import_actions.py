r"""Make a manifest of public action recordings, to pre-train on.

usage: python jobs/import_actions.py [--config FILE] [key=value ...]

for example:
  python jobs/import_actions.py layout=hmdb51 folder=/data/hmdb51_org \
    output=/data/hmdb51.csv split=2
  python jobs/import_actions.py layout=dfew folder=/data/DFEW \
    output=/data/dfew.csv classes=[neutral,happiness,surprise,anger]
  python jobs/import_actions.py layout=kinetics folder=/data/k400 \
    output=/data/k400.csv annotations='[/data/train.csv, /data/val.csv]'
"""

import sys
from collections import Counter

from pdray.command import run_job
from pdray.config import load
from pdray.importers.actions.settings import SPLITS, ImportConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ImportConfig)


def work(words: list[str]) -> str:
    """Write the manifest; return what is in it."""
    config = load(ImportConfig, words)
    from pdray.importers.actions.folders import class_names_path, import_actions

    imported = import_actions(config)
    found = imported.found
    sides = Counter(one.split or "in neither" for one in found.recordings)
    shares = ", ".join(f"{name} {count}" for name, count in sorted(sides.items()))
    if config.layout in SPLITS:
        shares += f"; official split {config.split}"
    return "\n".join(
        [
            f"manifest   {imported.manifest}",
            f"           {len(found.recordings)} recordings ({shares}) of {len(found.classes)} "
            "classes",
            f"           {len(found.absent)} are listed but have no file; {len(found.unlisted)} "
            "files are not listed",
            f"classes    {class_names_path(imported.manifest)}",
            f"settings   --config {imported.settings}",
        ]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
