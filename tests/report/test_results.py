"""Every number of a report is right, and a changed digit is found."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pdray.report.case import read_case
from pdray.report.figures import FIGURES
from pdray.report.methods import methods_text
from pdray.report.results import results_of
from pdray.report.words import cohort_words, error_words, first_sentence, uncertainty_words
from pdray.tracking.run_log import StudyLog
from tests.report.checker import check_results, numbers_in
from tests.report.fixture import make_study

KINDS: dict[str, dict[str, Any]] = {
    "two classes": {},
    "five classes, raters, states": {"classes": 5, "raters": 2, "states": True, "people": 30},
    "nested": {"protocol": "nested"},
    "repeated": {"protocol": "repeated"},
}


def written(study: StudyLog, results: object) -> Path:
    file = study.folder / "report" / "results.json"
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(results), encoding="utf-8")
    return study.folder


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_is_right(kind: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, **KINDS[kind])
    assert check_results(written(study, results_of(read_case(study)))) == []


@pytest.mark.parametrize("kind", ["two classes", "nested"])
def test_a_changed_digit_fails(kind: str, tmp_path: Path) -> None:
    study = make_study(tmp_path, **KINDS[kind])
    results = results_of(read_case(study))
    places = [path for path, _ in numbers_in(results) if path[0] != "numbers"]
    # One number of each part of the evaluation stands for the others, which are checked alike.
    tables = {one["table"]: place for place, one in enumerate(results["numbers"])}
    places += [("numbers", place, name) for place in tables.values() for name in ("value", "low")
               if results["numbers"][place][name] is not None]  # fmt: skip
    assert len(places) > 30
    unseen = []
    for *path, last in places:
        holder: Any = results
        for key in path:
            holder = holder[key]
        kept = holder[last]
        holder[last] = kept + 1 if isinstance(kept, int) else kept + 0.001
        if not check_results(written(study, results)):
            unseen.append((*path, last))
        holder[last] = kept
    assert unseen == []


def test_recordings_that_name_nobody_are_not_called_people(tmp_path: Path) -> None:
    results = results_of(read_case(make_study(tmp_path)))
    assert first_sentence(results).startswith("SYNTHETIC data: on 8 people (16 recordings) whom ")
    told = first_sentence({**results, "has_subjects": False})
    assert told.startswith("SYNTHETIC data: on 16 recordings that name no people, so that a person")
    unnamed = {**results, "has_subjects": False}
    assert "each counts as one person" in " ".join(cohort_words(unnamed))
    assert "People, not recordings" not in " ".join(uncertainty_words(unnamed))


def test_captions_and_methods_count_no_people_where_none_are_named(tmp_path: Path) -> None:
    case = read_case(make_study(tmp_path, raters=2))
    assert case.names_people
    assert case.cohort is not None
    cohort = case.cohort.assign(subject_id=case.cohort["recording_id"])
    unnamed = replace(case, cohort=cohort)
    for one in FIGURES.values():
        if one.caption(case).count("subjects, "):
            assert "which name no people" in one.caption(unnamed)
    assert "which name no people, were analysed" in " ".join(methods_text(unnamed).split())


def test_repeats_and_chosen_decisions_are_told_as_they_are(tmp_path: Path) -> None:
    case = read_case(make_study(tmp_path, protocol="repeated"))
    chosen = {"evaluation": {"interval": "percentile"}, "decision": {"threshold": "mcc"}}
    results = results_of(replace(case, settings={**case.settings, **chosen}))
    errors = " ".join(error_words(results))
    assert "of 96 scorings of recordings got the right class" in errors
    assert "without the chosen decision" in errors
    assert "without the chosen decision" not in " ".join(error_words(results_of(case)))
    # Intervals of a procedure are made by one method, whatever the settings.
    assert "jackknife" in " ".join(uncertainty_words(results))
