"""Made videos of SYNTHETIC people by an untrained CUT: what is written, and what is refused."""

from dataclasses import replace
from datetime import date

import av
import numpy as np
import pytest
import torch

from pdray.config import build
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.provenance import read_provenance
from pdray.data.face.portraits import paste_change, take_portrait
from pdray.data.media.decode import decode, decode_frames
from pdray.data.media.marked import Mark
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import read_track, write_track
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.demo.cohort import make_cohort
from pdray.demo.illness.severity import DemoConfig
from pdray.errors import DecodeError, ManifestError, SettingsError, StudyError
from pdray.models.networks.face_editor_settings import HRFAEConfig
from pdray.predict.translators import load_method, translate
from pdray.synthesis import making
from pdray.synthesis.making import synthesize
from pdray.synthesis.methods import Edit
from pdray.synthesis.pictures import PictureEditor, Sources, picture_faults, place
from pdray.training.settings import FitConfig
from pdray.training.translators.hrfae import HRFAE
from pdray.training.translators.pictures import as_floats
from tests.fixtures.translator_study import CUT, leave_translator
from tests.synthesis.test_making import config_of, quiet, rows_of

SIZE, SIDE = 96, 64  # of frames and of portraits [px]
FACES = {"num_subjects": 12, "num_visits": 1, "items": ["face_interview"], "missing": 0.0,
         "fps": 10, "size": SIZE, "min_seconds": 1.0, "max_seconds": 1.0, "static_signs": 1.0,
         "seed": 21}  # fmt: skip
PEOPLE = [f"S{number:03d}" for number in range(1, 13)]
HELD = (frozenset(PEOPLE[:2]), frozenset(PEOPLE[2:4]))
FOLDS = Folds(frozenset(), (*HELD, frozenset(PEOPLE[4:])))
SIDES = {f"fold{n}": FOLDS.train(n) for n in range(2)}


def write_rows(path, rows):
    making.write_text(path, making.table_text(rows[0], rows))
    return path


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Draw 12 people, every second one ill by the manifest, whatever was drawn."""
    path = make_cohort(tmp_path_factory.mktemp("faces"), build(DemoConfig, FACES), num_processes=1)
    rows = rows_of(path)
    for number, row in enumerate(rows):
        row |= {"grade": str(4 * (number % 2)), "rater_1": "", "rater_2": "", "rater_3": ""}
    return write_rows(path, rows)


@pytest.fixture(autouse=True)
def by_hand(monkeypatch):
    """Two training sides, and no search for copies, which has tests of its own."""
    monkeypatch.setattr(making, "training_sides", lambda *_: SIDES)
    monkeypatch.setattr(making, "_copy_check", lambda *_: None, raising=False)


@pytest.fixture(scope="module")
def study(faces, tmp_path_factory):
    return leave_translator(
        tmp_path_factory.mktemp("output"), faces, FOLDS, keeps_folds=True,
        model=CUT, portraits={"size": SIDE},
    )  # fmt: skip


def config_with(faces, study, output, **changes):
    given = {
        "method": "cut", "output": str(output), "data__grade_cuts": (1,),
        "synthesis__study": str(study.folder), "synthesis__accept_terms": ("faces",),
        "synthesis__identity": str(study.folder), "synthesis__strengths": (0.5, 1.0), **changes,
    }  # fmt: skip
    return config_of(faces, **given)


@pytest.fixture(scope="module")
def made(faces, study, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(making, "training_sides", lambda *_: SIDES)
        patch.setattr(making, "_copy_check", lambda *_: None, raising=False)
        output = tmp_path_factory.mktemp("made") / "new.csv"
        config = config_with(faces, study, output, data__allow_outside=True)
        return synthesize(config, quiet)


def frames_of(recording):
    return decode(recording.video, DecodeConfig(height=SIZE, width=SIZE), part=recording.part)


def test_rows_have_video_landmarks_and_crop_and_the_manifest_is_accepted(made, faces):
    real, new = len(rows_of(faces)), rows_of(made.manifest)
    assert len(new) - real == made.num_rows == 2 * 5
    assert made.num_files == 2 * 2 * made.num_rows
    for row in new[real:]:
        assert row["video"].endswith("_class1_1.00.mp4")
        assert row["landmarks"].endswith("_class1_1.00.npz")
        assert row["crop"] == f"0 0 {SIZE} {SIZE}"
        assert (row["grade"], row["regions"], row["audio"]) == ("1", "", "")
    manifest = load_manifest(made.manifest, allowed=None)
    learnt = {"fold0": SIDES["fold0"], "fold1": SIDES["fold1"]}
    for one in manifest.made:
        assert one.people == learnt[one.recording.recording_id[-5:]]


def test_each_set_has_the_model_that_held_the_same_people_out(made, study):
    for name, held in zip(SIDES, HELD, strict=True):
        found = read_provenance(made.folder / name / "provenance.json")
        assert not held & {*found.learnt_subjects}
        assert (found.method, found.study, len(found.weights)) == ("cut", "cut", 64)
    learnt = (made.folder / "learnt.txt").read_text().splitlines()
    assert learnt == [
        f"fold{n}: winner/folds/{n} of study cut, which learnt from 10 people" for n in range(2)
    ]


def test_files_say_that_they_are_made_and_by_whom(made):
    provenance = read_provenance(made.folder / "fold0/provenance.json")
    video = next(made.folder.glob("fold0/*_1.00.mp4"))
    with av.open(str(video)) as file:
        words = dict(file.metadata)
        assert file.streams.video[0].height > SIZE  # the strip
    assert words["title"].startswith("SYNTHETIC cut 20")
    assert words["comment"].endswith(provenance.maker)
    assert read_track(video.with_suffix(".npz")).made.startswith("SYNTHETIC, cut, class 1")
    notice = (made.folder / "SYNTHETIC.txt").read_text()
    assert "makes one edit only: at strengths between 0 and 1" in notice
    assert "points were not looked for again" in notice
    table = rows_of(made.folder / "progression.csv")
    assert {row["unchanged_frames"] for row in table} == {"0"}


def test_frames_are_those_of_the_method_bit_for_bit_without_the_strip(made, faces, study):
    manifest = load_manifest(made.manifest, allowed=None)
    row = next(one.recording for one in manifest.made if one.recording.subject_id == "S001")
    assert row.recording_id.endswith("fold1")
    source = next(one for one in manifest.recordings if one.subject_id == "S001")
    weights = torch.load(study.kept_fold(1).model_path, weights_only=True)
    config = build_fit(study)
    method = load_method(config, 2, weights)
    full, places = place(source, Recipe(), SIDE)
    whole = [frame for _, frame in full.frames]
    portraits = np.stack(
        [take_portrait(one, matrix, SIDE) for one, matrix in zip(whole, places.matrix, strict=True)]
    )
    changed = translate(method, portraits, 1)
    right = [
        paste_change(*one) for one in zip(whole, changed, portraits, places.matrix, strict=True)
    ]
    found = frames_of(row)
    np.testing.assert_array_equal(found.frames, np.stack(right))
    np.testing.assert_allclose(found.pts_seconds, full.seconds, atol=1e-3)
    assert (found.frames != np.stack(whole)).any()
    points = read_track(row.landmarks)
    np.testing.assert_allclose(points.points, full.points, atol=1e-4)


def build_fit(study):
    return build(FitConfig, study.winner.read()["settings"])


def edited(faces, tmp_path, subject, **cells):
    """Return a copy of the manifest beside which one row has other cells."""
    rows = rows_of(faces)
    for row in rows:
        for column in ("video", "audio", "landmarks", "regions"):
            row[column] = row[column] and str(faces.parent / row[column])
        if row["subject_id"] == subject:
            row |= {"audio": "", "start_seconds": "", "end_seconds": "", **cells}
        else:
            row |= {"start_seconds": "", "end_seconds": ""}
    return write_rows(tmp_path / "manifest.csv", rows)


def track_of(faces, subject, tmp_path, change):
    track = read_track(next(faces.parent.glob(f"tracks/{subject}_*_landmarks.npz")))
    path = tmp_path / f"{subject}.npz"
    write_track(path, replace(track, points=change(track.points.copy())))
    return str(path)


def test_a_span_begins_at_second_0_and_a_frame_without_a_portrait_stays(faces, study, tmp_path):
    def without(points):
        points[4] = np.nan
        return points

    track = track_of(faces, "S001", tmp_path, without)
    path = edited(faces, tmp_path, "S001", landmarks=track, start_seconds="0.3", end_seconds="0.8")
    config = config_with(
        path, study, tmp_path / "new.csv", synthesis__strengths=(1.0,), data__allow_outside=True
    )
    done = synthesize(config, quiet)
    manifest = load_manifest(done.manifest, allowed=None)
    row = next(one.recording for one in manifest.made if one.recording.subject_id == "S001")
    assert (row.start_seconds, row.end_seconds) == (None, None)
    source = next(one for one in manifest.recordings if one.subject_id == "S001")
    was, is_now = frames_of(source), frames_of(row)
    np.testing.assert_allclose(is_now.pts_seconds, was.pts_seconds - was.pts_seconds[0], atol=1e-3)
    same = [(a == b).all() for a, b in zip(was.frames, is_now.frames, strict=True)]
    assert same == [False, True, False, False, False]  # of 0.3, 0.4, ... s
    table = rows_of(done.folder / "progression.csv")
    assert [one["unchanged_frames"] for one in table if "S001" in one["file"]] == ["1"]
    told = [line for line in done.told if "no portrait" in line]
    assert told == [
        "1 of 55 frames have no portrait and are those of the source (1 without eyes or mouth)."
    ]


def test_the_same_source_gives_the_same_files(made, faces, study, tmp_path):
    config = config_with(
        faces, study, tmp_path / "new.csv", synthesis__strengths=(1.0,), data__allow_outside=True
    )
    again = synthesize(config, quiet)
    for file in again.folder.glob("*/*.mp4"):
        assert file.read_bytes() == (made.folder / file.relative_to(again.folder)).read_bytes()


def test_sources_that_no_network_can_change_are_refused_together(faces, study, tmp_path):
    def absent(points):
        points[2:] = np.nan
        return points

    track = track_of(faces, "S001", tmp_path, absent)
    path = edited(faces, tmp_path, "S001", landmarks=track)
    config = config_with(path, study, tmp_path / "new.csv", data__allow_outside=True)
    with pytest.raises(DecodeError, match="S001_V1_face_interview: 8 of 10 frames have no portra"):
        synthesize(config, quiet)
    source = load_manifest(faces).recordings[0]
    (told,) = picture_faults(source, Recipe(), 256)
    assert "smaller than the network's pictures of 256 px" in told
    assert picture_faults(source, Recipe(), SIDE) == []


def test_studies_that_do_not_fit_are_refused(faces, study, tmp_path):
    output = tmp_path / "new.csv"

    def told(**changes):
        with pytest.raises((StudyError, ManifestError)) as error:
            synthesize(config_with(faces, study, output, **changes), quiet)
        return str(error.value)

    assert "got '/nowhere', which has no study.json" in told(synthesis__study="/nowhere")
    found = told(method="cyclegan", data__grade_cuts=(2,))
    assert "it is of the model cut; give method=cut" in found
    assert "its classes are of data.grade_cuts=[1], not [2]" in found
    other = leave_translator(tmp_path, faces, FOLDS, name="rgb", modality="rgb")
    found = told(synthesis__study=str(other.folder))
    assert "its pictures are rgb; train one with modality=portraits" in found
    other = leave_translator(tmp_path, faces, FOLDS, name="half")
    other.winner.finish(state="failed")
    assert "study half has no winner" in told(synthesis__study=str(other.folder))
    other = leave_translator(tmp_path, faces, FOLDS, name="all")
    found = told(synthesis__study=str(other.folder))
    assert "set fold0: each model learnt from others too; winner of all from the fewest, 2" in found
    assert "set fold1" in found
    assert not output.exists()


def test_whoever_no_longer_agrees_to_learn_stops_the_models_that_know_them(faces, study, tmp_path):
    path = edited(faces, tmp_path, "S012", consent_synthesis="change show")
    config = config_with(path, study, tmp_path / "new.csv", data__allow_outside=True)
    with pytest.raises((StudyError, ManifestError), match="agree"):
        synthesize(config, quiet)


def test_settings_ask_for_the_study_of_a_method_that_has_one(faces, study, tmp_path):
    with pytest.raises(SettingsError, match="method 'cut' needs the folder of a finished study"):
        config_of(faces, method="cut", output=str(tmp_path / "new.csv"))
    with pytest.raises(SettingsError, match=r"synthesis.study: method 'damp' has none"):
        config_of(faces, output=str(tmp_path / "n.csv"), synthesis__study=str(study.folder))


def test_frames_come_one_by_one(faces):
    source = load_manifest(faces).recordings[0]
    full, _ = place(source, Recipe(), SIDE)
    wanted = decode_frames(source.video, DecodeConfig(height=SIZE, width=SIZE), part=source.part)
    np.testing.assert_array_equal(next(full.frames)[1], next(wanted)[1])


def test_hrfae_has_weaker_edits_and_the_colours_of_the_source(faces, tmp_path):
    config = HRFAEConfig(width_factor=0.25, num_blocks=1, discriminator_layers=2)
    torch.manual_seed(3)
    method = HRFAE(config, 2, torch.nn.Identity())
    method.networks.eval()
    store = FrameStore(tmp_path / "store", Recipe())
    editor = PictureEditor(
        method=method, size=SIDE, store=store, learnt_subjects=(), learnt_contents=(),
        weights="", study="hrfae", seed=0, told=(), found=Sources(),
    )  # fmt: skip
    source = load_manifest(faces).recordings[0]
    found = {}
    for strength in (0.0, 0.5, 1.0):
        edit = Edit(source, 1, strength, Mark("hrfae", date(2026, 12, 1), "0" * 64))
        found[strength] = editor.write(edit, tmp_path / f"S_{strength:.2f}")
    assert not any("one edit only" in note for note in editor.notes)
    made, sources = found[1.0].faces
    assert made.shape == (8, SIDE, SIDE, 3)
    assert found[0.5].faces is None
    histograms = [[np.bincount(one[..., 0].ravel(), minlength=256).cumsum() for one in part]
                  for part in (made, sources)]  # fmt: skip
    apart = np.abs(np.subtract(*histograms)).max() / SIDE**2
    raw = translate(method, sources, 1)
    raw_red = [np.bincount(one[..., 0].ravel(), minlength=256).cumsum() for one in raw]
    assert apart < 0.1 < np.abs(np.subtract(raw_red, histograms[1])).max() / SIDE**2
    # A weaker edit is no mixture of the source and the whole edit.
    x, ends = as_floats(sources, torch.device("cpu")), []
    classes = torch.ones(8, dtype=torch.long)
    for strength in (0.0, 0.5, 1.0):
        ends.append(method.translate(x, classes, torch.full((8,), strength)))
    assert (ends[1] - (x + ends[2]) / 2).abs().max() > 0.05


def test_recordings_without_landmarks_are_counted_and_a_manifest_without_any_is_refused(
    faces, study, tmp_path
):
    path = edited(faces, tmp_path, "S001", landmarks="")
    config = config_with(
        path, study, tmp_path / "new.csv", synthesis__strengths=(1.0,), data__allow_outside=True
    )
    lines = []
    with pytest.raises(ManifestError, match="4 subjects of class 0 agreed to 'learn'"):
        synthesize(config, lines.append)
    assert "left out   1 recordings without landmarks" in lines
    rows = [{**row, "landmarks": ""} for row in rows_of(path)]
    path = write_rows(tmp_path / "none.csv", rows)
    config = config_with(path, study, tmp_path / "new.csv", data__allow_outside=True)
    with pytest.raises(ManifestError, match="12 have no landmarks"):
        synthesize(config, quiet)


def test_nothing_is_made_of_made_videos(made, faces, study, tmp_path):
    again = config_with(made.manifest, study, tmp_path / "new.csv", data__allow_outside=True)
    with pytest.raises(ManifestError, match=r"a recording S\d+.* already \(10 of those to make"):
        synthesize(again, quiet)
    path = edited(
        faces, tmp_path, "S001", video=str(next(made.folder.glob("fold1/S001_*_1.00.mp4")))
    )
    config = config_with(path, study, tmp_path / "new.csv", data__allow_outside=True)
    with pytest.raises(ManifestError, match=r"video .*mp4: is marked as made; fill in its made_by"):
        synthesize(config, quiet)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["manifest.csv"]
