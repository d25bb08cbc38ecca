import csv
import hashlib
import json
from pathlib import Path

import av
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.data.cohort.manifest import load_manifest
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.data.media.tracks import read_track
from pdray.demo.body.limb import draw_appearance, draw_frames
from pdray.demo.cohort import (
    COLUMNS,
    MOTIONS,
    draw_recording,
    make_cohort,
    movement_of,
)
from pdray.demo.illness.severity import (
    DEMO_ITEMS,
    FACES,
    POSED_ITEMS,
    DemoConfig,
    DemoRecording,
    Purpose,
    plan_cohort,
    rate_cohort,
    rater_grades,
    stream,
    visit_scores,
)
from pdray.errors import SettingsError

TINY = DemoConfig(num_subjects=2, size=48, min_seconds=1.0, max_seconds=1.2, missing=0.5, seed=3)


# Every item, small; the shortest in which a slow walk still shows its rhythm.
OTHERS = TINY.model_copy(
    update={"items": DEMO_ITEMS[2:], "num_subjects": 4, "num_visits": 1, "missing": 0.0}
)
WHOLE = TINY.model_copy(
    update={"items": DEMO_ITEMS, "num_subjects": 1, "num_visits": 1, "missing": 0.0}
)
SHORT = DemoConfig(size=32, min_seconds=2.4, max_seconds=2.6, missing=0.4, seed=1)
NEW_ITEMS = [item for item in MOTIONS if item not in DemoConfig().items]


@pytest.fixture(scope="module")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cohort(tmp_path_factory.mktemp("cohort"), TINY, num_processes=1).parent


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "manifest.csv").open(encoding="utf-8") as table:
        return list(csv.DictReader(table))


def cross_validated_mcc(features: np.ndarray, config: DemoConfig) -> float:
    """MCC of slight {0, 1} against {2, 3, 4}, subjects never on both sides."""
    plan = plan_cohort(config)
    severe = np.array([one.grade >= 2 for one in plan])
    subjects = [one.subject for one in plan]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=2000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(model, features, severe, groups=subjects, cv=folds)
    return float(matthews_corrcoef(severe, guess))


def test_files_are_h264_and_aac_of_a_manifest_we_accept(tiny_cohort: Path) -> None:
    recordings = load_manifest(tiny_cohort / "manifest.csv").recordings
    assert len(recordings) == 8
    for recording in recordings:
        assert recording.site == "synthetic"
        assert recording.medication_state in ("on", "off")
        assert recording.video is not None
        with av.open(str(recording.video)) as container:
            video, audio = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
            assert (video.width, video.height, video.average_rate) == (48, 48, 25)
            assert (audio.rate, audio.channels) == (16_000, 1)
            assert 25 <= sum(1 for _ in container.decode(video=0)) <= 30


def test_everything_says_synthetic_and_no_path_is_absolute(tiny_cohort: Path) -> None:
    assert (tiny_cohort / "README.txt").read_text().startswith("SYNTHETIC")
    assert '"synthetic": true' in (tiny_cohort / "demo.json").read_text()
    assert all(not Path(row["video"]).is_absolute() for row in rows_of(tiny_cohort))


# Of the code that knew neither static signs nor progressions nor counterfactuals.
TEXT_BEFORE = {
    "tiny": {
        "README.txt": "d9de2d18357b51749e2cc8779c3aded8043f648833b8ad420c8f3b0ea96a9452",
        "demo.json": "376b0531aac6aa34ecc8dd1e0336f68397f2997b52f28313f02c25508bdb148e",
        "manifest.csv": "faef390bdc200c855aacf95961f0e61bf2b6bebb80b7f9d13744f202d379471d",
    },
    "whole": {
        "README.txt": "2cf16943e7e587c6a908f65be07dc66e2ba4be0ddfa2c97d4599b2f764159834",
        "demo.json": "0d26a504410501763b8be97fc807cdfbafb1866513a581e894081eb5ecc65750",
        "manifest.csv": "7323b6ffa28f618dc9dcd215fdb08f040c8c65f7701bf1b0991619ef2627c02c",
        "manifest.marks.csv": "a68dc89dbd6df45eb0e7eedbb883c6190a7fb472e7d164e281769c1948b18ede",
    },
    "actors": {
        "README.txt": "d9de2d18357b51749e2cc8779c3aded8043f648833b8ad420c8f3b0ea96a9452",
        "demo.json": "0e382add76e06f6c7506f3bcced4a125a795f2b8510a63222b5edbccf7ef389d",
        "manifest.csv": "39ee1e4afb1b7e2923c0f8090a1b81a8c4bb1521c0805bee38775efe12b35f7b",
    },
}


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.*")}


def test_tables_and_texts_are_what_they_always_were(tiny_cohort: Path) -> None:
    assert digests(tiny_cohort) == TEXT_BEFORE["tiny"]


def test_people_who_may_be_changed_agreed_to_it_and_have_no_drug(tmp_path: Path) -> None:
    small = TINY.model_copy(update={"num_subjects": 2, "items": ("face_interview",)})
    for number, (key, value) in enumerate(
        (("static_signs", 1.0), ("progression", True), ("counterfactual", True))
    ):
        folder, changed = tmp_path / str(number), small.model_copy(update={key: value})
        recordings = load_manifest(make_cohort(folder, changed, num_processes=1)).recordings
        for one in recordings:
            assert one.consent_synthesis == "learn change show"
            assert one.consent_version == "SYNTHETIC: nobody was filmed"
            assert (one.medication_state is None) == (key == "progression")
        assert f'"{key}": ' in (folder / "demo.json").read_text()


def test_encoded_frames_and_sound_are_what_was_drawn(tiny_cohort: Path) -> None:
    recording = plan_cohort(TINY)[0]
    drawn = draw_recording(recording, TINY)
    shown = decode(tiny_cohort / recording.video, DecodeConfig(height=48, width=48)).frames
    assert shown.shape == drawn.frames.shape
    assert np.abs(shown.astype(int) - drawn.frames).mean() < 8
    with av.open(str(tiny_cohort / recording.video)) as container:
        heard = np.concatenate([one.to_ndarray()[0] for one in container.decode(audio=0)])
    # By their spectra: the encoder puts a few milliseconds before the sound.
    spectra = [np.abs(np.fft.rfft(sound, 32_768))[:8000] for sound in (heard, drawn.voice)]
    assert np.corrcoef(spectra)[0, 1] > 0.9


def test_pixels_depend_on_the_seed_alone() -> None:
    one = plan_cohort(TINY)[0]
    drawn, again = draw_recording(one, TINY), draw_recording(one, TINY)
    other = draw_recording(one, TINY.model_copy(update={"seed": 4})).frames
    assert np.array_equal(drawn.frames, again.frames)
    assert np.array_equal(drawn.voice, again.voice)
    assert drawn.landmarks is None
    assert drawn.frames.shape != other.shape or not np.array_equal(drawn.frames, other)


# Number of frames, and frames, voice and both tracks each projected on one random direction. A sum,
# not a digest of bytes: processors round sines differently, which may turn a few pixels of a
# million by one grey level. The first items: by the code that knew these two only.
DRAWN_BEFORE = {
    TINY: {
        "S001_V1_finger_tapping_left": (26, 45.481, -0.0073),
        "S001_V1_hand_opening_left": (28, 37.858, -0.0024),
        "S001_V1_hand_opening_right": (26, 70.896, -0.0462),
        "S001_V2_finger_tapping_right": (27, 11.076, 0.1519),
        "S002_V1_hand_opening_left": (29, -20.895, -0.1529),
        "S002_V1_hand_opening_right": (26, -61.234, 0.0291),
        "S002_V2_hand_opening_left": (25, -13.854, 0.0243),
        "S002_V2_hand_opening_right": (29, -26.952, 0.0741),
    },
    # Of each other item a severe one; faces with glasses, with short and with long hair.
    OTHERS: {
        "S001_V1_pronation_left": (30, 37.621, -0.0261),
        "S001_V1_toe_tapping_left": (28, 58.545, -0.0726),
        "S001_V1_leg_agility_left": (27, 4.093, 0.0549),
        "S001_V1_postural_tremor_left": (29, 27.397, 0.0998),
        "S001_V1_kinetic_tremor_left": (25, -20.537, -0.0139),
        "S001_V1_gait": (29, 20.901, 0.1337),
        "S001_V1_face_interview": (26, 10.174, -0.0314, -18.454, -47.305),
        "S002_V1_face_interview": (29, -13.061, 0.0083, -18.559, -39.017),
        "S003_V1_face_interview": (28, 38.720, 0.0072, -20.939, -45.356),
        "S002_V1_expression_neutral": (29, -23.566, -0.0026, -19.647, -38.515),
        "S002_V1_expression_happiness": (28, 21.044, -0.0012, -23.072, -42.986),
        "S001_V1_expression_surprise": (28, 30.300, 0.0009, -21.458, -40.130),
        "S002_V1_expression_anger": (27, -27.992, -0.0021, -23.878, -48.327),
    },
}


@pytest.mark.parametrize(
    ("config", "name"), [(config, name) for config in DRAWN_BEFORE for name in DRAWN_BEFORE[config]]
)
def test_every_item_is_drawn_as_it_always_was(config: DemoConfig, name: str) -> None:
    plan = {one.recording_id: one for one in plan_cohort(config)}
    if config is TINY:
        assert list(plan) == list(DRAWN_BEFORE[TINY])
    drawn = draw_recording(plan[name], config)
    num_frames, picture, sound, *points = DRAWN_BEFORE[config][name]
    assert len(drawn.frames) == num_frames
    assert projected(drawn.frames) == pytest.approx(picture, abs=0.02)
    assert projected(drawn.voice) == pytest.approx(sound, abs=0.0002)
    tracks = [track.points for track in (drawn.landmarks, drawn.regions) if track]
    assert [projected(track) for track in tracks] == pytest.approx(points, abs=0.002)


def projected(values: np.ndarray) -> float:
    direction = np.random.default_rng(0).standard_normal(values.size)
    return float(values.astype(float).ravel() @ direction / np.sqrt(values.size))


def test_two_processes_write_the_same_files_as_one_and_count_them(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    told: list[tuple[int, int]] = []
    make_cohort(
        tmp_path, TINY, num_processes=2, progress=lambda done, total: told.append((done, total))
    )
    assert told == [(number, 8) for number in range(1, 9)]
    names = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(names) == 8 + 3
    for name in names:
        assert (tiny_cohort / name).read_bytes() == (tmp_path / name).read_bytes(), name


def test_a_second_call_changes_nothing_and_an_interrupted_one_is_finished(tmp_path: Path) -> None:
    small = TINY.model_copy(update={"num_subjects": 1, "num_visits": 1})
    make_cohort(tmp_path, small, num_processes=1)
    files = sorted(tmp_path.rglob("*.*"))
    before = [path.stat().st_mtime_ns for path in files]
    make_cohort(tmp_path, small, num_processes=1)
    assert [path.stat().st_mtime_ns for path in files] == before

    kept, lost = sorted((tmp_path / "videos").iterdir())
    lost.unlink()
    (tmp_path / "manifest.csv").unlink()
    kept_time = kept.stat().st_mtime_ns
    assert make_cohort(tmp_path, small, num_processes=1) == tmp_path / "manifest.csv"
    assert lost.exists()
    assert (tmp_path / "manifest.csv").exists()
    assert kept.stat().st_mtime_ns == kept_time


def test_a_folder_of_another_cohort_is_refused(tiny_cohort: Path) -> None:
    with pytest.raises(SettingsError, match=r'other settings .*"seed": 3.*another folder'):
        make_cohort(tiny_cohort, TINY.model_copy(update={"seed": 9}))


def test_a_cohort_of_before_there_was_a_choice_of_items_is_taken_as_it_is(tmp_path: Path) -> None:
    small = TINY.model_copy(update={"num_subjects": 1, "num_visits": 1})
    make_cohort(tmp_path, small, num_processes=1)
    marker, manifest = tmp_path / "demo.json", tmp_path / "manifest.csv"
    settings = json.loads(marker.read_text())
    del settings["items"]
    marker.write_text(json.dumps(settings, indent=1))
    manifest.write_text("older")
    assert make_cohort(tmp_path, small, num_processes=1) == manifest
    assert manifest.read_text() == "older"
    with pytest.raises(SettingsError, match="other settings"):
        make_cohort(tmp_path, small.model_copy(update={"items": ("gait",)}), num_processes=1)


def test_a_cohort_of_every_item_has_its_columns_and_tracks(tmp_path: Path) -> None:
    manifest = load_manifest(make_cohort(tmp_path, WHOLE, num_processes=1))
    assert digests(tmp_path) == TEXT_BEFORE["whole"]
    plan = {one.recording_id: one for one in plan_cohort(WHOLE)}
    scores = visit_scores(rate_cohort(WHOLE))
    assert {one.item for one in manifest.recordings} == set(DEMO_ITEMS)
    for one in manifest.recordings:
        planned = plan[one.recording_id]
        assert (one.item, one.side or "", one.grade) == (planned.item, planned.side, planned.grade)
        assert one.raters == rater_grades(planned, WHOLE)
        assert one.visit_score == scores[planned.subject, planned.visit]
        assert one.diagnosis == "PD"  # of another item than the posed ones, a grade above 0
        assert (one.landmarks is not None) == (one.item in FACES)
    (face,) = (one for one in manifest.recordings if one.item == "face_interview")
    assert face.video is not None
    num_frames = len(decode(face.video, DecodeConfig(height=48, width=48)).frames)
    for path, num_points in ((face.landmarks, 106), (face.regions, 58)):
        assert path is not None
        track = read_track(path)
        assert track.size == (48, 48)
        assert track.seconds == pytest.approx(np.arange(num_frames) / 25, abs=1e-6)
        assert track.points.shape == (num_frames, num_points, 2)


def test_the_posed_expressions_of_a_visit_share_a_grade_that_no_other_choice_moves() -> None:
    def grades(**changes: object) -> dict[tuple[int, int], set[int]]:
        found: dict[tuple[int, int], set[int]] = {}
        for one in plan_cohort(TINY.model_copy(update={"num_subjects": 30, **changes})):
            if one.item in POSED_ITEMS:
                found.setdefault((one.subject, one.visit), set()).add(one.grade)
        return found

    every = grades(items=POSED_ITEMS)
    assert all(len(own) == 1 for own in every.values())
    assert set.union(*every.values()) == {0, 1, 2, 3, 4}
    one = grades(items=("gait", "expression_anger"))
    assert one.items() <= every.items()
    assert 0 < len(one) < len(every)  # half of the recordings are absent


def test_healthy_actors_have_grade_0_a_diagnosis_and_no_drug(
    tiny_cohort: Path, tmp_path: Path
) -> None:
    # Cohorts of other items say nothing of either, as before there were posed expressions.
    assert "healthy" not in (tiny_cohort / "demo.json").read_text()
    assert tuple(rows_of(tiny_cohort)[0]) == COLUMNS
    actors = TINY.model_copy(
        update={"items": ("expression_anger",), "healthy": True, "num_visits": 1, "missing": 0.0}
    )
    recordings = load_manifest(make_cohort(tmp_path, actors, num_processes=1)).recordings
    told = [(one.grade, one.diagnosis, one.medication_state) for one in recordings]
    assert told == [(0, "healthy", None)] * 2
    assert digests(tmp_path) == TEXT_BEFORE["actors"]
    assert '"healthy": true' in (tmp_path / "demo.json").read_text()
    with pytest.raises(SettingsError, match="other settings"):
        make_cohort(tmp_path, actors.model_copy(update={"healthy": False}))


def test_a_manifest_of_someone_else_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "manifest.csv").write_text("precious")
    with pytest.raises(
        SettingsError, match=r"manifest\.csv exists and was not written by the demo"
    ):
        make_cohort(tmp_path, TINY)
    assert (tmp_path / "manifest.csv").read_text() == "precious"


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_rhythm_tells_the_grade_and_length_and_poses_do_not(seed: int) -> None:
    config = DemoConfig(seed=seed)
    openings = [movement_of(one, config).opening for one in plan_cohort(config)]
    lengths = [len(one) for one in openings]
    assert 90 <= min(lengths) < max(lengths) <= 120
    assert abs(np.corrcoef([one.grade for one in plan_cohort(config)], lengths)[0, 1]) < 0.2
    spectra = []
    for opening in openings:
        speed = np.abs(np.diff(opening))
        power = np.abs(np.fft.rfft((speed - speed.mean()) * np.hanning(len(speed)), 128)) ** 2
        spectra.append(np.log(power / power.sum() + 0.05))
    assert 0.75 < cross_validated_mcc(np.array(spectra), config) < 0.99
    for place in (0.1, 0.5, 0.95):
        pose = np.array([[one[int(place * len(one))]] for one in openings])
        assert cross_validated_mcc(np.hstack([pose, pose**2, pose**3]), config) < 0.25
    # All poses of a recording without their order tell little.
    poses = np.array([np.quantile(one, np.linspace(0, 1, 11)) for one in openings])
    assert cross_validated_mcc(np.column_stack([poses, np.ptp(poses, axis=1)]), config) < 0.5


def frames_of(item: str) -> tuple[list[DemoRecording], list[np.ndarray]]:
    """Draw 48 recordings of an item, without their voices."""
    num_subjects = 40 if item == "gait" else 20
    config = SHORT.model_copy(update={"items": (item,), "num_subjects": num_subjects})
    plan = plan_cohort(config)
    frames = []
    for one in plan:
        look = draw_appearance(
            stream(config, Purpose.SUBJECT_LOOK, one.subject),
            stream(config, Purpose.VISIT_LOOK, one.subject, one.visit),
            size=config.size,
        )
        figure = MOTIONS[item].figure(movement_of(one, config), look)
        camera = stream(config, Purpose.CAMERA, *one.key)
        frames.append(draw_frames(figure, one.side, look, camera))
    return plan, frames


def held_out_auc(features: list[np.ndarray], plan: list[DemoRecording]) -> float:
    severe = [one.grade >= 2 for one in plan]
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.03, max_iter=2000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    guess = cross_val_predict(
        model, np.array(features), severe, groups=[one.subject for one in plan], cv=folds,
        method="predict_proba",
    )  # fmt: skip
    return float(roc_auc_score(severe, guess[:, 1]))


def rhythm(frames: np.ndarray) -> np.ndarray:
    """Return the log power of the mean frame difference in bands of half a cycle a second."""
    activity = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    power = np.abs(np.fft.rfft(activity - activity.mean(), 250)) ** 2 / len(activity)
    return np.log(power[:120].reshape(24, 5).mean(axis=1) + 1e-4)


def blurred(picture: np.ndarray) -> np.ndarray:
    return picture.reshape(8, 4, 8, 4, 3).mean(axis=(1, 3)).ravel()


@pytest.mark.parametrize("item", NEW_ITEMS)
def test_motion_tells_the_grade_of_the_other_items_and_a_picture_does_not(item: str) -> None:
    plan, frames = frames_of(item)
    assert len(plan) == 48
    assert held_out_auc([rhythm(one) for one in frames], plan) > 0.85
    # Chance at 48 recordings: a standard deviation of 0.08 or more.
    assert held_out_auc([blurred(one[len(one) // 2]) for one in frames], plan) < 0.75
    assert held_out_auc([blurred(one.mean(axis=0)) for one in frames], plan) < 0.75


@pytest.mark.parametrize("item", NEW_ITEMS)
def test_one_pose_of_the_other_items_hardly_tells_the_grade(item: str) -> None:
    config = DemoConfig(items=(item,), num_subjects=100 if item == "gait" else 50)
    plan = plan_cohort(config)
    look = draw_appearance(np.random.default_rng(0), np.random.default_rng(1), size=32)
    noise = np.random.default_rng(2)
    poses = []
    for one in plan:
        figure = MOTIONS[item].figure(movement_of(one, config), look)
        joints = [limb.joints for limb in figure.limbs if limb.surface != "room"]
        half = len(joints[0]) // 2
        pose = np.concatenate([one[half].reshape(-1, 2) for one in joints])
        # As exactly as 96 pixels show it, wherever the camera points.
        pose = pose + figure.view.units * noise.uniform(-0.05, 0.05, 2)
        pose = pose + figure.view.units / 190 * noise.standard_normal(pose.shape)
        poses.append(np.concatenate([pose, pose**2]).ravel())
    assert held_out_auc(poses, plan) < 0.68
