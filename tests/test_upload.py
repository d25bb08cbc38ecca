"""Recordings, tables and secrets beside the source stay where they are, whatever their names."""

import shutil
import subprocess
from pathlib import Path

import pytest
from ray._private.runtime_env.packaging import _dir_travel

from tests.places import ROOT

SOURCE = ("pdray/__init__.py", "pdray/__init__.pyi", "pdray/py.typed",
          "pdray/report/report.html.jinja", "pdray/training/presets.yaml",
          "pdray/data/media/decode.py", "jobs/tune_tsa.py",
          "search_spaces/tsa.yaml", "search_spaces/tables/tsa.table3.yaml", "pyproject.toml",
          "constraints.txt", "cluster.yaml")  # fmt: skip
STAGED = ("README.md", "docs/how-to/search.md", "tests/test_upload.py", ".ci/run", "Makefile",
          "docs/pictures/synthetic-cohort.png", "tests/journey/patches/loss.patch")  # fmt: skip
NAMES = (
    "a.mp4", "GOPR0001.MP4", "IMG_0001.MOV", "00001.MTS", "VOICE.WAV", "c.3gp", "d.wmv", "e.mpg",
    "f.insv", "g.h265", "Manifest.CSV", "patients.xlsx", "participants.tsv", "scores.sav",
    "scores.rds", "visits.ods", "face.jpg", "FACE.HEIC", "mask.png", "scan.dcm", "walk.c3d",
    "id_rsa", "id_ed25519", ".env", ".netrc", "token", "key.p12", "notes.docx", "report.pdf",
    "weights.pth.tar", "a.py.bak", "MVI_0001", "data.json", "x.PY",
    "subjects.csv", "recordings.parquet",
)  # fmt: skip
FOLDERS = ("", "videos/", "data/2024/", ".cache/", "Patients.py/",
           "pdray_output/studies/tapping/private/")  # fmt: skip
INSIDE = ("pdray/", "pdray/data/", "jobs/", "search_spaces/")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folders = [*FOLDERS, *INSIDE, "pdray/recordings/", "docs/", "docs/pictures/", "tests/"]
    for name in [f"{folder}{name}" for folder in folders for name in NAMES]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"of a person")
    for name in (*SOURCE, *STAGED, ".gitignore", ".rayignore"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, path)
    return tmp_path


def test_a_submitted_job_takes_source_along_and_nothing_else(checkout: Path) -> None:
    sent: list[Path] = []
    _dir_travel(checkout, [], sent.append, include_gitignore=True)
    files = {path.relative_to(checkout).as_posix() for path in sent if path.is_file()}
    assert files == set(SOURCE)


def test_git_stages_source_and_nothing_else(checkout: Path) -> None:
    def git(*words: str) -> str:
        return subprocess.check_output(["git", *words], cwd=checkout, text=True)

    git("init", "-q")
    git("add", "-A")
    staged = set(git("ls-files").split())
    expected = {*SOURCE, *STAGED, ".gitignore", ".rayignore"}
    # A name without an ending looks like a folder: only the top folder's rule keeps it away.
    bare = {f"{folder}{name}" for folder in ("pdray/", "pdray/data/", "pdray/recordings/", "jobs/",
            "search_spaces/", "docs/", "docs/pictures/", "tests/")
            for name in NAMES if "." not in name}  # fmt: skip
    assert staged - bare == expected


def test_every_tracked_file_is_still_allowed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git checkout")
    words = ["git", "ls-files", "-ci", "--exclude-standard"]
    assert subprocess.check_output(words, cwd=ROOT, text=True) == ""


def test_every_package_is_sent() -> None:
    folders = {path.parent.relative_to(ROOT).as_posix() for path in ROOT.glob("pdray/**/*.py")}
    lines = set((ROOT / ".rayignore").read_text(encoding="utf-8").splitlines())
    missing = {f"!/{folder}" for folder in folders} - lines
    assert not missing, f"add to .rayignore: {sorted(missing)}"
