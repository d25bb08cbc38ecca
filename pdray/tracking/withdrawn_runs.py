"""Marks MLflow's runs and models of a study that learnt from a withdrawn subject.

The files of these runs that have rows of people are sent again, as they are on disk now.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

# First, since it keeps MLflow from warning, and from sending anything to third parties.
from pdray.tracking.server import connect, explained, limited

# isort: split
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from pdray.tracking.leaving import leaving
from pdray.tracking.run_log import FINDINGS, PAGE, PREDICTIONS, REPORT, StudyLog, TrialLog

TAG = "pdray.withdrawn"
_FILES = (PREDICTIONS, REPORT, FINDINGS, Path(PAGE).name)
_GONE = "This report was deleted, since a subject has withdrawn.\n"


def mark_runs(study: StudyLog, uri: str, runs: dict[str, str], text: str) -> None:
    """Tag the runs of a study, their models and registered versions, and send their files again.

    Args:
        study: The study, whose files are without the subject already.
        uri: The tracking URI.
        runs: Ids by trial, of :func:`~pdray.tracking.withdrawn.sent_runs`.
        text: The value of the tag.

    Raises:
        TrackingError: If the server cannot be reached, or another process sends the study now.
    """
    with study.mirroring(), explained(uri), limited():
        client = connect(uri)
        for key, run_id in runs.items():
            try:
                run = client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    continue
                raise
            if run.info.lifecycle_stage != "active":
                continue
            client.set_tag(run_id, TAG, text)
            _send_again(client, study, key, run_id)
            _tag_models(client, run_id, str(run.info.experiment_id), text)


def _send_again(client: MlflowClient, study: StudyLog, key: str, run_id: str) -> None:
    there = {Path(one.path).name for one in client.list_artifacts(run_id)}
    folder = study.folder if key == "study" else _trial(study, key).folder
    with TemporaryDirectory() as name:
        for file in (one for one in _FILES if one in there):
            path = folder / file
            sent = leaving(path, study, Path(name)) if path.is_file() else None
            if sent is None:
                sent = Path(name) / file
                sent.write_text(_GONE, encoding="utf-8")
            client.log_artifact(run_id, str(sent))


def _trial(study: StudyLog, key: str) -> TrialLog:
    return study.winner if key == "winner" else study.trial(int(key))


def _tag_models(client: MlflowClient, run_id: str, experiment_id: str, text: str) -> None:
    """Tag the models of a run; a server without models or registry has none."""
    try:
        found = client.search_logged_models([experiment_id], f"tags.`pdray.run_id` = '{run_id}'")
        for model in found:
            client.set_logged_model_tags(model.model_id, {TAG: text})
        for version in client.search_model_versions(f"run_id = '{run_id}'"):
            client.set_model_version_tag(version.name, version.version, TAG, text)
    except MlflowException as error:
        if error.error_code != "FEATURE_DISABLED" and error.get_http_status_code() != 404:
            raise
