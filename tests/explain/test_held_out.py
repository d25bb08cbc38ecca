import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.config import build, dump, merge
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.snippet import frame_indices
from pdray.data.face.points import REGIONS
from pdray.data.media.tracks import read_track
from pdray.data.store.entry import Entry
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import DecodeError, FoldsError, ManifestError, SettingsError, StudyError
from pdray.explain.held_out import choose, open_held_out, see
from pdray.tracking.run_log import StudyLog
from pdray.training.network import build_network
from pdray.training.settings import FitConfig
from tests.fixtures.tiny_study import FACES, PROBE, make_study


def name_of(number: int) -> str:
    return f"S{number:03d}_V1_face_interview"


def test_the_winner_and_the_test_group_are_what_the_study_left(study: StudyLog) -> None:
    held = open_held_out(study.folder)
    assert [row.recording_id for row in held.rows] == [name_of(number) for number in (1, 2, 3)]
    assert held.development == {name_of(number) for number in (4, 5, 6)}
    assert held.studied.num_classes == 2
    assert held.synthetic
    assert not held.network.training
    state = torch.load(study.winner.model_path, weights_only=True)
    assert all(torch.equal(value, state[name]) for name, value in held.network.state_dict().items())
    assert not any(parameter.requires_grad for parameter in held.network.parameters())


def test_a_study_that_started_from_published_weights_does_not_need_them(
    tmp_path: Path, faces: Path
) -> None:
    study = make_study(tmp_path / "output", faces)
    path = study.winner.folder / "trial.json"
    trial = json.loads(path.read_text())
    trial["settings"]["pretrained"] = str(tmp_path / "gone.pth")
    path.write_text(json.dumps(trial))
    assert open_held_out(study.folder).network is not None


def test_recordings_that_the_study_could_not_read_take_no_part(study: StudyLog) -> None:
    entries = {name_of(number): ["x"] for number in (1, 3, 4)}
    (study.folder / "entries.json").write_text(json.dumps(entries))
    held = open_held_out(study.folder)
    assert [row.recording_id for row in held.rows] == [name_of(1), name_of(3)]


def test_the_search_in_an_outer_fold_reads_the_frames_of_the_whole_study(
    study: StudyLog, tmp_path: Path
) -> None:
    outer = StudyLog(study.folder / "outer/00")
    shutil.copytree(study.folder, tmp_path / "copy")
    shutil.copytree(tmp_path / "copy", outer.folder)
    held = open_held_out(outer.folder)
    assert see(held, held.rows[0], pictures=False).recording.stored is not None
    assert held.studied.store.root == study.folder.parents[1] / "store"
    assert [*study.folder.rglob("*.arrow")] == []
    (study.folder / "entries.json").write_text(json.dumps({name_of(1): ["another digest"]}))
    held = open_held_out(outer.folder)
    with pytest.raises(StudyError, match=f"{name_of(1)}: its file has changed since the study ran"):
        see(held, held.rows[0], pictures=False)


def test_what_is_chosen_is_of_the_test_group(study: StudyLog) -> None:
    held = open_held_out(study.folder)
    assert choose(held, None) == held.rows
    assert [row.recording_id for row in choose(held, (name_of(3), name_of(1)))] == [
        name_of(3),
        name_of(1),
    ]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((name_of(5),), "S005_V1_face_interview is of a development subject, not a test one"),
        (("nobody",), "recording nobody is not a test recording of the study; choose from"),
        ((), "got none; choose from the test recordings S001_V1_face_interview, S002_V1_face"),
        ((name_of(5), "x"), "recordings, 2 faults"),
    ],
)
def test_anything_else_is_refused(study: StudyLog, asked: tuple[str, ...], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        choose(open_held_out(study.folder), asked)


def unfinished(study: StudyLog) -> None:
    study.winner.start(number=0, num_epochs=1, params={}, settings={}, role="winner")


def without_winner(study: StudyLog) -> None:
    (study.winner.folder / "trial.json").unlink()
    study.finish(state="running")


def without_model(study: StudyLog) -> None:
    study.winner.model_path.unlink()


def cut_model(study: StudyLog) -> None:
    content = study.winner.model_path.read_bytes()
    study.winner.model_path.write_bytes(content[: len(content) // 2])


def other_model(study: StudyLog) -> None:
    torch.save({"fc.weight": torch.ones(2, 2)}, study.winner.model_path)


def without_folds(study: StudyLog) -> None:
    study.folds_path.unlink()


def broken_folds(study: StudyLog) -> None:
    study.folds_path.write_text("{")


def other_study(study: StudyLog) -> None:
    (study.folder / "study.json").unlink()


def without_data(study: StudyLog) -> None:
    study.start(name="faces", settings={}, tags={})


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (other_study, StudyError, r"which has no study\.json; write the folder of a study"),
        (without_data, SettingsError, "'manifest' is missing"),
        (without_winner, StudyError, "study faces has no winner: its state is .running."),
        (unfinished, StudyError, "study faces has no winner: its state is .complete.; continue it"),
        (
            without_model,
            StudyError,
            r"study faces has no weights of refit \(.*winner\); restore it",
        ),
        (cut_model, StudyError, r"model\.pt: these are not the weights of the winner's settings"),
        (
            other_model,
            StudyError,
            r"model\.pt: these are not the weights of the winner's settings: Error.*ResNet3D",
        ),
        (without_folds, StudyError, r"folds\.json: cannot be read: No such file"),
        (broken_folds, FoldsError, "folds: not JSON"),
    ],
)
def test_a_study_that_cannot_be_explained_says_why(
    study: StudyLog, spoil: Callable[[StudyLog], None], error: type[Exception], message: str
) -> None:
    spoil(study)
    with pytest.raises(error, match=message):
        open_held_out(study.folder)


def test_another_manifest_is_refused(tmp_path: Path, faces: Path) -> None:
    study = make_study(tmp_path / "output", faces, tags={"manifest_digest": "other"})
    with pytest.raises(
        StudyError,
        match=r"study faces: maps are of its .* but its manifest manifest\.csv has changed since",
    ):
        open_held_out(study.folder)


def test_a_manifest_that_is_gone_is_named(study: StudyLog) -> None:
    path = study.folder / "study.json"
    facts = json.loads(path.read_text())
    facts["settings"]["data"]["manifest"] = "gone.csv"
    path.write_text(json.dumps(facts))
    with pytest.raises(ManifestError, match=r"gone\.csv: cannot be read"):
        open_held_out(study.folder)


def test_a_file_that_has_changed_is_refused(study: StudyLog) -> None:
    (study.folder / "entries.json").write_text(json.dumps({name_of(1): ["another digest"]}))
    held = open_held_out(study.folder)
    with pytest.raises(
        StudyError,
        match="recording S001_V1_face_interview: its file has changed since the study ran; restore",
    ):
        see(held, held.rows[0], pictures=False)


def test_a_video_that_is_gone_names_its_recording(study: StudyLog, tmp_path: Path) -> None:
    held = open_held_out(study.folder)
    lost = type(held.rows[0])(recording_id="R", subject_id="S", item="gait", grade=1,
                              video=tmp_path / "gone.mp4")  # fmt: skip
    with pytest.raises(DecodeError, match="recording R: its file cannot be read"):
        held.rated(lost)


def test_snippets_pictures_and_regions_are_of_the_same_frames(study: StudyLog) -> None:
    held = open_held_out(study.folder)
    seen = see(held, held.rows[1], pictures=True)
    entry = Entry(held.studied.store.entry(held.rows[1], "rgb"))
    indices = frame_indices(len(entry), held.config.snippet, None)
    frames = entry.read(indices.ravel())
    assert np.array_equal(seen.indices, indices)
    assert np.array_equal(seen.frames, indices[0])
    assert np.array_equal(seen.seconds, entry.seconds[indices[0]])
    assert seen.pictures is not None
    assert np.array_equal(seen.pictures, frames)
    assert torch.equal(seen.snippets, normalise_frames(torch.from_numpy(frames)[None]))
    assert held.rows[1].regions is not None
    track = read_track(held.rows[1].regions)
    assert seen.regions.names == REGIONS
    assert not seen.regions.is_grid
    # The demo's tracks have a row at every frame, and its picture fills the canvas.
    np.testing.assert_allclose(seen.regions.points, track.points[indices[0]], atol=1e-4)


def test_where_nobody_is_to_be_shown_no_picture_is_read(study: StudyLog) -> None:
    held = open_held_out(study.folder)
    assert see(held, held.rows[0], pictures=False).pictures is None


def test_frames_of_several_views_are_shown_once_each(tmp_path: Path, faces: Path) -> None:
    views = {"snippet": {"views": "dense", "num_views": 4, "view_frames": 8}}
    held = open_held_out(make_study(tmp_path / "output", faces, views).folder)
    seen = see(held, held.rows[0], pictures=True)
    assert seen.snippets.shape[:3] == (4, 3, 8)
    assert np.array_equal(seen.frames, np.unique(seen.indices))
    assert seen.pictures is not None
    assert len(seen.pictures) == len(seen.seconds) == len(seen.frames) == len(seen.regions.points)
    entry = Entry(held.studied.store.entry(held.rows[0], "rgb"))
    assert np.array_equal(seen.pictures, entry.read(seen.frames))


def test_a_central_crop_moves_pictures_and_regions_alike(tmp_path: Path, faces: Path) -> None:
    whole = open_held_out(make_study(tmp_path / "whole", faces).folder)
    crop = {"augment": {"crop_size": [24, 28]}}
    held = open_held_out(make_study(tmp_path / "crop", faces, crop).folder)
    first, second = (see(one, one.rows[0], pictures=True) for one in (whole, held))
    assert first.pictures is not None
    assert second.pictures is not None
    assert second.snippets.shape[3:] == (24, 28)
    assert np.array_equal(second.pictures, first.pictures[:, 4:28, 2:30])
    np.testing.assert_allclose(second.regions.points, first.regions.points - [2, 4], atol=1e-4)


def test_flow_is_shown_on_the_picture_of_its_time(tmp_path: Path, faces: Path) -> None:
    pytest.importorskip("cv2")
    settings = {"modality": "flow"}
    study = make_study(tmp_path / "output", faces, settings)
    path = study.folder / "study.json"
    facts = json.loads(path.read_text())
    facts["settings"]["flow"] = {"method": "dis"}
    path.write_text(json.dumps(facts))
    held = open_held_out(study.folder)
    seen = see(held, held.rows[0], pictures=True)
    assert seen.snippets.shape[1] == 2
    assert seen.pictures is not None
    rgb = Entry(held.studied.store.entry(held.rows[0], "rgb"))
    assert np.array_equal(seen.pictures, rgb.read(seen.frames))


def test_portraits_are_shown_themselves_on_a_grid(tmp_path: Path) -> None:
    large = build(DemoConfig, {**FACES, "size": 80})
    manifest = make_cohort(tmp_path / "faces", large, num_processes=1)
    settings = {"modality": "portraits", "portraits": {"size": 64}}
    held = open_held_out(make_study(tmp_path / "output", manifest, settings).folder)
    assert held.rows[0].regions is not None
    seen = see(held, held.rows[0], pictures=True)
    assert seen.snippets.shape[3:] == (64, 64)
    portraits = Entry(held.studied.store.entry(held.rows[0], "portraits"))
    assert np.array_equal(seen.pictures, portraits.read(seen.frames))
    assert seen.regions.is_grid


def test_what_has_no_regions_gets_a_grid(study: StudyLog) -> None:
    held = open_held_out(study.folder)
    row = held.rows[0]
    bare = type(row)(row.recording_id, row.subject_id, row.item, video=row.video, grade=row.grade)
    seen = see(held, bare, pictures=False)
    assert seen.regions.is_grid
    assert seen.regions.points.shape == (6, 36, 2)


def test_the_winner_of_a_probe_is_its_frozen_network(tmp_path: Path, faces: Path) -> None:
    path = tmp_path / "faces.pt"
    settings = merge(merge({}, PROBE), {"pretrained": str(path), "pretrained_pixels": "pdray"})
    with torch.random.fork_rng():
        source = build_network(build(FitConfig, PROBE), 3)
    torch.save(source.state_dict(), path)
    study = make_study(tmp_path / "output", faces, settings)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (study.folder / "weights.json").write_text(json.dumps({str(path): digest}))
    held = open_held_out(study.folder)
    assert not study.winner.model_path.exists()
    assert held.config.model.name == "linear_probe"
    assert torch.equal(held.network.conv1.weight, source.conv1.weight)
    assert not any(parameter.requires_grad for parameter in held.network.parameters())
    torch.save({**source.state_dict(), "conv1.weight": source.conv1.weight + 1}, path)
    with pytest.raises(StudyError, match=r"study faces: the content of .*faces\.pt has changed"):
        open_held_out(study.folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"modality": "landmarks", "model": {"name": "landmark_head"}, "optim": {"epochs": 1}},
            "study faces: its winner is landmark_head on landmarks, but maps and features need",
        ),
    ],
)
def test_a_winner_without_maps_or_features_is_refused_in_words(
    tmp_path: Path, faces: Path, settings: dict[str, object], message: str
) -> None:
    study = make_study(tmp_path / "output", faces, PROBE)
    path = study.winner.folder / "trial.json"
    trial = json.loads(path.read_text())
    trial["settings"] = dump(build(FitConfig, settings))
    path.write_text(json.dumps(trial))
    with pytest.raises(StudyError, match=message):
        open_held_out(study.folder)
