"""Print a table of a paper from runs on a cohort.

usage: python jobs/reproduce.py --table NAME [--config FILE] [key=value ...]

for example:
  python jobs/reproduce.py --table tsa.table5 data.manifest=/data/manifest.csv
  python jobs/reproduce.py --table tsa.table2 data.manifest=m.csv optim.epochs=9
  python jobs/reproduce.py --table youtubepd.table2 --config manifest.data.yaml
"""

import sys
from pathlib import Path

from pdray.command import run_job, say
from pdray.config import require_writable
from pdray.errors import SettingsError
from pdray.papers.plan import plan_reproduction
from pdray.papers.settings import ReproduceConfig
from pdray.papers.table import list_tables, table_file, table_names

TABLES = Path(__file__).resolve().parents[1] / "search_spaces" / "tables"
_OPTIONS = """
What has been run is not run again: the same command continues a table.
--table NAME is one of these:
{tables}
"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "continue"
    return run_job(argv, work, about=tables, settings=ReproduceConfig, resume=resume)


def tables() -> str:
    """Return what the job does, with the table of tables."""
    return f"{__doc__}{_OPTIONS.format(tables=list_tables(TABLES))}"


def work(words: list[str]) -> str:
    """Run what has not been run yet; return the table and the file that it is kept in."""
    if "--table" not in words[:-1]:
        names = ", ".join(table_names(TABLES))
        raise SettingsError(f"--table NAME is missing; there are: {names}")
    place = words.index("--table")
    file = table_file(TABLES, words[place + 1])
    reproduction = plan_reproduction(file, [*words[:place], *words[place + 2 :]])
    require_writable(reproduction.path.parent, key="output")
    from pdray.papers.reproduction import run_reproduction

    text, _ = run_reproduction(reproduction, say=say)
    return "\n".join(["", text, "", *(f"{one:12}{it}" for one, it in reproduction.files.items())])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
