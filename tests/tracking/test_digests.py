from pathlib import Path

import pytest

from pdray.tracking.digests import DIGESTS, Digests


@pytest.fixture
def digests(tmp_path: Path) -> Digests:
    found = Digests(tmp_path)
    found.write(tmp_path / "a" / "one.json", b"1")
    (tmp_path / "two.json").write_bytes(b"2")
    found.add([tmp_path / "two.json", tmp_path / "absent.json"])
    return found


def test_a_listed_file_that_was_changed_or_removed_is_found(
    tmp_path: Path, digests: Digests
) -> None:
    assert [*Digests(tmp_path).changed()] == []
    (tmp_path / "two.json").write_bytes(b"3")
    (tmp_path / "a" / "one.json").unlink()
    assert [*Digests(tmp_path).changed()] == [
        (tmp_path / "a" / "one.json", "cannot be read: No such file or directory"),
        (tmp_path / "two.json", "has another content than the study wrote"),
    ]
    assert not Digests(tmp_path).lists(tmp_path / "absent.json")


def test_a_kill_between_a_line_and_its_file_is_no_change(tmp_path: Path, digests: Digests) -> None:
    file = tmp_path / "a" / "one.json"
    digests.write(file, b"new")
    for content in (b"1", b"new"):  # before and after the file was replaced
        file.write_bytes(content)
        assert [*Digests(tmp_path).changed()] == []


def test_a_kill_before_a_new_file_leaves_no_line_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pdray.tracking.digests.write_bytes", killed)
    with pytest.raises(KeyboardInterrupt):
        Digests(tmp_path).write(tmp_path / "new.json", b"1")
    assert [*Digests(tmp_path).changed()] == []


def test_a_line_that_a_kill_left_half_is_as_if_it_was_not_written(
    tmp_path: Path, digests: Digests
) -> None:
    path = tmp_path / DIGESTS
    path.write_bytes(path.read_bytes()[:-9])
    again = Digests(tmp_path)
    assert not again.lists(tmp_path / "two.json")
    again.add([tmp_path / "two.json"])
    assert Digests(tmp_path).lists(tmp_path / "two.json")
    size = path.stat().st_size
    Digests(tmp_path).add([tmp_path / "two.json"])  # it is listed once
    assert path.stat().st_size == size
