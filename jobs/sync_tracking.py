"""Send a study to MLflow after the fact.

python jobs/sync_tracking.py study=/data/output/studies/my_study tracking.uri=http://host:5000
"""

import sys
from pathlib import Path

from pydantic import Field

from pdray.atomic import folder_faults
from pdray.config import Settings, describe, load
from pdray.errors import PdrayError, SettingsError, refuse
from pdray.tracking.address import TrackingConfig, check_tracking, default_uri
from pdray.tracking.mlflow_log import mirror_study


class SyncConfig(Settings):
    """Settings of this job."""

    study: Path = Field(description="the study's folder, the one that holds study.json")
    tracking: TrackingConfig = TrackingConfig()


def main(argv: list[str]) -> int:
    """Run the job; return its exit status."""
    if "--help" in argv:
        print(f"{__doc__}\n{describe(SyncConfig)}")
        return 0
    try:
        config = load(SyncConfig, argv)
        # <output>/studies/<name>: the default is the one the study itself has.
        uri = config.tracking.uri or default_uri(config.study.resolve().parents[1])
        check_tracking(uri, num_nodes=1)
        # What was sent is noted beside the log.
        refuse(folder_faults(config.study, key="study"), SettingsError, "settings")
        report = mirror_study(config.study, uri, config.tracking.experiment)
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{report.num_runs} runs are there; sent {report.num_metrics} metric values and"
        f" {report.num_artifacts} files; parent run {report.parent_run_id}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
