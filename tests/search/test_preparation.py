import csv
import shutil

import pytest

from pdray.config import build
from pdray.data.cohort.manifest import load_manifest
from pdray.errors import DecodeError, ManifestError, SettingsError, StoreError
from pdray.search.plan import plan_study
from pdray.search.preparation import plan_preparation, run_preparation, verify_preparation
from pdray.search.settings import PrepareConfig, load_preparation

SIZE = {"height": 24, "width": 24}


@pytest.fixture
def plan(tiny_manifest, tmp_path):
    def make(**settings):
        manifest = tmp_path / "manifest.csv"
        if not manifest.exists():
            tiny_manifest(5)
        tree = {"data": {"manifest": str(manifest)}, "output": str(tmp_path / "out")}
        return plan_preparation(build(PrepareConfig, {**tree, "decode": SIZE, **settings}))

    return make


def nothing(done, total):
    pass


def test_a_study_of_the_same_settings_finds_what_was_prepared(plan, tmp_path):
    prepared = plan()
    study = plan_study(
        {
            "data": {"manifest": str(tmp_path / "manifest.csv")},
            "decode": SIZE,
            "snippet": {"num_frames": 32},
            "output": str(tmp_path / "out"),
        }
    )
    assert study.config.recipe == prepared.store.recipe
    assert prepared.store.root == study.config.output / "store"


def test_the_file_of_a_study_says_what_to_prepare(tmp_path):
    file = tmp_path / "study.yaml"
    file.write_text("modality: flow\nmodel: {depth: 10}\nspace: {}\ndecode: {height: 24}\n")
    config = load_preparation(["--config", str(file), "data.manifest=m.csv"], PrepareConfig)
    assert config.modalities == ("flow",)
    assert config.decode.height == 24
    assert load_preparation(["data.manifest=m.csv"], PrepareConfig).modalities == ("rgb",)
    both = load_preparation(["data.manifest=m.csv", "modalities=[rgb, mfcc]"], PrepareConfig)
    assert both.modalities == ("rgb", "mfcc")
    with pytest.raises(SettingsError, match="unknown key 'decoding'"):
        load_preparation(["data.manifest=m.csv", "decoding.height=3"], PrepareConfig)


@pytest.mark.parametrize("modality", ["rgb", "waveform"])
def test_a_copy_under_another_subject_is_refused_before_anything_is_decoded(
    plan, tmp_path, modality
):
    plan(modalities=["rgb"])
    shutil.copy(tmp_path / "videos" / "S00_left.mp4", tmp_path / "videos" / "S03_left.mp4")
    with pytest.raises(
        ManifestError, match=r"S03_left\.mp4 is of subject S03, and of S00 in row 2"
    ):
        plan(modalities=[modality])
    assert list((tmp_path / "out").rglob("*.arrow")) == []


def test_a_manifest_without_the_files_is_refused(plan):
    with pytest.raises(ManifestError, match="landmarks"):
        plan(modalities=["landmarks"])


def test_recordings_without_the_files_are_left_out_and_named(plan, write_manifest, tmp_path):
    with plan().config.data.manifest.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[2]["video"] = ""
    write_manifest(rows)
    preparation = plan()
    assert len(preparation.recordings) == 9
    assert preparation.notes == ("1 recordings without video are left out: S01_left",)


def test_what_could_not_be_read_is_no_fault_when_it_was_allowed(plan, tmp_path):
    preparation = plan(data={"manifest": str(tmp_path / "manifest.csv"), "max_decode_failures": 1})
    for recording in preparation.recordings[1:]:
        preparation.store.add(recording)
    first = preparation.recordings[0].recording_id
    table = tmp_path / "out" / "decode_failures.csv"
    table.write_text(f"recording_id,reason\n{first},is cut\n")
    told = verify_preparation(preparation, progress=nothing)
    assert (
        told
        == "verified   9 recordings: files and store entries are unchanged; 1 could not be read "
        "when prepared"
    )
    with pytest.raises(StoreError, match=f"recording {first}: is not prepared"):
        verify_preparation(plan(), progress=nothing)


def test_what_is_no_modality_is_refused():
    with pytest.raises(SettingsError, match=r"modalities\.0: got 'depth'"):
        build(PrepareConfig, {"data": {"manifest": "m.csv"}, "modalities": ["depth"]})
    with pytest.raises(SettingsError, match="modalities: got"):
        build(PrepareConfig, {"data": {"manifest": "m.csv"}, "modalities": []})


def test_verifying_reports_every_fault_at_once(plan):
    preparation = plan()
    for recording in preparation.recordings:
        preparation.store.add(recording)
    steps = []
    told = verify_preparation(preparation, progress=lambda *step: steps.append(step))
    assert told == "verified   10 recordings: files and store entries are unchanged"
    assert steps == [(number, 10) for number in range(1, 11)]
    first, second = preparation.recordings[:2]
    preparation.store.entry(first, "rgb").unlink()
    with second.video.open("ab") as file:
        file.write(b"more")
    with pytest.raises(StoreError) as caught:
        verify_preparation(preparation, progress=nothing)
    told = str(caught.value)
    assert f"recording {first.recording_id}: " in told
    assert f"recording {second.recording_id}: its video file has changed" in told


@pytest.mark.integration
@pytest.mark.filterwarnings("ignore")  # Ray warns about itself
def test_a_preparation_says_what_it_does_goes_on_and_stops_at_failures(plan, tmp_path):
    said = []
    broken = load_manifest(plan().config.data.manifest).recordings[3]
    whole = broken.video.read_bytes()
    preparation = plan()
    broken.video.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DecodeError, match=r"1 recordings cannot be read \(allowed: 0\)"):
        run_preparation(preparation, say=said.append, progress=nothing)
    table = tmp_path / "out" / "decode_failures.csv"
    with table.open(newline="") as file:
        assert [row[0] for row in csv.reader(file)] == ["recording_id", broken.recording_id]
    assert "10 recordings, about 0.00 GB (raw)" in said[0]
    assert "9 recordings, 0.00 hours" in said[-1]

    broken.video.write_bytes(whole)
    said.clear()
    told = run_preparation(plan(), say=said.append, progress=nothing)
    assert "rgb at 24x24: 1 recordings" in said[0]
    assert told.startswith("in store   10 recordings")
    assert not table.exists()
    run_preparation(plan(), say=said.append, progress=nothing)
    assert "all are in the store" in said[-1]
