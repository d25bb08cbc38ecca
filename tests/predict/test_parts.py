import shutil
from pathlib import Path

import pandas as pd
import pytest

from pdray.config import load
from pdray.data.cohort.manifest import load_manifest
from pdray.predict import parts as module
from pdray.predict.parts import parts_folder
from pdray.predict.run import predict_new
from pdray.predict.settings import PredictConfig
from pdray.tracking.run_log import StudyLog
from tests.predict.test_run import FAR, SHARES, copy_shorter, part_of, predicted


def test_a_prediction_that_was_interrupted_computes_what_is_left(
    network_study: StudyLog, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    words = f"data.manifest={part_of(faces, tmp_path, 'S001')}"
    whole = predicted(network_study, tmp_path / "whole", words)
    ran: list[int] = []
    predict = module.predict

    def first_alone(studied, model, *rest):  # type: ignore[no-untyped-def]
        ran.append(model.fold)
        if model.fold == 1 and ran == [0, 1]:
            raise KeyboardInterrupt
        return predict(studied, model, *rest)

    monkeypatch.setattr(module, "predict", first_alone)
    asked = [f"study={network_study.folder}", f"output={tmp_path / 'new.csv'}", *FAR, words]
    with pytest.raises(KeyboardInterrupt):
        predict_new(load(PredictConfig, asked), lambda line: None)
    kept = parts_folder(tmp_path / "new.csv")
    assert kept.stat().st_mode & 0o777 == 0o700
    assert len([*kept.iterdir()]) == 1
    assert not (tmp_path / "new.csv").exists()
    now = predicted(network_study, tmp_path, words)
    assert ran == [0, 1, 1]
    pd.testing.assert_frame_equal(now[SHARES], whole[SHARES], check_exact=True)
    assert not kept.exists()
    predicted(network_study, tmp_path, words)
    assert ran == [0, 1, 1, 0, 1]


def test_parts_of_other_weights_are_not_taken(
    network_study: StudyLog, faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of fold 0 stay; its weights become those of fold 1, as if it were trained anew."""
    copy = StudyLog(tmp_path / "output/studies/faces")
    shutil.copytree(network_study.folder, copy.folder)
    words = f"data.manifest={part_of(faces, tmp_path, 'S001')}"
    monkeypatch.setattr("pdray.predict.run.fit_calibration", stop)
    with pytest.raises(KeyboardInterrupt):
        predicted(copy, tmp_path, words, "model=fold:0")
    monkeypatch.undo()
    shutil.copyfile(copy.kept_fold(1).model_path, copy.kept_fold(0).model_path)
    now = [predicted(copy, tmp_path, words, f"model=fold:{fold}") for fold in (0, 1)]
    pd.testing.assert_frame_equal(now[0][SHARES], now[1][SHARES], check_exact=True)


def stop(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_a_cluster_of_two_nodes_writes_the_same_file_and_names_what_it_cannot_read(
    study: StudyLog, faces: Path, tmp_path: Path
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    folder = tmp_path / "clinic"
    folder.mkdir()
    for row in load_manifest(faces).recordings:
        shutil.copyfile(str(row.video), folder / f"{row.subject_id}.mp4")
    copy_shorter(faces, folder / "P1.mp4")
    (folder / "broken.mp4").write_bytes(b"no video")
    words = [f"videos={folder}", "calibration=temperature"]
    predicted(study, tmp_path, *words)
    here = (tmp_path / "new.csv").read_bytes()
    nodes = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        nodes.add_node(num_cpus=1)
        nodes.wait_for_nodes()
        now = predicted(study, tmp_path, *words, f"resources.address={nodes.address}")
        assert not ray.is_initialized()
    finally:
        nodes.shutdown()
    assert "cannot be" in now.loc["broken", "note"]
    assert (tmp_path / "new.csv").read_bytes() == here
