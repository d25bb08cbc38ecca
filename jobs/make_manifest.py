r"""Make a manifest from a folder of videos and an Excel sheet of ratings.

usage: python jobs/make_manifest.py [--config FILE] [key=value ...]

for example:
  python jobs/make_manifest.py folder=/data/videos ratings=/data/ratings.xlsx \
    pattern='{subject_id}_visit{visit_id}_{item}_{side}' output=/data/m.csv
  python jobs/make_manifest.py folder=/data/videos ratings=/data/ratings.csv \
    map.column.Filename=video consensus=median output=/data/manifest.csv
  python jobs/make_manifest.py folder=/data/new times=/data/times.xlsx \
    pattern='{subject_id}_{visit_id}' output=/data/new.csv

It says which columns and words it took for which, what has no partner and how
far raters agree, and never replaces a file. Without ratings it makes the
manifest of recordings to predict. To read workbooks (.xlsx, .xls, .ods) it
needs `pip install -c constraints.txt -e '.[sheets]'`.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.display import step
from pdray.importers.sheets.settings import MakeManifestConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "nothing was written; run it again"
    return run_job(argv, work, about=__doc__, settings=MakeManifestConfig, resume=resume)


def work(words: list[str]) -> str:
    """Write the manifest; return what became of the videos and the rows."""
    config = load(MakeManifestConfig, words)
    with step("loading libraries"):
        from pdray.evaluation.statistics.agreement import kappa
        from pdray.importers.sheets.making import make_manifest
        from pdray.importers.sheets.report import report

    with step("reading the folder and its videos") as now:
        made = make_manifest(config, kappa, now.counting(say, "{} recordings"))
    return report(config, made)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
