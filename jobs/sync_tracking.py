r"""Send the log of a study to MLflow.

usage: python jobs/sync_tracking.py [--config FILE] [key=value ...]

for example:
  python jobs/sync_tracking.py study=/data/output/studies/gait
  python jobs/sync_tracking.py study=/data/output/studies/gait \
    tracking.uri=http://host:5000
  python jobs/sync_tracking.py study=/data/output/studies/gait \
    tracking.experiment=gait
"""

import sys
from pathlib import Path

from pydantic import Field

from pdray.command import run_job
from pdray.config import Settings, load, require_writable
from pdray.tracking.address import TrackingConfig, check_tracking, uri_beside


class SyncConfig(Settings):
    """Settings of this job."""

    study: Path = Field(description="folder of the study, which contains study.json")
    tracking: TrackingConfig = TrackingConfig()


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=SyncConfig)


def work(words: list[str]) -> str:
    """Send what the server does not have; return how much was sent."""
    config = load(SyncConfig, words)
    uri = config.tracking.uri or uri_beside(config.study.resolve())
    check_tracking(uri, num_nodes=1)
    require_writable(config.study, key="study")  # mirror.json beside the log notes what was sent
    from pdray.tracking.mlflow_log import mirror_study
    from pdray.tracking.run_log import StudyLog
    from pdray.tracking.withdrawn import refuse_withdrawn

    refuse_withdrawn(StudyLog(config.study), "is not sent any more")
    told = config.tracking.subjects if "subjects" in config.tracking.model_fields_set else None
    report = mirror_study(config.study, uri, config.tracking.experiment, told)
    sent = (
        f"sent {report.num_metrics} metric values and {report.num_artifacts} files; the server has "
        f"{report.num_runs} runs of this study; parent run {report.parent_run_id}"
    )
    return "\n".join([sent, *report.notes])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
