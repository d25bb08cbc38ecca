"""Writes files whole or not at all, by one process at a time, and computes their digests."""

import errno
import fcntl
import hashlib
import math
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

LEASE_SECONDS = 60.0
"""Age at which a lease that nobody renews has ended [s]."""


@contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold a lock file until the block ends.

    Some shared disks have no file locks (some NFS and Lustre). There, a lease is held instead: a
    file beside ``path`` that is renewed every few seconds. A process that was killed leaves its
    lease, which ends after ``LEASE_SECONDS``.

    Args:
        path: The lock file; it is made, and stays.

    Yields:
        Whether the disk has file locks.

    Raises:
        BlockingIOError: If another process holds it.
        OSError: If the file cannot be made.
    """
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno not in _WITHOUT_LOCKS:
                raise
        else:
            yield True
            return
    with _lease(path.with_suffix(".lease")):
        yield False


_WITHOUT_LOCKS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.EIO)
_RENEWALS = 4  # within the time of a lease
_PROBE_BYTES = 64 << 10
_RACE_SECONDS = 1.0  # longer than two processes need to see each other's file


@contextmanager
def _lease(path: Path) -> Iterator[None]:
    mine = uuid.uuid4().hex
    if _age(path) < LEASE_SECONDS:
        raise BlockingIOError(errno.EWOULDBLOCK, "a lease is held", str(path))
    write_text(path, mine)
    time.sleep(_RACE_SECONDS)
    if path.read_text(encoding="utf-8") != mine:  # another process took it at the same moment
        raise BlockingIOError(errno.EWOULDBLOCK, "a lease is held", str(path))
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(LEASE_SECONDS / _RENEWALS):
            with suppress(OSError):  # a disk that fails now may work at the next renewal
                if not is_mine():
                    return
                write_text(path, mine)

    def is_mine() -> bool:
        # After a sleep longer than the lease, another process may have taken it.
        return not path.exists() or path.read_text(encoding="utf-8") == mine

    thread = threading.Thread(target=renew, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if is_mine():
            path.unlink(missing_ok=True)


def _age(path: Path) -> float:
    """Return the age of a file by the clock of its disk, which may differ from ours [s].

    A file that is not there has an infinite age.
    """
    now = _sibling(path)
    now.touch()
    try:
        return now.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return math.inf
    finally:
        now.unlink()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; on success, rename that file to ``path``.

    The file is flushed to disk before the rename, so a power cut leaves the old file or the new
    one. Its name is random, so several writers may run at once: the last rename wins.

    Args:
        path: The file to create or replace; its folder is made if missing.

    Yields:
        The path to write to.
    """
    temporary = _sibling(path)
    try:
        yield temporary
        _put_in_place(temporary, path)
    except (OSError, RuntimeError) as error:
        if getattr(error, "errno", None) is None:  # torch and NumPy do not say why
            _check_room(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; on success it becomes ``path``, else it goes.

    What a killed process has left of an earlier one is removed first.

    Raises:
        FileExistsError: If ``path`` is there, before or after the work.
    """
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        with _locked(left) as is_mine:
            if is_mine:
                shutil.rmtree(left, ignore_errors=True)
    _refuse_there(path)
    temporary = _sibling(path)
    temporary.mkdir()
    try:
        with _locked(temporary):
            yield temporary
            _refuse_there(path)
            temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _refuse_there(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Lock a folder until the block ends; tell whether it is locked by this block now."""
    try:
        number = os.open(folder, os.O_RDONLY)
    except OSError:  # gone since
        yield False
        return
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        is_mine = True
    except OSError:  # of another process, or the disk has no locks
        is_mine = False
    try:
        yield is_mine
    finally:
        os.close(number)


def _check_room(path: Path) -> None:
    """Raise the error of a full disk, if it is full."""
    probe = _sibling(path)
    try:
        probe.write_bytes(bytes(_PROBE_BYTES))
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        probe.unlink(missing_ok=True)


@contextmanager
def replacing_private(path: Path) -> Iterator[Path]:
    """Do as :func:`replacing`; the file is for its owner only, whatever the umask.

    A disk that keeps no rights of its own, such as a memory stick, keeps those that it was mounted
    with.
    """
    with replacing(path) as temporary:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        with suppress(PermissionError):
            temporary.chmod(0o600)
        yield temporary


def _sibling(path: Path) -> Path:
    """Make the folder of ``path`` and return an unused path in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp")


def _put_in_place(temporary: Path, path: Path) -> None:
    """Flush a file to disk, then rename it; in the other order a power cut could empty it."""
    with temporary.open("rb+") as written:
        os.fsync(written.fileno())
    temporary.replace(path)


def sweep(folder: Path, *, below: bool = True, seconds: float = 0.0) -> None:
    """Remove the temporary files of a folder that killed writers have left.

    Args:
        folder: The folder; it may be missing.
        below: Whether those of the folders below it are removed too.
        seconds: Age from which a file has no writer any more [s]; a writer changes it all the time.
    """
    for path in folder.rglob(".*.tmp") if below else folder.glob(".*.tmp"):
        with suppress(OSError):  # gone since, or a folder
            if time.time() - path.stat().st_mtime >= seconds:
                path.unlink()


def folder_faults(folder: Path, *, key: str) -> list[str]:
    """Check that files can be written into a folder, before any work starts.

    A temporary folder and file are made in the nearest existing folder, and removed at once:
    permissions alone do not show that a disk is read-only. The folder itself is not made, so a
    job that stops for another reason leaves nothing behind.

    Args:
        folder: Where files will be written; it may be missing.
        key: The setting that names it.

    Returns:
        One fault, or none.
    """
    there = folder.absolute()
    try:
        while not _is_there(there):
            there = there.parent
        with TemporaryDirectory(prefix=".tried-", dir=there) as tried:
            (Path(tried) / "file").touch()  # pragma: no mutate - any name will do
    except OSError as error:
        return [
            f"{key}: nothing can be written into {folder}: no file can be made in {there}: "
            f"{error.strerror or error}; choose a folder that you may write into"
        ]
    return []


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def write_bytes(path: Path, data: bytes) -> None:
    """Create or replace ``path`` with ``data``, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Create or replace ``path`` with UTF-8 ``text``, whole or not at all."""
    write_bytes(path, text.encode())


def file_digest(path: Path) -> str:
    """Return the SHA-256 digest of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def safe_name(name: str) -> str:
    """Return a valid file name for an id; other characters are replaced, and a digest added."""
    if re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{re.sub('[^A-Za-z0-9]+', '_', name)[:80]}-{digest}"
