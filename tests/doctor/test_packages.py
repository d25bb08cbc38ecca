"""What the doctor says of packages, extras and FFmpeg."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from pdray.doctor.packages import decoders, extras, look_at_packages, packages, pinned
from tests.places import ROOT

WANTED = [
    Requirement(text)
    for text in (
        "torch>=2.11",
        "ray[tune]<2.62,>=2.60",
        'opencv>=4; extra == "flow"',
        'transformers>=5; extra == "audio"',
        'pytest>=9; extra == "dev"',
    )
]


@pytest.mark.parametrize(
    ("installed", "state", "told"),
    [
        ({"torch": "2.13.0+cpu", "ray": "2.60.0"}, "ok", "2 packages are there, each of the"),
        ({"torch": "2.12.0", "ray": "2.60.0"}, "warning", "torch 2.12.0 (tested: 2.13.0)"),
        ({"torch": "2.13.0", "ray": "2.62.1"}, "fault", "ray 2.62.1 (<2.62,>=2.60 is needed)"),
        ({"ray": "2.60.0"}, "fault", "torch is missing (>=2.11 is needed)"),
    ],
)
def test_versions_are_compared_with_what_is_accepted_and_what_was_tested(
    installed: Mapping[str, str], state: str, told: str
) -> None:
    line = packages(WANTED, installed, {"torch": "2.13.0", "ray": "2.60.0"})
    assert (line.state, told in line.told) == (state, True), line


def test_the_pinned_versions_are_those_of_the_checkout(tmp_path: Path) -> None:
    assert len(pinned(ROOT / "constraints.txt")) > 100
    assert pinned(tmp_path / "absent") == {}  # a wheel


def test_extras_are_there_whole_or_are_named_with_how_to_get_them() -> None:
    line = extras(WANTED, {"opencv": "4.14"})
    assert line.told == "installed: flow; not installed: audio"
    assert "pip install -c constraints.txt -e '.[audio]'" in line.way
    assert extras(WANTED, {"opencv": "4", "transformers": "5"}).way == ""


def test_what_ffmpeg_cannot_decode_is_named() -> None:
    found = {line.topic: line for line in look_at_packages()}
    assert found["FFmpeg"].state == "ok"
    assert found["FFmpeg"].told.endswith("decodes H.264, HEVC, VP9, AV1")
    line = decoders({"h264", "av1"}.__contains__)  # FFmpeg's own AV1 needs a graphics card
    assert (line.state, line.told[-28:]) == ("warning", "H.264, and not HEVC, VP9, AV1"[-28:])
    assert decoders(lambda name: False).state == "fault"
