"""Cells of a manifest: what each column takes, and what is refused with its likely cause."""

import pytest

from pdray.data.cohort.manifest import load_manifest, select
from pdray.data.cohort.rows import NUMBERS, WORDS
from pdray.data.cohort.unable import unable_notes
from pdray.errors import ManifestError

ROW = {"recording_id": "r1", "subject_id": "S1", "item": "gait"}


@pytest.fixture
def load(write_manifest):
    def load_row(**cells):
        (recording,) = load_manifest(write_manifest([{**ROW, **cells}])).recordings
        return recording

    return load_row


@pytest.mark.parametrize(
    ("cell", "cause"),
    [
        *(
            (word, "names nobody: it is what tables write")
            for word in ("NaN", "#N/A", "#REF!", "#NAME?", "#VALUE!", "NULL", "None", "unknown",
                         "NA", "n/a", "<NA>", "NaT", "-", "???", "N\u200ba\u200bN", "\uff2e\uff21",
                         "#DIV/0!", "Unbekannt")
        ),
        *(
            (number, "is a number that a spreadsheet has rounded")
            for number in ("1.23457E+11", "1,23457E+11", "1e+16", "9.8E-05")
        ),
        *(
            (date, "is a date: a spreadsheet has made it")
            for date in ("01-Feb", "1-Feb", "Feb-01", "01-Mrz", "01. Feb", "2024-02-01",
                         "2024-02-01 00:00:00", "01.02.1950", "3/4/2021")
        ),
        *(
            (name, "looks like a person's name or e-mail address (not repeated here)")
            for name in ("jane.doe@clinic.org", "Doe, Jane", "D\u00f6ring-M\u00fcller, Anna Maria")
        ),
        ("\u200b", "holds no letter that can be seen"),
    ],
)  # fmt: skip
def test_what_names_nobody_or_somebody_is_refused_as_subject(load, cell, cause):
    with pytest.raises(ManifestError) as caught:
        load(subject_id=cell)
    text = str(caught.value)
    assert f"row 2: subject_id {cause}" in text or cause in text
    assert "Jane" not in text
    assert "jane" not in text


@pytest.mark.parametrize(
    "cell",
    ["1E5", "12E4", "MAR-01", "DEC01", "01-02-03", "1001-01-02", "S.1.2", "na1", "Nan1", "000123",
     "unknown1", "A,1", "S 1", "-x_1", "(1)"],
)  # fmt: skip
def test_odd_pseudonyms_are_taken_as_they_stand(load, cell):
    assert load(subject_id=cell).subject_id == cell


@pytest.mark.parametrize("column", ["recording_id", "subject_id", "visit_id"])
@pytest.mark.parametrize(
    ("cell", "sign", "right"),
    [
        ("12/3", "/", "12-3"),
        ("a\\b", r"\\", "a-b"),
        ("a..b", "..", "a-b"),
        ("<b>S1</b>", "<", "b-S1-b"),
        ("=1+1", "=", "1-1"),
        ("@S1", "@", "S1"),
        ("S\t1", r"\t", "S-1"),
        ("S\x851", r"\x85", "S-1"),
        ("S\u202e1", r"\u202e", "S-1"),
    ],
)
def test_an_id_that_is_no_word_is_refused_with_the_id_to_write(load, column, cell, sign, right):
    with pytest.raises(ManifestError) as caught:
        load(**{column: cell})
    told = f"row 2: {column} {cell!r} holds '{sign}'; write it with letters, digits, '_', '-' and "
    assert f"{told}'.' alone, such as {right!r}" in str(caught.value)


def test_absent_words_are_no_visit_and_no_site(load):
    for name in ("visit_id", "recording_id"):
        with pytest.raises(ManifestError, match=f"row 2: {name} 'NaN' names nobody"):
            load(**{name: "NaN"})
    for name in ("site", "diagnosis", "recording_protocol", "sex", "split"):
        with pytest.raises(ManifestError, match=f"row 2: {name} '#REF!' is what tables write for"):
            load(**{name: "#REF!"})
    assert load(site="unknown", diagnosis="none").diagnosis == "none"


@pytest.mark.parametrize("column", NUMBERS)
@pytest.mark.parametrize(
    "cell", ["1_000", "\u0663", "\uff13", "1'000", "inf", "0x10", "1e999", "3 "]
)
def test_only_plain_numbers_are_numbers(load, column, cell):
    with pytest.raises(ManifestError, match=rf"row 2: {column} .* (is not a finite|has spaces)"):
        load(**{column: cell})


def test_a_number_that_is_written_otherwise_is_shown_as_it_should_be(load):
    for cell, right in (("63,5", "63.5"), ("1_000", "1000"), ("\u0663", "3")):
        with pytest.raises(ManifestError, match=f"is not a finite number; write {right}"):
            load(visit_score=cell)
    assert load(visit_score="1e1").visit_score == 10.0


@pytest.mark.parametrize(
    ("column", "cells", "refused"),
    [
        ("age", {"0": 0, "120": 120, "63.5": 63.5}, ["121", "-1"]),
        ("hoehn_yahr", {"0": 0, "1.5": 1.5, "5.0": 5}, ["6", "3.5", "-1"]),
        ("disease_years", {"0": 0, "11.5": 11.5}, ["130", "-2"]),
        ("hours_since_dose", {"0.5": 0.5, "720": 720}, ["721", "-1"]),
    ],
)
def test_numbers_have_ranges(load, column, cells, refused):
    for cell, value in cells.items():
        assert getattr(load(**{column: cell}), column) == value
    for cell in refused:
        with pytest.raises(ManifestError, match=rf"row 2: {column} {cell} is (outside|not) "):
            load(**{column: cell})


def test_words_are_kept_in_their_one_form(load):
    for column, words in WORDS.items():
        for word, others in words.items():
            for spelling in (word, word.upper(), f"{word[0]}\u200b{word[1:]}", *others):
                assert getattr(load(**{column: spelling}), column) == word
        with pytest.raises(
            ManifestError, match=rf"row 2: {column} 'perhaps' is not {next(iter(words))}"
        ):
            load(**{column: "perhaps"})
    assert (
        load(medication_state="ON-med", recording_protocol="phone on a tripod").is_unable is False
    )


@pytest.mark.parametrize(
    "item",
    ["speech", "facial_expression", "arising", "freezing", "postural_stability", "rest_tremor",
     "tremor_constancy"],
)  # fmt: skip
def test_items_of_the_scale_are_rated_0_to_4(load, item):
    assert load(item=item, grade="4").grade == 4
    with pytest.raises(ManifestError, match=rf"grade 5 is outside 0\.\.4 for item {item}"):
        load(item=item, grade="5")


def test_rest_tremor_has_more_places_than_other_items(load):
    for side in ("left", "right", "left_leg", "right_leg", "lip_jaw"):
        assert load(item="rest_tremor", side=side).side == side
    with pytest.raises(ManifestError, match="row 2: side 'lip_jaw' is not left or right"):
        load(side="lip_jaw")
    with pytest.raises(ManifestError, match="'Left' is not left or right; write 'left'"):
        load(side="Left")
    with pytest.raises(ManifestError, match="is not left, right, left_leg, right_leg or lip_jaw"):
        load(item="rest_tremor", side="chin")
    with pytest.raises(ManifestError, match="item 'Gait' is unknown: write 'gait'"):
        load(item="Gait")


@pytest.mark.parametrize("cell", ["101", "101.0", "UR", "ur"])
@pytest.mark.parametrize("column", ["grade", "rater_1"])
def test_the_code_of_unable_to_rate_is_explained(load, cell, column):
    with pytest.raises(
        ManifestError, match=r"is the code of MDS-UPDRS for 'unable to rate'; leave "
    ):
        load(**{column: cell})
    assert load(item="action", grade="101").grade == 101


def test_who_cannot_be_rated_takes_no_part_and_is_counted(write_manifest):
    def row(number, **cells):
        return {"recording_id": f"r{number}", "subject_id": f"S{number}", "item": "gait", **cells}

    off, unable = {"medication_state": "off"}, {"grade_status": "unable"}
    rows = [
        row(1, grade=2, site="A"), row(2, site="A", **off, **unable), row(3, site="B"),
        row(4, item="arising", site="B", stimulation_state="on", **off, **unable),
        row(5, item="arising", **unable), row(6, grade=0, grade_status="rated"),
    ]  # fmt: skip
    manifest = load_manifest(write_manifest(rows))
    usable, lacking = select(manifest, items=None, needs=("grade",))
    assert [one.recording_id for one in usable] == ["r1", "r6"]
    assert lacking == {"grade": ["r3"]}
    assert len(select(manifest, items=None, needs=())[0]) == 6
    (note,) = unable_notes(manifest.recordings, None)
    assert note.startswith(
        "3 of 6 recordings could not be rated and take no part: arising 2, gait 1; medication off "
        "1, medication off and stimulation on 1, no state given 1; A 1, B 1, no site given 1. Who"
    )
    assert unable_notes(manifest.recordings, ["gait"])[0].startswith("1 of 4 recordings")
    assert unable_notes(usable, None) == []
    with pytest.raises(ManifestError, match="row 2: grade 2, but grade_status is unable"):
        load_manifest(write_manifest([row(1, grade=2, **unable)]))
