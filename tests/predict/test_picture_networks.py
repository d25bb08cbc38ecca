"""Networks of studies and of files that score single pictures, and who may not be scored."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pdray.config import build
from pdray.data.batches.snippet import frame_indices
from pdray.data.cohort.digests import Digests
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.store.entry import Entry
from pdray.demo.cohort import counterfactuals_beside, make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import StudyError
from pdray.evaluation.translation_rows import OTHERS, SOURCE, TRUE
from pdray.models.networks.fid_inception import FidInception
from pdray.predict.models import find_models, predict
from pdray.predict.picture_groups import Groups, refuse_judges
from pdray.predict.picture_networks import PictureNetwork, open_network
from pdray.predict.portrait_pictures import read_portraits
from pdray.predict.seen_pictures import seen_by, subjects_of
from pdray.predict.studied import open_study
from pdray.predict.translation_scoring import CohortPictures, Judges, TranslationScoring
from pdray.tracking.run_log import StudyLog
from tests.fixtures.published_layouts import vggface2, vggface2_forward
from tests.predict.conftest import train

SIZE = 64
PORTRAITS: Mapping[str, Any] = {
    "modality": "portraits",
    "portraits": {"size": SIZE},
    "snippet": {"num_frames": 1},
    "model": {"name": "frame_resnet", "depth": 18, "width_factor": 0.0625},
    "loss": {"kind": "cross_entropy"},
    "optim": {"batch_size": 4, "epochs": 1},
}
OTHER = {
    **PORTRAITS,
    "snippet": {"num_frames": 2},
    "model": {"name": "c2d", "depth": 14, "width_factor": 0.25},
}
FOLDS = Folds(
    frozenset(["S001"]), (frozenset(["S002", "S003"]), frozenset(["S004", "S005", "S006"]))
)
PEOPLE = {"num_subjects": 6, "num_visits": 2, "items": ["face_interview"], "missing": 0.0,
          "static_signs": 1, "progression": True, "counterfactual": True, "fps": 5,
          "min_seconds": 1.0, "max_seconds": 1.6}  # fmt: skip


def draw(folder: Path, seed: int) -> Path:
    return make_cohort(folder, build(DemoConfig, {**PEOPLE, "seed": seed}), num_processes=1)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("people"), 4)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> StudyLog:
    return train(tmp_path_factory.mktemp("judge"), manifest, PORTRAITS, FOLDS)


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> StudyLog:
    return train(tmp_path_factory.mktemp("guide"), manifest, OTHER, FOLDS)


@pytest.fixture
def network(study: StudyLog) -> PictureNetwork:
    return open_network(study.folder, "judge")


def rows_of(manifest: Path, *subjects: str) -> tuple[Recording, ...]:
    rows = load_manifest(manifest).recordings
    return tuple(row for row in rows if not subjects or row.subject_id in subjects)


def test_probabilities_of_a_picture_are_those_of_the_study_s_predictions(study, network, manifest):
    studied = open_study(study.folder)
    (model,) = find_models(studied, "refit")
    rows = rows_of(manifest, "S001")
    recordings = [studied.read_again(row, ("portraits",)) for row in rows]
    pictures = []
    for one in recordings:
        entry = Entry(one.stored["portraits"])
        chosen = frame_indices(len(entry), studied.config.snippet, None, recording_id="x")
        pictures.append(entry.read(chosen.ravel())[0])
    expected = predict(studied, model, recordings, torch.device("cpu"))
    found = network.probabilities(np.stack(pictures))
    np.testing.assert_allclose(found, expected.loc[[r.recording_id for r in rows]], atol=1e-6)
    features = network.features(np.stack(pictures))
    assert features.shape == (2, 32)
    assert np.ptp(features, axis=0).max() > 0


def test_vggface2_sees_blue_first_and_its_own_scale(tmp_path):
    state, file = vggface2(), tmp_path / "faces.pt"
    torch.save(state, file)
    network = open_network(file, "identity")
    assert (network.name, network.is_fid, network.studied) == ("VGGFace2", False, None)
    picture = np.zeros((1, 224, 224, 3), np.uint8)
    picture[:] = np.random.default_rng(0).integers(0, 256, (1, 224, 224, 3))
    x = torch.from_numpy(picture[..., ::-1].copy()).permute(0, 3, 1, 2).double()
    x -= torch.tensor([91.4953, 103.8827, 131.0912])[:, None, None]
    expected = vggface2_forward(state, x).numpy()
    head = [state[name].double().numpy() for name in ("fc.weight", "fc.bias")]
    found = network.features(picture) @ head[0].T + head[1]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3 * expected.std())
    with pytest.raises(StudyError, match="VGGFace2 is a file of weights without classes"):
        network.probabilities(picture)


def test_only_portraits_of_the_study_s_size_and_known_files_are_taken(
    network, tmp_path, network_study
):
    with pytest.raises(StudyError, match=r"of 64 px, and these have 96; set portraits.size=64"):
        network.features(np.zeros((1, 96, 96, 3), np.uint8))
    with pytest.raises(StudyError, match="judge: study faces has a tsa on rgb; give a study"):
        open_network(network_study.folder, "judge")
    file = tmp_path / "other.pt"
    torch.save({"conv1.weight": torch.ones(3, 3)}, file)
    with pytest.raises(StudyError, match=r"identity: other\.pt is neither VGGFace2's ResNet-50"):
        open_network(file, "identity")
    torch.save(FidInception().state_dict(), file)
    fid = open_network(file, "fid")
    assert fid.is_fid
    assert fid.features(np.zeros((1, 80, 80, 3), np.uint8)).shape == (1, 2048)


class Counted:
    """A network that counts how often it sees pictures."""

    def __init__(self, network: PictureNetwork) -> None:
        self.calls = 0
        self.network = replace(network, see=self._see)
        self._function = network.see

    def _see(self, pictures: torch.Tensor) -> torch.Tensor:
        self.calls += len(pictures)
        return self._function(pictures)


def test_pictures_are_seen_once_and_files_name_their_subjects(network, tmp_path):
    counted = Counted(network)
    pictures = np.random.default_rng(1).integers(0, 256, (3, SIZE, SIZE, 3), dtype=np.uint8)
    first = seen_by(counted.network, "features", pictures, ["A", "B", "A"], tmp_path)
    again = seen_by(counted.network, "features", pictures, ["A", "B", "A"], tmp_path)
    np.testing.assert_array_equal(first, again)
    assert counted.calls == 3
    (file,) = tmp_path.iterdir()
    assert subjects_of(file) == {"A", "B"}
    assert file.stat().st_mode & 0o077 == 0
    file.write_bytes(b"cut")
    with pytest.raises(ValueError, match="is damaged"):
        subjects_of(file)
    seen_by(counted.network, "features", pictures, ["A", "B", "A"], tmp_path)
    assert counted.calls == 6
    seen_by(counted.network, "features", pictures[:2], ["A", "B"], tmp_path)
    seen_by(network, "probabilities", pictures, ["A", "B", "A"], tmp_path)
    assert len(list(tmp_path.iterdir())) == 3


def groups_of(manifest: Path, *subjects: str, **changes: Any) -> Groups:
    digest = load_manifest(manifest).digest
    return replace(Groups(rows_of(manifest, *subjects), (), digest), **changes)


def test_a_network_that_learnt_from_people_of_the_table_is_refused(network, manifest, study):
    digests = Digests(None)
    held_out = groups_of(manifest, "S001")
    assert refuse_judges({"judge": network}, held_out, digests) == []
    scored = groups_of(manifest, "S001", "S002", other_people=True)  # the same manifest
    with pytest.raises(StudyError, match=r"judge: study faces learnt from 1 \(S002 by its id\) of"):
        refuse_judges({"judge": network}, scored, digests)
    learnt = replace(held_out, learnt=rows_of(manifest, "S004", "S005"))
    with pytest.raises(StudyError, match=r"2 \(S004 by its id, S005 .* of 2 of the generator's"):
        refuse_judges({"identity": network}, learnt, digests)


def test_people_of_another_manifest_are_known_by_the_content_of_their_files(
    network, manifest, tmp_path
):
    table = pd.read_csv(manifest, dtype=str, keep_default_na=False)
    for name in ("video", "audio", "landmarks", "regions"):
        table[name] = [str(manifest.parent / file) for file in table[name]]
    other = tmp_path / "renamed.csv"
    table.assign(subject_id="P" + table["subject_id"]).to_csv(other, index=False)
    digests = Digests(None)
    with pytest.raises(StudyError, match=r"1 \(PS002 by the content of its file\) of 1 of the sco"):
        refuse_judges({"judge": network}, groups_of(other, "PS002"), digests)
    strangers = draw(tmp_path / "others", 5)
    with pytest.raises(StudyError, match="if only the ids are equal, write other_people=true"):
        refuse_judges({"judge": network}, groups_of(strangers, "S002"), digests)
    refuse_judges({"judge": network}, groups_of(strangers, other_people=True), digests)


def test_the_guide_and_its_architecture_do_not_judge(network, manifest, guide, study, tmp_path):
    held_out, digests = groups_of(manifest, "S001"), Digests(None)
    of_guide = open_study(guide.folder)
    refuse_judges({"judge": network}, held_out, digests, of_guide)
    with pytest.raises(StudyError, match="judge: study faces is the guide itself"):
        refuse_judges({"judge": network}, held_out, digests, open_study(study.folder))
    moved = replace(of_guide, config=open_study(study.folder).config)
    with pytest.raises(StudyError, match="has the guide's architecture, frame_resnet; set another"):
        refuse_judges({"judge": network}, held_out, digests, moved)
    file = tmp_path / "faces.pt"
    torch.save(vggface2(), file)
    faces = open_network(file, "identity")
    told = refuse_judges({"identity": faces}, held_out, digests, of_guide)
    assert told == ["identity: whom VGGFace2 was trained on is not known"]
    began = replace(of_guide, config=of_guide.config.model_copy(update={"pretrained": file}))
    with pytest.raises(StudyError, match="identity: the guide faces starts from the same file"):
        refuse_judges({"identity": faces}, held_out, digests, began)


def pictures_of(manifest: Path, study: StudyLog) -> CohortPictures:
    rows = rows_of(manifest)
    store = open_study(study.folder).store
    read = read_portraits(rows, store, 4)
    others = {one.recording_id.removesuffix("_counterfactual"): one
              for one in load_manifest(counterfactuals_beside(manifest)).recordings}  # fmt: skip
    true = np.zeros_like(read.pictures)
    for number, row in enumerate(rows):
        if row.recording_id in others:
            found = read_portraits([others[row.recording_id]], store, 4)
            true[read.rows == number] = found.pictures
    ids = [rows[k].recording_id for k in read.rows]
    return CohortPictures(
        read.pictures, tuple(rows[k].subject_id for k in read.rows), tuple(ids),
        np.array([(rows[k].grade or 0) > 0 for k in read.rows]),
        np.array([-1 if rows[k].subject_id == "S006" else 0 for k in read.rows]),
        np.ones(read.pictures.shape[:3], bool), true, np.array([one in others for one in ids]),
    )  # fmt: skip


def test_controls_need_no_method_and_real_faces_are_seen_once_per_table(
    manifest, study, network, tmp_path
):
    counted = Counted(network)
    judges = Judges(counted.network, counted.network, counted.network, tmp_path)
    cohort = pictures_of(manifest, study)
    scoring = TranslationScoring(cohort, judges)
    rows = scoring.controls()
    seen = counted.calls
    # The real faces once, and the true pictures once; features serve distances and people.
    assert seen == len(cohort.pictures) + rows[TRUE].pictures
    assert rows[SOURCE].frechet_source.value == 0.0
    assert rows[SOURCE].direction.value is None
    assert rows[SOURCE].direction.absent == len(scoring.sources) == 10
    assert rows[TRUE].error.value == 0.0
    assert rows[SOURCE].error.value > 0
    assert rows[OTHERS].pictures == 10
    assert dict(scoring.num_without) == {"ill": 0, "healthy": 0}
    made = cohort.pictures[scoring.sources][[3, 4]]
    copied = scoring.score(made, np.array([3, 4]))
    assert copied.likeness.value == pytest.approx(1.0)
    assert copied.error.count == 2
    assert counted.calls == seen + 2
    TranslationScoring(cohort, judges).controls()
    assert counted.calls == seen + 2


def test_a_cohort_without_an_ill_or_a_healthy_person_is_refused(manifest, study, network, tmp_path):
    cohort = pictures_of(manifest, study)
    judges = Judges(network, network, network, tmp_path)
    for is_ill, word in ((False, "ill"), (True, "healthy")):
        lonely = replace(cohort, is_ill=np.full(len(cohort.pictures), is_ill))
        with pytest.raises(StudyError, match=f"no {word} recording is scored"):
            TranslationScoring(lonely, judges)
