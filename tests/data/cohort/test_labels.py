"""What is learnt with ``data.target=diagnosis``: ill or healthy, by the manifest's column."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pdray.config import build
from pdray.data.cohort.manifest import Manifest, load_manifest, open_manifest
from pdray.data.cohort.members import make_cohort, split_subjects, usable
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.errors import FoldsError, ManifestError, SettingsError

DIAGNOSES = ("HC", "PD", "Healthy control", "MSA", "", "PD")
Write = Callable[..., Path]


def write(write_manifest: Write, diagnoses: tuple[str, ...] = DIAGNOSES, **cells: Any) -> Path:
    """Write 12 subjects with the diagnoses in turn, grades from 0 to 4, and an unable one."""
    rows = [
        {
            "recording_id": f"r{number:02d}", "subject_id": f"S{number:02d}",
            "item": "expression_anger", "grade": "" if number == 3 else number % 5,
            "rater_1": "" if number == 3 else number % 5,
            "grade_status": "unable" if number == 3 else "",
            "diagnosis": diagnoses[number % len(diagnoses)], "video": f"{number}.mp4",
            **{name: cell(number) if callable(cell) else cell for name, cell in cells.items()},
        }
        for number in range(12)
    ]  # fmt: skip
    return write_manifest(rows)


def opened(path: Path, **data: Any) -> tuple[Manifest, DataConfig]:
    config = build(DataConfig, {"manifest": str(path), **data})
    return open_manifest(config, check_files=False), config


def test_a_diagnosis_stands_in_the_place_of_the_grade(write_manifest: Write) -> None:
    path = write(write_manifest)
    manifest, config = opened(path, target="diagnosis")
    assert config.grade_cuts == (1,)
    assert [one.grade for one in manifest.recordings] == [0, 1, 0, 1, None, 1] * 2
    assert {one.raters for one in manifest.recordings} == {()}
    assert manifest.notes[-1] == (
        "the classes are those of the diagnosis: healthy (HC, Healthy control) and ill (MSA, PD); "
        "grades are not used"
    )
    split = FoldsConfig(num_outer=2, num_folds=2)
    cohort = make_cohort(manifest, config, split, needs=("rgb",))
    # Who could not be rated has a diagnosis and takes part; who has none does not.
    assert "r03" in {one.recording_id for one in cohort.recordings}
    assert cohort.lacking["diagnosis"] == ["r04", "r10"]
    assert not any("could not be rated" in note for note in cohort.notes)
    assert cohort.table().groupby("diagnosis")["target"].unique().map(list).to_dict() == {
        "HC": [0], "Healthy control": [0], "MSA": [1], "PD": [1],
    }  # fmt: skip
    settings = {"data.target": "diagnosis", "folds.num_outer": 2, "folds.num_folds": 2}
    alike = split_subjects(load_manifest(path, check_files=False), settings)
    assert alike.table().equals(cohort.table())


def test_grades_are_learnt_unless_the_diagnosis_is_asked_for(write_manifest: Write) -> None:
    manifest, config = opened(write(write_manifest))
    assert manifest == load_manifest(manifest.path, check_files=False, digests=manifest.digests)
    assert [one.grade for one in manifest.recordings][:5] == [0, 1, 2, None, 4]
    cohort = make_cohort(manifest, config, FoldsConfig(num_outer=2, num_folds=2), needs=("rgb",))
    assert any("MDS-UPDRS item 3.2" in note and "a proxy" in note for note in cohort.notes)
    gait, config = opened(write(write_manifest, item="gait"))
    cohort = make_cohort(gait, config, FoldsConfig(num_outer=2, num_folds=2), needs=("rgb",))
    assert not any("proxy" in note for note in cohort.notes)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"grade_cuts": [2]}, r"grade_cuts \[2\] cut grades, but target is diagnosis, whose class"),
        ({"items": ["action"]}, "target diagnosis has no meaning for item action"),
    ],
)
def test_settings_that_fit_no_diagnosis_are_refused(data: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        build(DataConfig, {"manifest": "m.csv", "target": "diagnosis", **data})


@pytest.mark.parametrize(
    ("diagnoses", "cells", "target", "message"),
    [
        (("PD", "MSA"), {}, "diagnosis", r"all 12 recordings are of ill subjects \(column "
         r"diagnosis: MSA, PD\); add the others \(healthy is one of: control, hc, healthy,"),
        (("HC",), {}, "diagnosis", r"all 12 recordings are of healthy subjects \(column diagnosis: "
         r"HC\)"),
        (("",), {}, "diagnosis", "12 have no diagnosis"),
        (("HC", "PD"), {"grade": "", "rater_1": "", "grade_status": ""}, "grade",
         "12 have no grade.*to learn who is ill, set data.target=diagnosis"),
        (("HC", "PD"), {"grade": lambda number: number % 2, "grade_status": ""}, "grade",
         "the 6 recordings of healthy people have grade 0 and the 6 of ill people grade 1, which"),
    ],
)  # fmt: skip
def test_a_cohort_without_both_labels_is_refused_with_the_way_out(
    write_manifest: Write, diagnoses: tuple[str, ...], cells: dict[str, Any], target: str,
    message: str,
) -> None:  # fmt: skip
    manifest, config = opened(write(write_manifest, diagnoses, **cells), target=target)
    with pytest.raises((ManifestError, FoldsError), match=message):
        usable(manifest, config, ("rgb",))
