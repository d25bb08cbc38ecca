from dataclasses import replace

import numpy as np
import pytest

from pdray.config import build
from pdray.data.cohort.manifest import Recording, load_manifest
from pdray.data.cohort.members import (
    check_action_classes,
    inner_sides,
    make_cohort,
    num_unnamed,
    outer_sides,
    rated,
    readable,
    split_subjects,
)
from pdray.data.cohort.rated import StoredRecording
from pdray.data.media.part import Box, Part
from pdray.errors import FoldsError, ManifestError, SettingsError
from pdray.search.settings import StudyConfig


@pytest.fixture
def load(write_manifest):
    """Return a function that gives a manifest of 20 subjects, two recordings each, and settings."""

    def build_cohort(changes=None, subjects="required", **settings):
        rows = [
            {
                "recording_id": f"S{subject:02d}{side}",
                "subject_id": f"S{subject:02d}",
                "item": "finger_tapping",
                "grade": (subject + (side == "left")) % 5,
                "video": f"{subject}{side}.mp4",
                "site": "",
                **(changes(subject, side) if changes else {}),
            }
            for subject in range(20)
            for side in ("left", "right")
        ]
        manifest = load_manifest(write_manifest(rows), check_files=False, subjects=subjects)
        tree = {"data": {"manifest": "m.csv"}, **settings}
        return manifest, build(StudyConfig, tree)

    return build_cohort


def cohort_of(manifest, config, *, searches=True):
    return make_cohort(manifest, config.data, config.folds, needs=config.needs, searches=searches)


def subjects(recordings, positions):
    return {recordings[position].subject_id for position in positions}


def test_every_recording_takes_part_and_every_subject_has_one_side(load):
    cohort = cohort_of(*load())
    assert len(cohort.recordings) == 40
    everyone = {recording.subject_id for recording in cohort.recordings}
    assert cohort.folds.test | cohort.folds.development == everyone
    assert (cohort.num_classes, cohort.is_synthetic) == (2, False)


def test_recordings_of_people_whom_nobody_has_named_are_called_so(load):
    def changes(subject, side):
        unnamed = {"subject_id": ""} if subject < 18 else {}
        return {"item": "face_interview", "split": "test" if subject % 4 else "train", **unnamed}

    manifest, config = load(
        changes,
        subjects="none",
        data={"manifest": "m.csv", "items": ["face_interview"], "subjects": "none"},
        folds={"from_split": True, "num_folds": 2},
    )
    cohort = cohort_of(manifest, config)
    told = "36 of 40 recordings name no subject: a person may be on both sides, and scores are"
    assert [note for note in cohort.notes if "subject" in note] == [
        f"{told} those of recordings, not of people"
    ]
    assert {f"S{n:02d}left" for n in range(18) if n % 4} <= cohort.folds.test
    assert len(cohort.folds.folds) == 2
    assert cohort_of(manifest, config, searches=False).folds.test == cohort.folds.test
    assert num_unnamed(cohort.recordings, config.data) == 36
    named = [one for one in cohort.recordings if one.subject_id != one.recording_id]
    assert num_unnamed(named, config.data) == 0  # allowed to be unnamed, and are not
    required = config.data.model_copy(update={"subjects": "required"})
    assert num_unnamed(cohort.recordings, required) == 0


def test_what_lacks_a_video_or_a_grade_is_listed_and_left_out(load):
    def changes(subject, side):
        return {"grade": ""} if (subject, side) == (3, "left") else {}

    cohort = cohort_of(*load(changes))
    assert len(cohort.recordings) == 39
    assert list(cohort.lacking["grade"]) == ["S03left"]
    assert "S03left" not in {recording.recording_id for recording in cohort.recordings}


def test_a_cohort_without_the_item_is_refused_with_its_name(load):
    manifest, config = load(data={"manifest": "m.csv", "items": ["gait"]})
    with pytest.raises(ManifestError, match=r"none of its 40 .*: 0 are of the items gait"):
        cohort_of(manifest, config)


def test_too_few_subjects_for_the_folds_are_refused(load):
    with pytest.raises(FoldsError, match="20 subjects"):
        cohort_of(*load(folds={"num_outer": 21}))


def test_cuts_make_the_classes(load):
    manifest, config = load(data={"manifest": "m.csv", "grade_cuts": [1, 3]})
    cohort = cohort_of(manifest, config)
    assert cohort.num_classes == 3
    targets = {r.grade: r.target for r in rated(cohort, config.data, None)}
    assert targets == {0: 0, 1: 1, 2: 1, 3: 2, 4: 2}


def test_an_action_of_a_class_beyond_the_cuts_is_refused(load):
    def changes(subject, side):
        return {"item": "action", "grade": subject % 3}

    data = {"manifest": "m.csv", "items": ["action"]}
    with pytest.raises(ManifestError, match=r"12 of 40 .* 0\.\.1, the first S02left with 2"):
        cohort_of(*load(changes, data={**data, "grade_cuts": [1]}))
    assert cohort_of(*load(changes, data={**data, "grade_cuts": [1, 2]})).num_classes == 3


def test_a_class_that_an_evaluation_side_lacks_is_noted(load):
    # The highest class lives in three subjects, so three folds and the test set cannot all have
    # it.
    def changes(subject, side):
        return {"grade": 4 if subject in (3, 11, 15) else subject % 2}

    cohort = cohort_of(*load(changes, data={"manifest": "m.csv", "grade_cuts": [1, 4]}))
    assert cohort.notes
    assert all("class 2 has 0 of" in note for note in cohort.notes)


def test_a_rendered_recording_makes_the_cohort_synthetic(load):
    cohort = cohort_of(*load(lambda subject, side: {"site": "synthetic"}))
    assert cohort.is_synthetic


def test_rated_recordings_carry_what_is_read(load, tmp_path):
    facts = {"side": "left", "medication_state": "off", "rater_1": 2, "rater_2": ""}
    span = {"start_seconds": 1.5, "end_seconds": 4.0, "crop": "0 0 64 48"}
    manifest, config = load(lambda subject, side: {**span, **facts})
    cohort = cohort_of(manifest, config)
    first = cohort.recordings[0]
    decoded = rated(cohort, config.data, None)
    assert len(decoded) == 40
    assert (decoded[0].recording_id, decoded[0].subject_id) == ("S00left", "S00")
    assert (decoded[0].video, decoded[0].stored) == (first.video, None)
    assert decoded[0].part == Part(1.5, 4.0, Box(0, 0, 64, 48))
    assert decoded[0].facts == {"side": "left", "medication_state": "off", "rater_1": 2.0}
    entries = {"S00left": StoredRecording("S00left", {"rgb": tmp_path / "a.arrow"})}
    one = replace(cohort, recordings=cohort.recordings[:1])
    (stored,) = rated(one, config.data, entries)
    assert stored == replace(decoded[0], stored={"rgb": tmp_path / "a.arrow"})


def entries_of(recordings, folder):
    return {
        one.recording_id: StoredRecording(one.recording_id, {"rgb": folder / f"{number}.arrow"})
        for number, one in enumerate(recordings)
    }


def test_unreadable_recordings_leave_and_the_subjects_keep_their_sides(load, tmp_path):
    manifest, config = load()
    cohort = cohort_of(manifest, config)
    entries = entries_of(cohort.recordings, tmp_path)
    gone = cohort.recordings[3].recording_id
    del entries[gone]
    left = readable(cohort, config.data, entries)
    assert left.folds == cohort.folds
    assert len(left.recordings) == len(cohort.recordings) - 1
    assert gone not in {one.recording_id for one in left.recordings}


def test_a_class_lost_with_the_unreadable_recordings_is_refused(load, tmp_path):
    manifest, config = load()
    cohort = cohort_of(manifest, config)
    severe = [one for one in cohort.recordings if one.grade is not None and one.grade < 2]
    with pytest.raises(
        FoldsError,
        match="class 1 has no recording to train on outside the validation side of fold 0",
    ):
        readable(cohort, config.data, entries_of(severe, tmp_path))


def test_inner_sides_partition_the_development_recordings_without_a_test_subject(load):
    manifest, config = load(folds={"num_folds": 3})
    cohort = cohort_of(manifest, config)
    recordings = rated(cohort, config.data, None)
    sides = inner_sides(cohort.folds, recordings)
    assert len(sides) == 3
    evaluated = [position for side in sides for position in side.evaluation]
    assert len(evaluated) == len(set(evaluated))
    assert subjects(recordings, evaluated) == cohort.folds.development
    for side in sides:
        assert subjects(recordings, side.training).isdisjoint(subjects(recordings, side.evaluation))
        both = subjects(recordings, side.training) | subjects(recordings, side.evaluation)
        assert both == cohort.folds.development
        assert len(side.training) + len(side.evaluation) == len(evaluated)


def test_the_outer_sides_train_on_development_and_score_the_test_group(load):
    cohort = cohort_of(*load())
    recordings = rated(cohort, load()[1].data, None)
    (side,) = outer_sides(cohort.folds, recordings)
    assert subjects(recordings, side.training) == cohort.folds.development
    assert subjects(recordings, side.evaluation) == cohort.folds.test
    assert len(side.training) + len(side.evaluation) == 40


def actions(*grades, item="action"):
    return [Recording(f"r{at}", f"r{at}", item, grade=grade) for at, grade in enumerate(grades)]


def test_a_class_beyond_the_cuts_is_refused():
    message = (
        r"item action: 2 of 4 recordings have a class outside 0\.\.8, the first r2 with 9; with "
        r"classes up to 100, data\.grade_cuts must be every number from 1 to 100, got \[1, 2, 3, "
        r"4, 5, 6, 7, 8\]$"
    )
    with pytest.raises(ManifestError, match=message):
        check_action_classes(actions(0, 8, 9, 100), range(1, 9))


def test_a_gap_between_the_cuts_does_not_make_more_classes():
    with pytest.raises(
        ManifestError, match=r"1 of 2 .* outside 0\.\.1, the first r1 with 2; .*\[2\]"
    ):
        check_action_classes(actions(1, 2), (2,))


def test_every_class_of_the_cuts_and_every_grade_is_left_alone():
    check_action_classes(actions(0, 1, 57, 100, None), range(1, 101))
    check_action_classes(actions(0, 4, item="gait"), (2,))
    check_action_classes([], (2,))


def test_a_split_by_name_is_that_of_a_study_with_the_same_settings(load):
    folds = {"num_folds": 2, "num_outer": 4, "seed": 3}
    manifest, config = load(folds=folds)
    for test_group in (True, False):
        split = split_subjects(
            manifest, {"folds": folds, "data.grade_cuts": [2]}, test_group=test_group
        )
        assert split == cohort_of(manifest, config, searches=test_group)
        table = split.table().set_index("recording_id")
        assert table["target"].tolist() == [int(one.grade >= 2) for one in split.recordings]
        for number, side in {**dict(enumerate(split.folds.folds)), -1: split.folds.test}.items():
            assert set(table.loc[table["fold"] == number, "subject_id"]) == side


def test_a_split_by_name_needs_what_a_study_needs(load):
    def unnamed(subject, side):
        return {"subject_id": "", "item": "face_interview"}

    manifest, _ = load(unnamed, subjects="none", folds={"of_recordings": True})
    people = {"data.items": ["face_interview"], "data.subjects": "none"}
    with pytest.raises(SettingsError, match="the same person may be in training"):
        split_subjects(manifest, people)
    assert split_subjects(manifest, people | {"folds.of_recordings": True}).notes
    with pytest.raises(SettingsError, match=r"unknown key 'folds\.seeds': did you mean"):
        split_subjects(manifest, {"folds.seeds": 1})
    with pytest.raises(ManifestError, match="40 have no landmarks"):
        split_subjects(manifest, people | {"folds.of_recordings": True}, needs=["landmarks"])


@pytest.fixture
def voices(tmp_path, write_manifest):
    """Return a function that gives a manifest of 12 voices with 4 clips each, one without sound."""
    rng = np.random.default_rng(0)
    voice = rng.normal(0, 3, (12, 20))
    names = [f"v{number // 4}c{number % 4}" for number in range(48)]
    lines = [
        ",".join([name, *map(str, voice[number // 4] + rng.normal(0, 1, 20))])
        for number, name in enumerate(names)
    ]
    header = ",".join(["recording_id", *(f"n{column}" for column in range(20))])
    (tmp_path / "voice.csv").write_text("\n".join([header, *lines[1:]]), encoding="utf-8")
    rows = [
        {
            "recording_id": name,
            "item": "face_interview",
            "grade": number // 4 % 2,
            "video": f"{name}.mp4",
            "features.voice": "" if number == 0 else "voice.csv",
        }
        for number, name in enumerate(names)
    ]
    return load_manifest(write_manifest(rows), check_files=False, subjects="none")


def alike(manifest, **folds):
    tree = {"manifest": "m.csv", "subjects": "none", "items": ["face_interview"], "grade_cuts": [1]}
    config = build(StudyConfig, {"data": tree, "folds": {"alike": "features.voice", **folds}})
    return cohort_of(manifest, config)


def test_recordings_that_are_alike_are_on_one_side_of_every_split(voices):
    cohort = alike(voices, num_folds=2, num_outer=3)
    recordings = rated(cohort, build(StudyConfig, {"data": {"manifest": "m"}}).data, None)
    for sides in (*inner_sides(cohort.folds, recordings), *outer_sides(cohort.folds, recordings)):
        learnt, held = (
            {recordings[i].recording_id[:-2] for i in side if recordings[i].recording_id != "v0c0"}
            for side in (sides.training, sides.evaluation)
        )
        assert learnt
        assert held
        assert not learnt & held
    people = {one.recording_id: one.people for one in recordings}
    assert len({people[f"v3c{clip}"] for clip in range(4)}) == 1  # inner folds keep them, too
    assert people["v0c0"] == "v0c0"  # without features it is alone


def test_likeness_needs_features_and_no_subjects(voices, load):
    with pytest.raises(SettingsError, match=r"folds.alike: 0 recordings have features.face; add"):
        alike(voices, alike="features.face")
    with pytest.raises(SettingsError, match=r"folds.alike: is only for data without subject ids"):
        split_subjects(voices, {"folds.alike": "features.voice"})
