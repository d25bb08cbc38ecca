"""The walk of a new user: from a folder of videos to a report, new grades, and a second site.

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
    """A walk: what was there, what each command printed first, and the folder of each study."""

    clinic: Clinic
    other: Clinic
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


def walk(clinic: Clinic, minutes: float, *, num_others: int) -> Walked:
    """Run every command of the page in its order, with a second site of other people."""
    told: dict[str, str] = {}
    other = build_clinic(clinic.folder / "other_site", num_others, both_hands=False, odd=1, seed=20)
    (clinic.folder / "new").symlink_to(other.folder / "videos")
    for words in commands():
        job = job_of(words)
        more = [f"minutes={minutes}"] if job == "quick_look" else []
        if job == "make_manifest" and not told:
            without = [word for word in words if not word.startswith("consensus=")]
            asked = run(without, clinic.folder)
            assert asked.returncode == 2
            told["asked"] = asked.stderr
            assert not list(clinic.folder.glob("manifest*"))
        done = run(words, clinic.folder, *more)
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        told.setdefault(job, done.stdout)
    studies = sorted((clinic.folder / "pdray_output" / "studies").iterdir())
    return Walked(clinic, other, told, studies)


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
    for job in ("quick_look", "predict", "evaluate", "export"):
        assert "SYNTHETIC" in walked.told[job]
    check_predictions(walked)
    check_second_site(walked)
    check_export(walked)


def check_predictions(walked: Walked) -> None:
    """Check that each new video has a row, with a grade or the reason why there is none."""
    text = (walked.clinic.folder / "predictions.csv").read_text()
    assert text.startswith("# for research, not for care")
    rows = list(csv.DictReader(text.splitlines()[1:]))
    assert len(rows) == walked.other.num_files
    without = [row for row in rows if not row["estimated_grade"]]
    assert len(without) == walked.other.damaged
    assert all("cannot be decoded" in row["note"] for row in without)


def check_second_site(walked: Walked) -> None:
    """Check that everybody there is scored, the ledger has a line, and nobody is named."""
    output = walked.clinic.folder / "pdray_output"
    folder = output / "evaluation" / "quick-look-motion-manifest"
    page = (folder / "report" / "report.html").read_text()
    assert [one for one in QUESTIONS if one not in re.findall(r"<h2[^>]*>(.*?)</h2>", page)] == []
    told, other = walked.told["evaluate"], walked.other
    scored = other.num_files - other.damaged - other.unrated - other.unable
    assert f"{scored} recordings" in told
    assert "external validation" in told.lower()
    lines = (output / "tables" / "scorings.csv").read_text().splitlines()
    assert sum(",evaluate," in line for line in lines) == 1
    for path in (folder / "report").rglob("*"):
        if path.suffix in TEXTS:
            assert [one for one in other.ids if one in path.read_text()] == [], path.name


def check_export(walked: Walked) -> None:
    """Check that the exported folder grades a new video like the job, without pdray's help."""
    folder, videos = walked.clinic.folder / "model", walked.clinic.folder / "new"
    text = (walked.clinic.folder / "predictions.csv").read_text()
    expected = next(
        row for row in csv.DictReader(text.splitlines()[1:])
        if row["estimated_grade"]
    )  # fmt: skip
    (video,) = videos.rglob(f"{Path(expected['recording_id']).name}.*")
    done = subprocess.run(
        [sys.executable, "-I", "predict.py", str(video)],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (row,) = csv.DictReader(done.stdout.splitlines()[1:])
    assert row["estimated_grade"] == expected["estimated_grade"]
    assert float(row["probability_1"]) == pytest.approx(float(expected["probability_1"]), abs=0.01)


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
    walked = walk(clinic, minutes=0, num_others=4)
    assert [study.name for study in walked.studies] == ["quick-look-motion"]
    check(walked)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_116_videos_and_a_sheet_become_two_reports_in_20_minutes(tmp_path: Path) -> None:
    clinic = build_clinic(tmp_path, 29, both_hands=True, odd=3)
    assert clinic.num_files == 116
    walked = walk(clinic, minutes=10, num_others=14)
    assert [study.name for study in walked.studies] == ["quick-look-motion", "quick-look-network"]
    check(walked)
