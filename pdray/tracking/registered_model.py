"""Registers the winner of a study in MLflow: weights, settings, signature and an input example.

Only networks on pictures are registered. Estimators may keep numbers of each person that they
learnt from, as a support vector machine does: they leave no weights file, and none is sent.

``mlflow.pyfunc.load_model`` loads the model where pdray is installed. It holds no code: the network
is built from the settings, and its weights are read without unpickling objects.
"""

import json
import math
import platform
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

# First, since it keeps MLflow from warning, and from sending anything to third parties.
import pdray.tracking.server  # noqa: F401

# isort: split
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec

from pdray.atomic import write_text
from pdray.config import build, value_at
from pdray.data.batches.settings import SnippetConfig
from pdray.data.batches.snippet import snippet_shape
from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.data.face.settings import PortraitConfig
from pdray.data.media.settings import DecodeConfig
from pdray.data.modalities import picture_spec
from pdray.data.store.settings import picture_size
from pdray.earlier import as_begun
from pdray.models import NETWORKS
from pdray.tracking.address import bare, shared_settings
from pdray.tracking.run_log import MODEL, StudyLog, flat_scores

ALIAS = "champion"
_LOADER = "pdray.training.snippet_model"
_EXAMPLE = "input_example.json"
_RUN = "pdray.run_id"
_FORBIDDEN = re.compile(r"[^\w .-]")  # in the name of a registered model
_FAILED = (429, 500, 502, 503, 504)  # the same request may succeed later


class Winner:
    """The complete winner of a study, and its run in MLflow.

    Args:
        study: Log of the study.
        client: Client of the tracking server.
        run_id: MLflow's id of the winner's run.
        experiment: Name of its experiment, which begins the name of the registered model.
    """

    def __init__(self, study: StudyLog, client: MlflowClient, run_id: str, experiment: str) -> None:
        self._client, self._run_id = client, run_id
        self._facts, self._trial = study.read(), study.winner.read()
        self._weights = study.winner.model_path
        self._name = _FORBIDDEN.sub("-", f"{experiment}-{self._facts['name']}")

    @property
    def shape(self) -> tuple[int, int, int, int] | None:
        """Snippet (T, H, W, C) that the network is evaluated on.

        None without weights, and for a network that sees more than pictures or whose plug-in is
        not installed.
        """
        settings = self._trial["settings"]
        entry = NETWORKS.get(str(value_at(settings, "model.name")))
        if entry is None or entry.beside or not self._weights.is_file():
            return None
        snippet = settings["snippet"]
        chosen = build(SnippetConfig, as_begun(SnippetConfig, snippet, snippet))
        _, num_frames = snippet_shape(chosen, training=False)
        drawn = {name: settings["decode"][name] for name in ("height", "width")}
        # An earlier version's log has no portraits.
        portraits = build(PortraitConfig, settings.get("portraits", {}))
        size = picture_size(settings["modality"], build(DecodeConfig, drawn), portraits)
        return (num_frames, *size, picture_spec(settings["modality"]).num_channels)

    def register(self) -> str:
        """Send the weights as a model of MLflow, and register it as the champion.

        What an earlier call sent is not sent again, and an alias that was moved since stays there.

        Returns:
            A sentence that says where it is registered, or why the server does not register it.
            The weights are a file of the winner's run then.

        Raises:
            MlflowException: If the server cannot be reached, or fails.
        """
        try:
            model = self._logged()
            versions = self._client.search_model_versions(f"name = '{self._name}'")
            if all(one.run_id != self._run_id for one in versions):
                self._add_version(model)
        except MlflowException as error:
            fails = error.get_http_status_code() in _FAILED
            if fails and error.error_code != "FEATURE_DISABLED":
                raise
            self._client.log_artifact(self._run_id, str(self._weights))
            reason = bare(str(error)).partition("\n")[0]
            return f"MLflow did not register the winner, its weights are in its run: {reason}"
        return f"MLflow has the winner as models:/{self._name}@{ALIAS}"

    def write(self, folder: Path, model: Model) -> None:
        """Write the files of the model: ``MLmodel``, input example, weights and settings.

        Args:
            folder: An empty folder.
            model: Description of the model; it is completed here.
        """
        assert self.shape is not None, "others are not registered"
        num_classes = len(self._facts["settings"]["data"]["grade_cuts"]) + 1
        settings = shared_settings(self._trial["settings"])
        text = json.dumps({"num_classes": num_classes, "settings": settings}, indent=2)
        write_text(folder / "data" / "settings.json", f"{text}\n")
        shutil.copyfile(self._weights, folder / "data" / MODEL)
        # A black snippet: pictures of a person never leave the store.
        write_text(folder / _EXAMPLE, f"{_zeros((1, *self.shape))}\n")
        model.saved_input_example_info = {"artifact_path": _EXAMPLE, "type": "ndarray"}
        model.signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.uint8), (-1, *self.shape))]),
            outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, num_classes))]),
        )
        # As mlflow.pyfunc.add_to_model does, whose import warns of type hints of its own.
        python = platform.python_version()
        model.add_flavor(
            "python_function", loader_module=_LOADER, data="data", python_version=python
        )
        model.save(folder / "MLmodel")

    def _logged(self) -> LoggedModel:
        """Return the model of the winner's run; send what is missing of it."""
        client, run = self._client, self._client.get_run(self._run_id)
        experiment_id = run.info.experiment_id
        found = client.search_logged_models([experiment_id], f"tags.`{_RUN}` = '{self._run_id}'")
        logged = found[0] if found else client.create_logged_model(
            experiment_id,
            name=re.sub(r"""[/:.%"']""", "-", run.info.run_name),
            source_run_id=self._run_id,
            tags={_RUN: self._run_id, "mlflow.note.content": self._about, **self._tags()},
            params=run.data.params,
        )  # fmt: skip
        if logged.status == LoggedModelStatus.READY:
            return logged
        model_id = logged.model_id
        at, step = int(self._trial["ended"] * 1000), self._trial["chosen_epoch"] or 0
        client.log_outputs(self._run_id, [LoggedModelOutput(model_id, step)])
        scores = flat_scores(self._trial).items()
        metrics = [
            Metric(name, value, at, step, model_id=model_id)
            for name, value in scores
            if math.isfinite(value)
        ]
        client.log_batch(self._run_id, metrics=metrics)
        described = Model(
            artifact_path=f"models:/{model_id}",  # the folder of a store may name people
            run_id=self._run_id,
            model_uuid=model_id,
            model_id=model_id,
            metadata=self._tags(),
        )
        with TemporaryDirectory() as folder:
            self.write(Path(folder), described)
            client.log_model_artifacts(model_id, folder)
        return client.finalize_logged_model(model_id, "READY")

    def _add_version(self, model: LoggedModel) -> None:
        """Register a model; its version becomes the champion."""
        if not self._client.search_registered_models(f"name = '{self._name}'"):
            self._client.create_registered_model(self._name, description=self._about)
        made = self._client.create_model_version(
            self._name,
            model.artifact_location,
            run_id=self._run_id,
            model_id=model.model_id,
            await_creation_for=0,
            tags=self._tags(),
            description=self._about,
        )
        self._client.set_registered_model_alias(self._name, ALIAS, made.version)
        # A server does this by itself; a client that writes to a database does not.
        versions = json.dumps([{"name": self._name, "version": made.version}])
        self._client.set_logged_model_tags(model.model_id, {"mlflow.modelVersions": versions})

    @property
    def _about(self) -> str:
        """The study, and that its data are rendered."""
        said = f"winner of study {self._facts['name']}, trial {self._trial['number']}"
        is_rendered = self._facts["tags"].get("synthetic") == "true"
        return f"{said}; {SYNTHETIC_MARK}" if is_rendered else said

    def _tags(self) -> dict[str, str]:
        tags, wanted = self._facts["tags"], ("synthetic", "source", "manifest_digest")
        kept = {f"pdray.{name}": tags[name] for name in wanted if name in tags}
        return {"pdray.study_id": self._facts["study_id"], **kept}


def _zeros(shape: tuple[int, ...]) -> str:
    """Return an array of zeros as JSON; lists of NumPy would take seconds."""
    text = "0"
    for length in reversed(shape):
        text = f"[{','.join([text] * length)}]"
    return text
