import errno
import hashlib
import os
import threading
from pathlib import Path

import pytest

from pdray.atomic import (
    file_digest,
    folder_faults,
    new_folder,
    replacing,
    safe_name,
    sweep,
    write_bytes,
    write_text,
)


def names(folder):
    return [path.name for path in folder.iterdir()]


def test_text_and_bytes_arrive_whole_and_folders_are_made(tmp_path):
    path = tmp_path / "a" / "b" / "c.json"
    write_text(path, "caf\u00e9")
    assert path.read_bytes() == b"caf\xc3\xa9"
    write_bytes(path, b"\0\1")
    assert path.read_bytes() == b"\0\1"
    assert names(path.parent) == ["c.json"]


def test_nothing_is_seen_before_the_end(tmp_path):
    path = tmp_path / "a"
    write_text(path, "old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".")
    assert path.read_text() == "new"


def test_a_file_is_flushed_to_disk_before_it_takes_its_place(tmp_path, monkeypatch):
    path, flushed = tmp_path / "a", []
    write_text(path, "old")
    monkeypatch.setattr(
        os, "fsync", lambda file: flushed.append((os.pread(file, 9, 0), path.read_text()))
    )
    write_text(path, "new")
    assert flushed == [(b"new", "old")]


@pytest.mark.parametrize("fault", [ValueError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_file_and_no_rest(tmp_path, fault):
    path = tmp_path / "a"
    write_text(path, "old")

    def write_half():
        with replacing(path) as temporary:
            temporary.write_text("ha")
            raise fault

    with pytest.raises(fault):
        write_half()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_failure_before_anything_was_written_is_passed_on(tmp_path):
    with pytest.raises(FileNotFoundError), replacing(tmp_path / "a"):
        pass
    assert names(tmp_path) == []


def write_and_fail(path, error):
    with replacing(path) as temporary:
        temporary.write_text("ha")
        raise error


def test_a_library_that_does_not_say_why_it_cannot_write_is_asked_about_the_disk(
    tmp_path, monkeypatch
):
    path, probed = tmp_path / "a", []

    def full(probe, content):
        probed.append((probe.parent, len(content) >= 4096))
        raise OSError(errno.ENOSPC, "no space", str(probe))

    for vague in (RuntimeError("write failed"), OSError("8 requested and 4 written")):
        with pytest.raises(type(vague)) as caught:
            write_and_fail(path, vague)
        assert caught.value is vague  # there is room
        assert names(tmp_path) == []
        with monkeypatch.context() as patch:
            patch.setattr(Path, "write_bytes", full)
            with pytest.raises(OSError, match="no space") as caught:
                write_and_fail(path, vague)
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSPC, str(path))
    assert probed == [(tmp_path, True)] * 2
    monkeypatch.setattr(Path, "write_bytes", full)
    for clear in (OSError(errno.EROFS, "read-only"), ValueError("of mine")):
        with pytest.raises(type(clear)) as caught:
            write_and_fail(path, clear)
        assert caught.value is clear
    assert len(probed) == 2


def test_temporary_files_of_killed_writers_are_swept(tmp_path):
    for name in ("a/.x.json.1234.tmp", "a/b/.y.pt.5678.tmp", "a/x.json", "a/.z", "a/b.tmp"):
        write_text(tmp_path / name, "")
    (tmp_path / ".folder.9abc.tmp").mkdir()
    sweep(tmp_path, seconds=3600)
    assert (tmp_path / "a" / ".x.json.1234.tmp").exists()
    os.utime(tmp_path / "a" / ".x.json.1234.tmp", (0, 0))
    sweep(tmp_path, seconds=3600)
    assert sorted(names(tmp_path / "a")) == [".z", "b", "b.tmp", "x.json"]
    assert names(tmp_path / "a" / "b") == [".y.pt.5678.tmp"]
    sweep(tmp_path)
    assert names(tmp_path / "a" / "b") == []
    assert (tmp_path / ".folder.9abc.tmp").is_dir()


def test_racing_writers_leave_one_whole_file(tmp_path):
    path = tmp_path / "a"
    contents = [bytes([number]) * 200_000 for number in range(8)]
    threads = [threading.Thread(target=write_bytes, args=(path, one)) for one in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert path.read_bytes() in contents
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", [".", "a", "a/b/c"])
def test_a_folder_that_can_be_made_has_no_fault_and_is_not_made(tmp_path, monkeypatch, name):
    assert folder_faults(tmp_path / name, key="output") == []
    monkeypatch.chdir(tmp_path)
    assert folder_faults(Path(name), key="output") == []
    assert names(tmp_path) == []


@pytest.mark.parametrize("name", ["file", "file/k", "file/k/l"])
def test_a_folder_below_a_file_is_refused_with_key_folder_and_reason(tmp_path, name):
    (tmp_path / "file").write_text("kept")
    assert folder_faults(tmp_path / name, key="output") == [
        f"output: nothing can be written into {tmp_path / name}: no file can be made in "
        f"{tmp_path / 'file'}: Not a directory; choose a folder that you may write into"
    ]
    assert (tmp_path / "file").read_text() == "kept"


def test_a_link_to_nowhere_and_a_name_that_no_disk_takes_are_refused(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    (fault,) = folder_faults(tmp_path / "link" / "k", key="folder")
    assert fault.startswith(f"folder: nothing can be written into {tmp_path / 'link' / 'k'}: ")
    (fault,) = folder_faults(tmp_path / ("x" * 300), key="folder")
    assert "File name too long" in fault
    assert names(tmp_path) == ["link"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs Linux's /proc")
def test_a_folder_of_the_system_is_refused():
    (fault,) = folder_faults(Path("/proc/k"), key="output")
    assert "no file can be made in /proc: No such file or directory; " in fault


@pytest.mark.parametrize(("where", "made"), [(os, "mkdir"), (Path, "touch")])
@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS])
def test_a_folder_that_may_not_be_written_is_refused(tmp_path, monkeypatch, where, made, code):
    tried = []

    def forbidden(path, mode=0o777):
        tried.append(Path(path).relative_to(tmp_path))
        raise OSError(code, os.strerror(code), path)

    monkeypatch.setattr(where, made, forbidden)
    (fault,) = folder_faults(tmp_path / "k", key="output")
    assert f"no file can be made in {tmp_path}: {os.strerror(code)}; " in fault
    assert tried[0].parts[0].startswith(".tried-")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_rights_that_are_lacking_are_met(tmp_path):
    tmp_path.chmod(0o555)
    (fault,) = folder_faults(tmp_path / "k", key="output")
    tmp_path.chmod(0o755)
    assert f"no file can be made in {tmp_path}: Permission denied; " in fault


def test_a_digest_is_of_the_content(tmp_path):
    path = tmp_path / "w.pt"
    path.write_bytes(b"abc")
    assert file_digest(path) == hashlib.sha256(b"abc").hexdigest()


def test_ids_that_no_file_may_have_get_a_name_of_their_own():
    assert safe_name("S1-gait_01.a") == "S1-gait_01.a"
    odd = ["A/b", "a b", ".a", "", "a" * 101]
    found = [safe_name(name) for name in odd]
    assert found[0] == "A_b-" + hashlib.sha256(b"A/b").hexdigest()[:8]
    assert found[-1].startswith("a" * 80 + "-")
    assert len(set(found)) == len(odd)
    assert all("/" not in name and len(name) < 100 for name in found)


def test_a_new_folder_appears_at_once_and_replaces_nothing(tmp_path):
    path = tmp_path / "made"
    with new_folder(path) as temporary:
        (temporary / "a").write_text("1")
        assert not path.exists()
    assert names(tmp_path) == ["made"]
    with pytest.raises(FileExistsError), new_folder(path):
        pytest.fail("the folder is there")
    assert (path / "a").read_text() == "1"


def test_a_failure_in_a_new_folder_leaves_nothing(tmp_path):
    def fail(path):
        with new_folder(path) as temporary:
            (temporary / "a").write_text("1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail(tmp_path / "made")
    assert names(tmp_path) == []


def test_the_rest_of_a_killed_process_is_removed_and_that_of_a_running_one_stays(tmp_path):
    left = tmp_path / ".made.00000000.tmp"
    left.mkdir()
    (left / "a").write_text("1")
    first = new_folder(tmp_path / "made")
    running = first.__enter__()
    assert names(tmp_path) == [running.name]
    with new_folder(tmp_path / "made"):
        assert running.exists()
    with pytest.raises(FileExistsError):  # the second one was ready before
        first.__exit__(None, None, None)
    assert names(tmp_path) == ["made"]
