import errno
import pickle
from collections.abc import Mapping
from typing import Any

import pytest
from ray.tune import Stopper

from pdray.search.full_disk import FULL_DISK, FullDisk


class Ending(Stopper):
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.ends = False

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        self.heard.append(trial_id)
        return trial_id == "b"

    def stop_all(self) -> bool:
        return self.ends


def test_a_full_disk_ends_all_trials_and_is_raised_afterwards() -> None:
    room = FullDisk(None)
    assert not room("a", {"value": 0.5})
    assert not room.stop_all()
    room.check()
    assert not room("a", {FULL_DISK: f"{errno.EDQUOT} /out of/a file"})
    assert not room("b", {"value": 0.5})
    assert room.stop_all()
    with pytest.raises(OSError, match="Disk quota exceeded") as caught:
        room.check()
    assert (caught.value.errno, caught.value.filename) == (errno.EDQUOT, "/out of/a file")


def test_what_else_ends_trials_is_asked_too() -> None:
    other = Ending()
    room = FullDisk(other)
    assert [room("a", {}), room("b", {})] == [False, True]
    assert other.heard == ["a", "b"]
    assert not room.stop_all()
    other.ends = True
    assert room.stop_all()
    room.check()
    assert vars(pickle.loads(pickle.dumps(room))) == {}  # Tune saves it, and it holds a study
