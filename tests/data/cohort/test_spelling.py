"""Spellings that cannot mean two things, and those that look alike."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdray.data.cohort.spelling import look_alike_form, normal_form


@pytest.mark.parametrize(
    "spellings",
    [
        [
            "S01",
            "s01",
            "\uff33\uff10\uff11",
            "S\u200b01",
            "\ufeffS01",
            "S0\u2060\u20631",
            "S01\x00",
        ],
        ["P-1", "p\u20101", "P\u20131", "P\u22121", "P\ufe631", "P\u20121", "P\u02d71"],
        ["A 1", "A\u00a01", "A  1", "A\t1", "A\u20091", " A 1 "],
        ["\u00e9lan", "e\u0301lan", "E\u0301LAN", "e\u200d\u0301lan"],
        ["7", "7.0", "7.00", "\u0667", "\uff17"],
        ["Stra\u00dfe", "STRASSE", "strasse\ufe0f"],
    ],
)
def test_spellings_of_one_person_have_one_normal_form(spellings):
    assert len(set(map(normal_form, spellings))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("P1", "P01"), ("1", "0001"), ("S-7-003", "S-7-3"), ("PO1", "P01"), ("Sl1", "S11"),
        ("\u0420" "1", "P1"), ("\u03a1" "1", "P1"), ("\u0441\u043e" "1", "co1"),
        ("M\u00fc1", "Mu1"),
        ("P-01", "P1"), ("P 1", "P_01"), ("P.1", "P1"),
    ],
)  # fmt: skip
def test_what_looks_alike_differs_in_its_normal_form(one, other):
    assert normal_form(one) != normal_form(other)
    assert look_alike_form(one) == look_alike_form(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("P1", "1"), ("P1", "C1"), ("S-1-12", "S-11-2"), ("P10", "P1"), ("P1.0", "P10"), ("L1", "11")],
)
def test_what_is_said_differently_stays_different(one, other):
    assert look_alike_form(one) != look_alike_form(other)


@given(st.text(max_size=12))
def test_a_normal_form_is_its_own_and_survives_what_editors_do(text):
    form = normal_form(text)
    assert normal_form(form) == form
    for rule in ("NFC", "NFD", "NFKC", "NFKD"):
        assert normal_form(unicodedata.normalize(rule, text)) == form
    assert normal_form(f"\ufeff {text}\u200b\u00a0") == form
