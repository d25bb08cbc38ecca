"""What the doctor says of the disk of the output folder."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdray.doctor import disk
from pdray.doctor.disk import clock, filesystem, locks, look_at_disk, speed


def test_a_folder_that_is_not_there_is_looked_at_and_not_made(tmp_path: Path) -> None:
    found = {line.topic: line for line in look_at_disk(tmp_path / "new" / "output")}
    assert list(found) == ["output", "speed", "locks", "clock"]
    assert found["locks"].told == "a second job of one study is refused"
    assert found["clock"].state == "ok"
    assert filesystem(tmp_path) in found["output"].told
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (line,) = look_at_disk(tmp_path / "file" / "output")
    assert (line.state, line.told[:7]) == ("fault", "output:")


@pytest.mark.parametrize(("least", "usual", "state"), [(1e30, 1e30, "fault"), (0, 1e30, "warning")])
def test_a_disk_without_room_is_told(
    least: float, usual: float, state: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disk, "_LEAST", least)
    monkeypatch.setattr(disk, "_USUAL", usual)
    line = disk.space(tmp_path, tmp_path)
    assert (line.state, bool(line.way)) == (state, True)


def test_a_slow_disk_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "_SPEEDS", ((1e30, "fast"), (0.0, "slow")))
    assert speed(tmp_path).state == "warning"
    monkeypatch.setattr(disk, "_SPEEDS", ((0.0, "fast"),))
    assert speed(tmp_path).state == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("has_locks", "refuses", "state"),
    [(True, True, "ok"), (False, True, "warning"), (True, False, "fault"), (False, False, "fault")],
)
def test_a_disk_on_which_a_lock_can_be_taken_twice_is_a_fault(
    has_locks: bool,
    refuses: bool,
    state: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = []

    @contextmanager
    def held(path: Path) -> Iterator[bool]:
        if taken and refuses:
            raise BlockingIOError
        taken.append(path)
        yield has_locks

    monkeypatch.setattr(disk, "held", held)
    assert locks(tmp_path).state == state


@pytest.mark.parametrize(("gap", "told"), [(60, "60 s after"), (-60, "60 s before"), (0, "agrees")])
def test_the_clocks_of_machine_and_disk_are_compared(gap: float, told: str, tmp_path: Path) -> None:
    line = clock(tmp_path, now=time.time() + gap)
    assert line.told.startswith(told)
    assert line.state == ("warning" if gap else "ok")
