import threading

import pytest

from pdray.atomic import replacing, write_bytes, write_text


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
