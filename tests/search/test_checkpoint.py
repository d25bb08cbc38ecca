import os
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pdray.search.trial import Recorder
from tests.search.test_trial import make_plan, result

SCORES = [0.1, 0.5, 0.7, 0.2]  # two folds of two epochs


class Hostile:
    def __reduce__(self) -> object:
        return os.system, ("touch owned",)


def flip(path: Path) -> None:
    """Flip one bit of a tensor, which stands uncompressed in the archive."""
    content = bytearray(path.read_bytes())
    content[content.index(torch.ones(2).numpy().tobytes())] ^= 1
    path.write_bytes(content)


def of_another_trial(path: Path) -> None:
    other = Recorder(make_plan(path.parents[2]), 1, {})
    other.resume()
    for step in range(3):
        other.record(result(other.plan, step, 0.3, number=1))
    (other.log.folder / "checkpoint.pt").replace(path)


def cut_log(path: Path) -> None:
    lines = path.with_name("epochs.jsonl").read_text().splitlines(keepends=True)
    path.with_name("epochs.jsonl").write_text("".join(lines[:2]))


def break_log(path: Path) -> None:
    lines = path.with_name("epochs.jsonl").read_text().splitlines(keepends=True)
    path.with_name("epochs.jsonl").write_text("".join([lines[0], "{broken\n", lines[2]]))


def cut_table(path: Path) -> None:
    table = path.with_name("predictions") / "fold1_epoch000.parquet"
    table.write_bytes(table.read_bytes()[:-20])


@pytest.mark.parametrize(
    ("damage", "step", "told"),
    [
        (flip, 2, "is damaged at "),
        (of_another_trial, 2, "is the checkpoint of another trial"),
        (lambda path: path.write_bytes(path.read_bytes()[:500]), 2, "cannot be used"),
        (lambda path: path.write_bytes(b""), 2, "cannot be used"),
        (lambda path: path.write_bytes(pickle.dumps(Hostile())), 2, "cannot be used"),
        (lambda path: torch.save(Hostile(), path), 2, "cannot be used"),
        (
            lambda path: torch.save({"step": 3}, path),
            2,
            "is damaged at num_steps, model",
        ),
        (lambda path: path.unlink(), 2, "checkpoint.pt is missing"),
        (cut_log, 2, "epochs.jsonl lacks epochs before checkpoint.pt"),
        (break_log, 0, "epochs.jsonl line 2"),
        (cut_table, 2, "predictions lacks those of step 2"),
    ],
)
def test_a_trial_goes_on_before_what_is_damaged_and_ends_the_same(
    damage: Callable[[Path], None], step: int, told: str, tmp_path: Path
) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    for number in range(3):
        recorder.record(result(plan, number, SCORES[number]))
    damage(recorder.log.folder / "checkpoint.pt")
    again = Recorder(plan, 0, {})
    state = again.resume()
    assert (state or {"step": 0})["step"] == step
    assert len(again.log.epochs()) == step
    reports = [again.record(result(plan, number, SCORES[number])) for number in range(step, 4)]
    where = "goes on from the start of fold 2" if step else "starts again"
    assert told in reports[0]["note"]
    assert reports[0]["note"].endswith(f"; the trial {where}, with the same results")
    assert reports[1]["note"] == ""
    assert reports[-1]["value"] == pytest.approx(0.4)
    assert not Path("owned").exists()


def test_a_disk_that_cannot_be_read_now_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(tmp_path)
    recorder = Recorder(plan, 0, {})
    recorder.resume()
    recorder.record(result(plan, 0, 0.1))

    def fails(*_: object, **__: object) -> None:
        raise OSError("Input/output error")

    monkeypatch.setattr("pdray.search.checkpoint.zipfile.ZipFile", fails)
    with pytest.raises(OSError, match="Input/output"):
        Recorder(plan, 0, {}).resume()
