"""The walk of a new user: a folder of videos and an Excel sheet become a report.

Every command is taken from the page docs/how-to/first-hour.md. The test replaces two things in it:
the folder ``/data`` by its own, and ``.venv/bin/python`` by the Python that runs the test.
"""

import csv
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest

from tests.fixtures.clinic_videos import Clinic, build_clinic
from tests.places import ROOT

PAGE = ROOT / "docs" / "how-to" / "first-hour.md"
QUESTIONS = (
    "Which leaks were looked for?", "Which cohort?", "Which protocol?",
    "What does the number mean?", "How uncertain is it?", "Against what baseline?",
    "Which errors?", "What must it not be used for?",
)  # fmt: skip
NUMBERS = ["table", "group", "level", "metric", "value", "low", "high"]
TEXTS = (".html", ".json", ".csv", ".txt", ".md", ".yaml", ".svg")


@dataclass(frozen=True)
class Walked:
    """A walk: what was there, what each command printed, and the folder of each study."""

    clinic: Clinic
    told: dict[str, str]
    studies: list[Path]


def commands() -> Iterator[list[str]]:
    """Yield the words of each command of the page."""
    for block in re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").splitlines():
            yield shlex.split(line)


def job_of(words: list[str]) -> str:
    return Path(words[1]).stem


def run(words: list[str], folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    replaced = [re.sub(r"(^|=)/data\b", rf"\1{folder}", word) for word in words[1:]]
    return subprocess.run(
        [sys.executable, *replaced, *more], cwd=ROOT, capture_output=True, text=True, check=False
    )


def walk(clinic: Clinic, minutes: float) -> Walked:
    """Run every command of the page in its order."""
    told = {}
    for words in commands():
        job = job_of(words)
        more = [f"minutes={minutes}"] if job == "quick_look" else []
        if job == "make_manifest":
            without = [word for word in words if not word.startswith("consensus=")]
            asked = run(without, clinic.folder)
            assert asked.returncode == 2
            told["asked"] = asked.stderr
            assert not list(clinic.folder.glob("manifest*"))
        done = run(words, clinic.folder, *more)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        told[job] = done.stdout
    studies = sorted((clinic.folder / "pdray_output" / "studies").iterdir())
    return Walked(clinic, told, studies)


def check(walked: Walked) -> None:
    """Check what a user needs."""
    clinic = walked.clinic
    # Several raters: their agreement is said, and a choice is asked for.
    for text in (walked.told["asked"], walked.told["make_manifest"]):
        assert re.search(r"kappa \(quadratic weights\) 0\.\d\d, equal in \d+ of \d+", text)
    assert "consensus=mean_rounded" in walked.told["asked"]
    assert "median: the grade in the middle" in walked.told["make_manifest"]
    # Nobody is left out without a word: all files are in the manifest or among those set aside.
    with (clinic.folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with (clinic.folder / "manifest.set_aside.csv").open(newline="") as file:
        aside = [row["what"] for row in csv.DictReader(file)]
    assert aside.count("damaged") == clinic.damaged
    assert aside.count("no row in ratings.xlsx") == clinic.unrated
    assert len(rows) + clinic.damaged + clinic.unrated == clinic.num_files
    assert sum(row["grade_status"] == "unable" for row in rows) == clinic.unable
    assert {row["medication_state"] for row in rows} == {"on", "off"}
    for study in walked.studies:
        check_report(study, clinic)
        assert str(study) in walked.told["quick_look"]
    assert "SYNTHETIC" in walked.told["quick_look"]


def check_report(study: Path, clinic: Clinic) -> None:
    """Check the headings, numbers and flow of a report, and that it names nobody."""
    report = study / "report"
    page = (report / "report.html").read_text()
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", page)
    assert [one for one in QUESTIONS if one not in titles] == []
    # Groups of few people are left out of what leaves the room; what is told is the same.
    tables = [study / "evaluation" / "numbers.csv", report / "scores.csv"]
    numbers, scores = (pd.read_csv(one)[NUMBERS].astype(object).fillna("") for one in tables)
    known = set(numbers.itertuples(index=False, name=None))
    assert [row for row in scores.itertuples(index=False, name=None) if row not in known] == []
    assert len(scores[scores["group"] == ""]) == len(numbers[numbers["group"] == ""]) > 0
    # Everybody who was rated is scored or is learnt from; nobody is missing.
    people = pd.read_parquet(study / "private" / "recordings.parquet")
    assert len(people) == clinic.num_files - clinic.damaged - clinic.unrated
    assert (people["part"] == "left out").sum() == clinic.unable
    recordings = {path.stem for path in (clinic.folder / "videos").rglob("*.*")}
    for path in report.rglob("*"):
        if path.suffix in TEXTS:
            text = path.read_text()
            named = [one for one in (*clinic.ids, *recordings, str(clinic.folder)) if one in text]
            assert named == [], path.name


@pytest.mark.integration
def test_twelve_videos_and_a_sheet_become_a_report(tmp_path: Path) -> None:
    clinic = build_clinic(tmp_path, 6, both_hands=False, odd=1)
    assert clinic.num_files == 12
    walked = walk(clinic, minutes=0)
    assert [study.name for study in walked.studies] == ["quick-look-motion"]
    check(walked)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_116_videos_and_a_sheet_become_two_reports_in_20_minutes(tmp_path: Path) -> None:
    clinic = build_clinic(tmp_path, 29, both_hands=True, odd=3)
    assert clinic.num_files == 116
    walked = walk(clinic, minutes=10)
    assert [study.name for study in walked.studies] == ["quick-look-motion", "quick-look-network"]
    check(walked)
