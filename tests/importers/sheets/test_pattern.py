from pathlib import PurePath

import pytest

from pdray.importers.sheets.pattern import NamePattern

PATTERN = "{subject_id}_visit{visit_id}_{item}_{side}"


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        (PATTERN, "P012_visit2_fingertap_L.mp4", ["P012", "2", "fingertap", "L"]),
        (PATTERN, "a/b/P012_VISIT2_finger_tap_L.MOV", ["P012", "2", "finger_tap", "L"]),
        (f"{PATTERN}.mp4", "P-1_visit2.5_gait_R.mp4", ["P-1", "2.5", "gait", "R"]),
        ("{subject_id}/V{visit_id}/*-{item} {side}", "x/P1/V2/cam3-gait L.mp4",
         ["P1", "2", "gait", "L"]),
        ("{subject_id}{item}", "P_012gait.mp4", ["P", "_012gait"]),
        (PATTERN, "P012_visit2_fingertap.mp4", None),
        (PATTERN, "P_012_visit2_gait_L.mp4", None),
        (PATTERN, "P012_visit2_gait_L_x.mp4", ["P012", "2", "gait_L", "x"]),
        ("{subject_id}/{item}", "P012_gait.mp4", None),
    ],
)  # fmt: skip
def test_a_name_is_taken_apart_at_the_signs_of_the_pattern(pattern, path, found):
    reader = NamePattern(pattern)
    matched = reader.match(PurePath(path))
    assert matched == (None if found is None else dict(zip(reader.fields, found, strict=True)))


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("P012_visit2_gait.mp4", "'P012_visit2_gait' fits up to 'P012_visit2_': {item}_{side} is"),
        ("IMG_0001.mp4", "'IMG_0001' does not begin as it should: {subject_id}_visit{visit"),
    ],
)
def test_it_says_how_far_a_name_fits(path, told):
    assert NamePattern(PATTERN).reach(PurePath(path)).startswith(told)
