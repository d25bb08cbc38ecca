"""Print a table of a paper from runs on a cohort.

python jobs/reproduce.py --table 004.2 data.manifest=/data/manifest.csv
ray job submit --working-dir . -- python jobs/reproduce.py --table 004.2 ...
"""

import sys
from pathlib import Path

from pdray.atomic import folder_faults
from pdray.config import describe
from pdray.errors import PdrayError, SettingsError, refuse
from pdray.papers.reproduction import ReproduceConfig, plan_reproduction, run_reproduction
from pdray.papers.table import table_titles

TABLES = Path(__file__).resolve().parents[1] / "search_spaces" / "tables"
_USAGE = """usage: python jobs/reproduce.py --table NAME [--config FILE] [key=value ...]

  --table NAME   {names}
  --config FILE  YAML of settings over the table's own

{titles}

What has been run is not run again; the same command continues an interrupted table.

settings (key, default, meaning):"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    names = ", ".join(sorted(path.stem for path in TABLES.glob("*.yaml")))
    if "--help" in argv or "-h" in argv:
        titles = "\n".join(f"  {name:<13} {title}" for name, title in table_titles(TABLES).items())
        usage = _USAGE.format(names=names, titles=titles)
        print(usage, describe(ReproduceConfig), sep="\n")
        return 0
    if "--table" not in argv[:-1]:
        print(f"error: --table NAME is missing; there are: {names}", file=sys.stderr)
        return 2
    place = argv.index("--table")
    rest = [*argv[:place], *argv[place + 2 :]]
    try:
        reproduction = plan_reproduction(TABLES / f"{argv[place + 1]}.yaml", rest)
        tables = reproduction.path.parent
        refuse(folder_faults(tables, key="output"), SettingsError, "settings")
        text, path = run_reproduction(reproduction, say=lambda line: print(line, flush=True))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command continues", file=sys.stderr)
        return 130
    print(f"\n{text}\n\ntable      {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
