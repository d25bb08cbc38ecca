"""Intensities of visits: what is measured, who is refused, and what is absent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pdray.atomic import file_digest
from pdray.config import load
from pdray.data.cohort.manifest import load_manifest
from pdray.data.face.intensities import Intensities, read_intensities
from pdray.errors import PdrayError, StudyError
from pdray.evaluation.predictions import by_recording, read_predictions
from pdray.predict.intensities import extract_intensities
from pdray.predict.intensity_settings import ExtractIntensitiesConfig
from pdray.predict.learnt import find_learnt
from pdray.predict.models import find_models
from pdray.predict.posed_visits import find_visits
from pdray.predict.studied import open_study
from pdray.tracking.run_log import StudyLog

# Fold 0 of the study did not learn from these two of six people.
UNSEEN, SEEN = ("S001", "S002"), "S004"
Write = Callable[..., Path]


@pytest.fixture
def study(study_of: Callable[[str], StudyLog]) -> StudyLog:
    return study_of("expression_clip")


@pytest.fixture
def clips(faces: Path, write_manifest: Write) -> Callable[..., Path]:
    """Return a function that writes a manifest: of each person a video of each expression."""

    def write(people: tuple[str, ...] = UNSEEN, **changes: object) -> Path:
        known = {one.subject_id: one for one in load_manifest(faces).recordings}
        rows = [
            {"recording_id": f"{name}_{what}", "subject_id": name, "visit_id": "V1",
             "item": f"expression_{what}", "grade": "1", "sex": "female",
             "video": str(known[name].video)}
            for name in people for what in ("neutral", "happiness")
        ]  # fmt: skip
        return write_manifest(pd.DataFrame(rows).assign(**changes).to_dict("records"))

    return write


def measure(study: StudyLog, manifest: Path, *words: str) -> tuple[str, pd.DataFrame]:
    """Run the job; return its words and the new manifest."""
    output = manifest.with_name("visits.csv")
    told = [f"study={study.folder}", f"manifest={manifest}", f"output={output}", "model=fold:0"]
    config = load(ExtractIntensitiesConfig, [*told, *words])
    text = extract_intensities(config, lambda _: None)
    return text, pd.read_csv(output, dtype=str, keep_default_na=False)


def test_a_rectangle_is_of_a_video_and_not_of_its_visit(clips: Callable[..., Path]) -> None:
    visits, columns = find_visits(clips(crop="0 0 16 24"), ("neutral", "happiness"), "refuse")
    assert {one.crop for visit in visits for one in visit.recordings} == {(0, 0, 16, 24)}
    assert "sex" in columns
    assert "crop" not in columns


def read(manifest: Path, name: str = "S001_V1") -> Intensities:
    return read_intensities(manifest.parent / "visits.intensities" / f"{name}.npz")


def test_cosines_are_those_of_the_evaluation_and_the_manifest_opens(
    study: StudyLog, clips: Callable[..., Path], tmp_path: Path
) -> None:
    manifest, stale = clips(), tmp_path / "visits.lacks.csv"
    stale.touch()  # of an earlier run, which lacked videos
    words, rows = measure(study, manifest)
    assert not stale.exists()
    assert rows.columns.tolist() == [
        "recording_id", "subject_id", "visit_id", "item", "grade", "intensities", "sex",
    ]  # fmt: skip
    assert rows["grade"].tolist() == ["1", "1"]
    recordings = load_manifest(manifest.with_name("visits.csv")).recordings
    assert [one.item for one in recordings] == ["expressions"] * 2
    table = by_recording(read_predictions(study.trial(0).predictions_path)).set_index("subject_id")
    one = read(manifest)
    np.testing.assert_array_equal(one.cosines[0], one.cosines[1])  # of the same video
    shares = np.exp(one.log[0] - one.log[0].max())
    expected = table.loc["S001", ["probability_0", "probability_1"]].astype(float)
    np.testing.assert_allclose(shares / shares.sum(), expected, atol=1e-3)
    assert one.classes == ("neutral", "happiness")
    assert len(one.learnt_subjects) == 4
    assert "SYNTHETIC" in words
    assert "a low intensity is no diagnosis" in words
    numbers = pd.read_csv(manifest.with_name("visits.table.csv"))
    np.testing.assert_allclose(numbers.loc[:1, ["neutral", "happiness"]], one.log, rtol=1e-5)
    assert not [*manifest.parent.glob(".visits*")]  # no frame of a patient stays


@pytest.mark.parametrize(
    ("people", "changes", "words", "told"),
    [
        ((SEEN,), {}, (), "visit S004_V1: is of its subject S004, by its id"),
        ((SEEN,), {}, ("other_people=true",), "by the content of its file"),
        ((SEEN,), {"subject_id": "X9"}, (), "visit X9_V1: is of its subject S004, by the content"),
        ((SEEN,), {"end_seconds": "0.5"}, ("other_people=true",), "by the content of its file"),
    ],
)
def test_people_that_the_network_learnt_from_are_refused_whatever_their_name(
    study: StudyLog, clips: Callable[..., Path],
    people: tuple[str, ...], changes: dict[str, str], words: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    manifest = clips(people, **changes)
    with pytest.raises(PdrayError, match=told):
        measure(study, manifest, *words)
    assert not {*manifest.parent.iterdir()} - {manifest}


def test_people_of_the_study_that_trained_its_first_weights_are_refused_too(
    study: StudyLog, network_study: StudyLog, faces: Path
) -> None:
    studied = open_study(study.folder)
    (model,) = find_models(studied, "fold:0")
    start = {"pretrained": network_study.winner.model_path}
    found = find_learnt(replace(studied, config=studied.config.model_copy(update=start)), model)
    row = load_manifest(faces).recordings[1]  # S002, whom fold 0 did not learn
    for learnt, known in ((find_learnt(studied, model), None), (found, ("S002", "by its id"))):
        assert learnt.subject_of(row, (), other_people=False) == known
    contents = [file_digest(file) for file in (row.video,) if file]
    told = found.subject_of(row, contents, other_people=True)
    assert told == ("S002", "by the content of its file")


def test_a_network_is_refused_if_the_files_of_some_it_learnt_from_are_unknown(
    study: StudyLog,
) -> None:
    studied = open_study(study.folder)
    (model,) = find_models(studied, "fold:0")
    missing = min(model.learnt)
    for known in ("subject_of_digest", "subject_of_entry"):
        of_file = getattr(studied, known)
        others = {file: name for file, name in of_file.items() if name != missing}
        studied.__dict__[known] = others  # as if the store had lost their entries
    told = f"the files of 1 of the {len(model.learnt)} subjects that its network learnt from"
    with pytest.raises(StudyError, match=told):
        find_learnt(studied, model)


def test_an_absent_video_is_absent_and_not_zero(
    study: StudyLog, clips: Callable[..., Path], write_manifest: Write
) -> None:
    rows = pd.read_csv(clips(start_seconds=["50", "", "", ""]), dtype=str).fillna("")
    manifest = write_manifest(rows.drop(index=3).to_dict("records"))
    words, _ = measure(study, manifest, "items=[happiness,neutral]")
    first, second = read(manifest), read(manifest, "S002_V1")
    assert first.items == ("expression_happiness", "expression_neutral")
    assert first.is_present.tolist() == [True, False]  # in the order of items
    assert np.isnan(first.cosines[1]).all()
    assert second.is_present.tolist() == [False, True]
    assert "2 measured; 2 absent" in words
    lacks = pd.read_csv(manifest.with_name("visits.lacks.csv"))
    assert lacks["why"].str.contains("no recording").tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "words", "told"),
    [
        ({"visit_id": ""}, (), "row 2: recording S001_neutral has no visit_id"),
        ({"item": "expression_neutral"}, (),
         "row 3: recordings S001_neutral and S001_happiness are both of expression_neutral"),
        ({"item": "gait"}, (), "none of its 4 recordings is of expression_neutral"),
        ({}, ("items=[anger,neutral]",), "has no phrase of anger; choose of neutral, happiness"),
        ({}, ("items=[neutral]",), "give two or more, since only differences"),
        ({}, ("expressions=[happiness,neutral]",),
         "class 0 is happiness, and its phrase is that of neutral"),
        ({}, ("expressions=[neutral]",), "got 1 for the 2 classes"),
        ({}, ("items=[joy,neutral]",), "'joy' is none of neutral"),
    ],
)  # fmt: skip
def test_visits_that_cannot_be_put_together_are_refused(
    study: StudyLog, clips: Callable[..., Path],
    changes: dict[str, str], words: tuple[str, ...], told: str,
) -> None:  # fmt: skip
    with pytest.raises(PdrayError, match=told):
        measure(study, clips(**changes), *words)


def test_repeats_are_averaged_and_facts_that_differ_stay_empty(
    study: StudyLog, clips: Callable[..., Path]
) -> None:
    manifest = clips(
        item="expression_neutral", grade=["0", "1", "1", "1"], sex=["female", "", "male", "male"],
        medication_state=["on", "off", "on", "on"],
    )  # fmt: skip
    words, rows = measure(study, manifest, "repeats=mean")
    assert rows["grade"].tolist() == ["", "1"]
    assert rows["sex"].tolist() == ["female", "male"]
    assert rows["medication_state"].tolist() == ["", "on"]
    assert "medication_state differs between the videos of 1 visits" in words


def test_a_repeat_that_cannot_be_read_and_ratings_that_differ_are_told(
    study: StudyLog, clips: Callable[..., Path], write_manifest: Write
) -> None:
    manifest = clips(item="expression_neutral", start_seconds=["", "50", "", ""])
    rows = pd.read_csv(manifest, dtype=str).fillna("")
    rated = [
        {**rows.iloc[2].to_dict(), "recording_id": f"S002_{grade}", "item": "facial_expression",
         "grade": grade}
        for grade in "23"
    ]  # fmt: skip
    manifest = write_manifest([*rows.to_dict("records"), *rated])
    words, visits = measure(study, manifest, "repeats=mean")
    assert "2 measured; 2 absent" in words
    lacks = pd.read_csv(manifest.with_name("visits.lacks.csv"))
    assert lacks["expression"].tolist() == ["neutral", "happiness", "happiness"]
    assert "its intensities are the mean of the others" in lacks.loc[0, "why"]
    assert lacks.loc[0, "why"].startswith("S001_happiness: ")
    assert visits["grade"].tolist() == ["1", ""]
    assert "1 visits have no grade: their rows of item facial_expression have several" in words


def test_a_study_of_another_model_has_no_phrases(
    network_study: StudyLog, clips: Callable[..., Path]
) -> None:
    with pytest.raises(PdrayError, match="its model tsa has no phrases; use a study"):
        measure(network_study, clips())
