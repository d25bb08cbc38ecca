"""Make the report of a finished study again, from the study's folder alone.

usage: python jobs/report.py study=FOLDER

for example:
  python jobs/report.py study=/data/pdray_output/studies/tapping
  python jobs/report.py study=/copied/from/the/cluster/tapping
  python jobs/report.py study=pdray_output/studies/tapping

Every study makes its report at its end. Make it again after card.yaml was
answered, after the folder was copied, or for a study of an earlier version.
"""

import sys

from pdray.command import run_job
from pdray.config import load
from pdray.report.settings import ReportStudyConfig
from pdray.tracking.run_log import StudyLog


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ReportStudyConfig)


def work(words: list[str]) -> str:
    """Write the report; return where it is."""
    config = load(ReportStudyConfig, words)
    from pdray.report.make import make_report  # heavy: import after the checks

    page = make_report(StudyLog(config.study.absolute()))
    return f"report     {page}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
