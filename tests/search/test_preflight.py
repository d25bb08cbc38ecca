from dataclasses import replace

import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.data.cohort.members import make_cohort
from pdray.data.store.forecast import Forecast
from pdray.models.estimators.landmark_settings import LandmarkHeadConfig
from pdray.search.cluster import Capacity, Reservation
from pdray.search.plan import plan_study
from pdray.search.preflight import describe_frames, describe_plan
from pdray.training.loop.launch import Workers
from pdray.training.settings import OptimConfig

CAPACITY = Capacity(cpus=16, gpus=2, num_nodes=3)
RESERVATION = Reservation(Workers(2, 1.5, 1.0), concurrent_trials=4, cpus_per_trial=3.5)
FORECAST = Forecast(20, 20, seconds=9.6, num_bytes=10**6, cpu_seconds=1.0)
HOW = (CAPACITY, RESERVATION, FORECAST)


@pytest.fixture
def study(tiny_manifest, tmp_path):
    """Return a function that plans a study over ten subjects of two videos of 12 frames."""
    path = tiny_manifest(10)

    def plan(**settings):
        tree = {
            "data": {"manifest": str(path)},
            "folds": {"num_folds": 2},
            "decode": {"height": 48, "width": 64},
            "search": {"trials": 7},
            "optim": {"epochs": 5},
            "output": str(tmp_path / "output"),
            "space": {"loss.gamma": {"low": 0.0, "high": 1.0}},
            **settings,
        }
        made = plan_study(tree)
        cohort = make_cohort(
            load_manifest(path), made.config.data, made.config.folds, needs=made.needs
        )
        return made, cohort

    return plan


CLASSES = "0: grades 0 to 1 (8 recordings), 1: grade 2 and above (12 recordings)"


def describe(plan, cohort, expected=FORECAST):
    """Return the lines of a description by their first words."""
    text = describe_plan(plan, cohort, CAPACITY, RESERVATION, expected)
    return dict(line.split(None, 1) for line in text.splitlines())


def test_a_plan_of_the_diagnosis_names_no_grades(study):
    plan, cohort = study(data={"manifest": "m.csv", "target": "grade", "grade_cuts": [1]})
    ill = replace(plan, config=plan.config.model_copy(update={
        "data": plan.config.data.model_copy(update={"target": "diagnosis"})}))  # fmt: skip
    lines = describe(ill, cohort)
    assert lines["cohort"] == "20 recordings of 10 subjects"
    assert lines["classes"] == "0: healthy (4 recordings), 1: ill (16 recordings)"


def test_the_plan_says_what_will_run_where(study, tmp_path):
    lines = describe(*study())
    assert lines["cohort"] == "20 recordings of 10 subjects; grades 0: 4, 1: 4, 2: 4, 3: 4, 4: 4"
    assert lines["classes"] == CLASSES
    assert lines["folds"] == (
        "2 test subjects, scored once at the end; 8 development subjects in 2 folds of "
        "cross-validation"
    )
    assert lines["search"] == (
        "7 trials x 2 folds x 5 epochs; 1 setting is searched for the best val/mcc"
    )
    assert lines["resources"] == (
        "each trial uses 2 workers, each with 1.5 CPUs and 1 GPU; 4 trials run at once; the "
        "cluster has 16 CPUs and 2 GPUs on 3 nodes"
    )
    assert lines["output"] == str(tmp_path / "output")


def test_the_plan_foresees_hours_disk_and_time(study):
    plan, cohort = study()
    foreseen = Forecast(20, 15, seconds=24000.0, num_bytes=5_530_000_000, cpu_seconds=750.0)
    frames = describe(plan, cohort, foreseen)["frames"]
    assert frames == (
        "about 6.67 hours of video, rgb at 64x48; 15 of 20 recordings must be decoded: about "
        "5.53 GB (raw), 12 CPU minutes"
    )
    done = replace(foreseen, num_missing=0, num_bytes=0, cpu_seconds=0.0)
    frames = describe(plan, cohort, done)["frames"]
    assert frames == "about 6.67 hours of video, rgb at 64x48; all are in the frame store"


def test_videos_read_every_time_take_no_disk(study):
    frames = describe(*study(frames="video"))["frames"]
    assert frames.endswith("at 64x48; each read decodes the video again")


def test_what_is_left_out_is_counted_and_the_first_named(study):
    plan, cohort = study()
    ids = [f"R{number}" for number in range(8)]
    left = describe_plan(
        plan, replace(cohort, lacking={"grade": ids}), CAPACITY, RESERVATION, FORECAST
    )
    assert "left out   8 recordings without grade: R0, R1, R2, R3, R4 and 3 more" in left
    none = describe_plan(
        plan, replace(cohort, lacking={"grade": []}), CAPACITY, RESERVATION, FORECAST
    )
    assert "left out" not in none


def test_notes_and_synthetic_data_are_said(study):
    plan, cohort = study()
    assert "SYNTHETIC" not in describe_plan(plan, cohort, *HOW)
    rendered = tuple(replace(recording, site="synthetic") for recording in cohort.recordings)
    noted = replace(cohort, recordings=rendered, notes=("test set: class 1 has 0 of 4",))
    text = describe_plan(plan, noted, *HOW)
    assert "note       test set: class 1 has 0 of 4\n" in text
    assert text.endswith("SYNTHETIC data: a rendered cohort, not patients")


def test_a_study_without_pictures_says_what_it_reads(study):
    plan, _ = study()
    head = {
        "modality": "landmarks",
        "model": LandmarkHeadConfig(),
        "optim": OptimConfig(epochs=1),
    }
    config = plan.config.model_copy(update=head)
    assert describe_frames(replace(plan, config=config), FORECAST) == (
        "landmarks of 20 recordings, no pictures"
    )
