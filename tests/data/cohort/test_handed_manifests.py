"""Manifests that the field made, read where they lie: each is refused with its cause."""

import shutil

import pytest

from pdray.data.cohort.manifest import load_manifest
from pdray.errors import ManifestError
from tests.places import FIELD

HANDED = {
    "manifests/leading_zero.csv": ["row 3: subject_id 'P1' looks like 'P01' of row 2"],
    "manifests/excel_error_and_precision.csv": [
        "row 2: subject_id '#N/A' names nobody", "row 3: subject_id '#REF!' names nobody",
        "row 4: subject_id '1.23457E+11' is a number that a spreadsheet has rounded",
        "row 6: subject_id '01-Feb' is a date", "row 7: subject_id 'NA' names nobody",
    ],
    "manifests/subject_facts_disagree.csv": [
        "row 3: sex 'M', but subject S1 is 'F' in row 2", "row 3: age -5 is outside 0..120",
        "row 3: diagnosis 'healthy', but subject S1 is 'PD' in row 2",
    ],
    "manifests/updrs_unable_101.csv": [
        "row 2: grade 101 is the code of MDS-UPDRS for 'unable to rate'; leave the cell empty",
    ],
    "manifests/numbers_python_only.csv": [
        "row 2: start_seconds '1_000' is not a finite number; write 1000",
        "row 3: start_seconds '\u0663' is not a finite number; write 3",
    ],
    "12_words_for_nobody/nobody.csv": [
        f"row {row}: subject_id '{word}' names nobody"
        for row, word in enumerate(["NaN", "NaN", "#N/A", "NULL", "None", "unknown"], start=2)
    ],
}  # fmt: skip


@pytest.fixture(autouse=True)
def handed():
    if not FIELD.is_dir():
        pytest.skip(f"the cases of the field are not at {FIELD}")


@pytest.mark.parametrize("name", HANDED)
def test_a_handed_manifest_is_refused_with_its_causes(name):
    with pytest.raises(ManifestError) as caught:
        load_manifest(FIELD / name, check_files=False)
    assert [told for told in HANDED[name] if told not in str(caught.value)] == []


@pytest.mark.parametrize("how", ["symlink_to", "hardlink_to"])
def test_a_handed_file_of_two_subjects_by_a_link_is_refused(tmp_path, how, numbered_video):
    name = "one_file_two_subjects_by_link.csv"
    shutil.copy(FIELD / "manifests" / name, tmp_path / name)
    numbered_video.rename(tmp_path / "a.mp4")
    getattr(tmp_path / "link_to_a.mp4", how)(tmp_path / "a.mp4")
    with pytest.raises(ManifestError, match=r"link_to_a\.mp4 is of subject S2, and of S1 in row 2"):
        load_manifest(tmp_path / name)
