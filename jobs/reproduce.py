"""Print a table of a paper from runs on a cohort.

python jobs/reproduce.py --table motion_boundary.table2 data.manifest=/data/manifest.csv
ray job submit --working-dir . -- python jobs/reproduce.py --table tsa.table5 ...
"""

import sys
from pathlib import Path

from pdray.command import run_job, say
from pdray.config import require_writable
from pdray.errors import SettingsError
from pdray.papers.plan import plan_reproduction
from pdray.papers.settings import ReproduceConfig
from pdray.papers.table import table_file, table_titles

TABLES = Path(__file__).resolve().parents[1] / "search_spaces" / "tables"
_OPTIONS = """
  --table NAME   one of the tables below
  --config FILE  YAML of settings over the table's own

{titles}

What has been run is not run again; the same command continues an interrupted table.
"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "the same command continues"
    titles = "\n".join(f"  {name:<23} {title}" for name, title in table_titles(TABLES).items())
    about = f"{__doc__}{_OPTIONS.format(titles=titles)}"
    return run_job(argv, work, about=about, settings=ReproduceConfig, resume=resume)


def work(words: list[str]) -> str:
    """Run what has not been run yet; return the table and the file that it is kept in."""
    if "--table" not in words[:-1]:
        names = ", ".join(table_titles(TABLES))
        raise SettingsError(f"--table NAME is missing; there are: {names}")
    place = words.index("--table")
    file = table_file(TABLES, words[place + 1])
    reproduction = plan_reproduction(file, [*words[:place], *words[place + 2 :]])
    require_writable(reproduction.path.parent, key="output")
    from pdray.papers.reproduction import run_reproduction

    text, path = run_reproduction(reproduction, say=say)
    return f"\n{text}\n\ntable      {path}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
