"""Returns the code and package versions of a study, for the tags of its log."""

import hashlib
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

SOURCE_FOLDER = Path(__file__).resolve().parents[2]
_PACKAGES = ("pdray", "ray", "torch", "optuna", "mlflow", "av", "scikit-learn", "numpy", "pandas")


def versions() -> dict[str, str]:
    """Return the installed version of each package that results depend on."""
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def source_identity(folder: Path = SOURCE_FOLDER, *, submitted: str | None = None) -> str:
    """Return a text that identifies the source code.

    Args:
        folder: Folder that contains ``pdray/`` and ``jobs/``.
        submitted: The commit in a job's metadata; a submitted job has no ``.git``.

    Returns:
        The git commit, followed by ``-dirty`` if files were changed; else ``submitted``; else
        ``source-digest:`` and the SHA-256 digest of the ``*.py`` files.
    """
    return _git_commit(folder) or submitted or source_digest(folder)


def source_digest(folder: Path = SOURCE_FOLDER) -> str:
    """Return ``source-digest:`` and the SHA-256 digest of names and contents of source files."""
    digest = hashlib.sha256()
    for path in sorted(
        path for part in ("pdray", "jobs") for path in (folder / part).rglob("*.py")
    ):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(folder).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return f"source-digest:{digest.hexdigest()}"


def describe_upload(folder: Path = SOURCE_FOLDER) -> str:
    """Say how many files and bytes a submitted job brought along; compiled files do not count."""
    sizes = [
        path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    ]
    return f"source     {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB, were uploaded with this job"


def _git_commit(folder: Path) -> str | None:
    # An installed copy may lie inside another repository, whose commit does not describe it.
    if not _git(folder, "ls-files", "pdray"):
        return None
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return None
    return f"{commit}-dirty" if _git(folder, "status", "--porcelain", "pdray", "jobs") else commit


def _git(folder: Path, *words: str) -> str | None:
    """Return the output of git, or None without git or a repository, or after an error."""
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
