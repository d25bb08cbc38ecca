import subprocess
from pathlib import Path

import pandas
import pytest

from pdray.tracking.provenance import describe_upload, source_digest, source_identity, versions


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for part in ("pdray", "jobs"):
        (tmp_path / "source" / part).mkdir(parents=True)
        (tmp_path / "source" / part / "a.py").write_text("x = 1\n")
    return tmp_path / "source"


def git(folder: Path, *words: str) -> str:
    name = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    command = ["git", "-C", str(folder), *name, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_clean_checkout_is_its_commit_and_a_changed_one_is_dirty(source: Path) -> None:
    git(source, "init", "-q")
    git(source, "add", ".")
    git(source, "commit", "-q", "-m", "one")
    commit = git(source, "rev-parse", "HEAD")
    assert source_identity(source) == commit
    assert source_identity(source, submitted="other") == commit
    (source / "notes.txt").write_text("not source")
    assert source_identity(source) == commit
    (source / "jobs" / "new.py").write_text("")
    assert source_identity(source) == f"{commit}-dirty"


def test_without_git_the_jobs_metadata_count_and_then_the_digest(source: Path) -> None:
    assert source_identity(source, submitted="abc") == "abc"
    assert source_identity(source) == source_digest(source)
    assert source_digest(source).startswith("source-digest:")


def test_a_copy_inside_another_repository_is_not_that_commit(source: Path) -> None:
    git(source.parent, "init", "-q")
    git(source.parent, "commit", "-q", "--allow-empty", "-m", "other")
    assert source_identity(source) == source_digest(source)


def test_the_digest_sees_contents_names_and_new_files_but_not_caches(source: Path) -> None:
    first = source_digest(source)
    (source / "pdray" / "__pycache__").mkdir()
    (source / "pdray" / "__pycache__" / "a.pyc").write_bytes(b"1")
    assert source_digest(source) == first
    (source / "pdray" / "b.py").write_text("")
    second = source_digest(source)
    assert second != first
    (source / "pdray" / "b.py").rename(source / "pdray" / "c.py")
    assert source_digest(source) not in (first, second)


def test_versions_are_those_that_are_installed() -> None:
    assert versions()["pandas"] == pandas.__version__
    assert "not installed" not in versions().values()


def test_an_upload_is_counted_without_compiled_files(tmp_path: Path) -> None:
    (tmp_path / "pdray").mkdir()
    for name, size in (("a.py", 250_000), ("pdray/b.py", 50_000), ("pdray/b.pyc", 900_000)):
        (tmp_path / name).write_bytes(b" " * size)
    expected = "source     2 files, 0.3 MB, were uploaded with this job"
    assert describe_upload(tmp_path) == expected
