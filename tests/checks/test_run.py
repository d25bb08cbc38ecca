import json
import re
from pathlib import Path
from typing import Any

import pytest

from pdray.checks import CHECKS, Check
from pdray.checks.case import Case
from pdray.checks.finding import Finding
from pdray.checks.run import findings_text, read_findings, run_checks, write_findings
from pdray.search.settings import ChecksConfig
from tests.checks.cases import cohort_of, make_case
from tests.places import ROOT

PAGES = ROOT / "docs" / "reference" / "checks"


def warns(case: Case) -> Finding:
    return Finding(
        state="warning", looked_at="rows", found="2 of 3", sure="exact", advice="mend it",
        numbers={"share": 2 / 3, "none": float("nan")},
    )  # fmt: skip


def breaks(case: Case) -> Finding:
    raise OSError("/Roe/video.mp4 cannot be read")


def test_every_check_has_its_page_and_every_page_its_check() -> None:
    pages = {path.stem: path.read_text(encoding="utf-8") for path in PAGES.glob("PDR*.md")}
    assert sorted(pages) == sorted(CHECKS)
    for code, text in pages.items():
        assert text.startswith(f"# {code}: {CHECKS[code].title}\n")
        listed = (PAGES / "index.md").read_text(encoding="utf-8")
        assert f"[{code}]({code}.md) | {CHECKS[code].title} |" in listed
        for part in ("looks at", "warns", "sure", "do"):
            assert re.search(rf"^## .*\b{part}\b", text, re.MULTILINE | re.IGNORECASE), (code, part)


def test_no_check_breaks_where_a_study_has_left_nothing(tmp_path: Path) -> None:
    for number, splits in enumerate((1, 3)):
        held = [[f"S{s:03d}" for s in range(24) if s // 2 % 6 == fold] for fold in range(splits)]
        case = make_case(tmp_path / str(number), cohort_of(24), held=held)
        for one in run_checks(case, {}):
            assert "the check ended with" not in one.found, one
            assert one.found, one.code
            assert one.state != "warning" or (one.looked_at and one.sure and one.advice), one.code


def test_a_check_that_fails_ends_nothing_and_shows_no_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "pdray.checks.run.CHECKS",
        {
            "PDR902": Check("breaks", f"{__name__}:breaks"),
            "PDR901": Check("warns", f"{__name__}:warns"),
            "PDR903": Check("is muted", f"{__name__}:breaks"),
        },
    )
    case = make_case(tmp_path, cohort_of(12))
    found = run_checks(case, {"PDR903": "pilot study"})
    assert [(one.code, one.state) for one in found] == [
        ("PDR901", "warning"), ("PDR902", "unknown"), ("PDR903", "muted"),
    ]  # fmt: skip
    text = findings_text(found)
    assert text.splitlines() == [
        "Checks: 1 warning, 1 unknown, 1 muted",
        "PDR901 warning (warns)",
        "  looked at: rows",
        "  found: 2 of 3",
        "  sure: exact",
        "  do: mend it",
        "PDR902 unknown (breaks): the check ended with OSError",
        "PDR903 muted (is muted): pilot study",
    ]
    write_findings(tmp_path, found)
    again = read_findings(tmp_path)
    assert [one.code for one in again] == ["PDR901", "PDR902", "PDR903"]
    assert again[0].numbers == {"share": 2 / 3, "none": None}
    assert "Roe" not in (tmp_path / "checks.json").read_text(encoding="utf-8")


def test_a_folder_without_checks_has_no_findings(tmp_path: Path) -> None:
    assert read_findings(tmp_path) == ()
    (tmp_path / "checks.json").write_text(json.dumps([{"colour": 1}]), encoding="utf-8")
    assert read_findings(tmp_path) == ()


@pytest.mark.parametrize(
    ("mute", "words"),
    [
        ({"PDR01": "x"}, "there is no check 'PDR01'; did you mean"),
        ({"PDR001": " "}, "PDR001 has no reason"),
    ],
)
def test_only_known_checks_are_muted_and_with_a_reason(mute: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        ChecksConfig(mute=mute)
