"""What an earlier version left on disk is still opened, taken as it is, and gone on with."""

import hashlib
import json
import lzma
import os
import platform
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from jobs import explain, make_demo, prepare, reproduce

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
LEFT, NESTED, EXPECTED = HERE / "left", HERE / "left_nested", HERE / "expected"
COHORT = (
    "num_subjects=5", "num_visits=1", "items=[finger_tapping]", "missing=0.0", "size=32", "fps=5",
    "min_seconds=1.0", "max_seconds=1.2", "seed=4",
)  # fmt: skip
TABLE = (
    "--table", "002.3", "data.items=[finger_tapping]", "decode.height=20", "decode.width=20",
    "store.codec=lz4", "snippet.num_frames=5", "model.width_factor=0.03125",
    "model.temporal_stride='111111'", "model.stem_time_kernel=3", "optim.epochs=6",
    "optim.learning_rate=0.01", "optim.batch_size=2", "folds.num_outer=2",
)  # fmt: skip
AS_THEN = ("decode.hdr=stored", "decode.interlaced=stored")
# Another processor or another torch adds the same numbers in another order. Measured on logits:
# 3e-7 without AVX-512, 3e-5 without AVX2; a checkpoint without its momentum gives 0.12.
OTHER_ORDER = 1e-4


def put(folder: Path) -> Path:
    """Copy what was left to a folder, and put the folder's path where that of the first one was."""
    shutil.copytree(LEFT, folder)
    shutil.copytree(NESTED, folder / "output" / "studies" / "nested")
    for packed in folder.rglob("*.xz"):
        packed.with_suffix("").write_bytes(lzma.decompress(packed.read_bytes()))
        packed.unlink()
    for text in folder.rglob("*.json"):
        found = text.read_text(encoding="utf-8")
        text.write_text(found.replace("@FOLDER@", str(folder)), encoding="utf-8")
    return folder


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return put(tmp_path / "left")


def cohort_words(folder: Path) -> list[str]:
    return [f"data.manifest={folder / 'cohort' / 'manifest.csv'}", f"output={folder / 'output'}"]


def state_of(*files: Path) -> dict[str, tuple[str, int]]:
    """Return the digest and the time of each file."""
    return {
        str(file): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in files
    }


def entries(folder: Path) -> dict[str, tuple[str, int]]:
    """Return the state of all entries of the store.

    The notes in ``store/sources`` are no entries: they are named after the absolute paths of the
    videos, so that a folder that was moved has none that count.
    """
    found = state_of(*(folder / "output" / "store").glob("??/*"))
    assert len(found) >= 20
    return found


def same_machine() -> bool:
    """Whether numbers are computed by what computed the expected ones, to the last bit."""
    made = json.loads((EXPECTED / "machine.json").read_text(encoding="utf-8"))
    return bool(made == machine())


def machine() -> dict[str, str]:
    """Return what decides the order in which torch adds numbers."""
    cpu = Path("/proc/cpuinfo")
    text = cpu.read_text(encoding="utf-8") if cpu.is_file() else ""
    told = {
        key: found[1]
        for key in ("vendor_id", "cpu family", "model")
        if (found := re.search(rf"^{key}\s*: (.*)$", text, re.MULTILINE))
    }
    versions = {"torch": str(torch.__version__), "numpy": np.__version__}
    used = {"architecture": platform.machine(), "used": torch.backends.cpu.get_cpu_capability()}
    return {**versions, **used, **told}


def check_table(found: pd.DataFrame, name: str, *, within: float) -> None:
    """Compare the columns that the earlier version had."""
    # JSON: not every pandas reads the last digit of a number in a CSV file as it was written.
    expected = pd.DataFrame(json.loads((EXPECTED / name).read_text(encoding="utf-8")))
    pd.testing.assert_frame_equal(
        found[expected.columns], expected, check_dtype=False, rtol=0, atol=within
    )


def test_the_earlier_cohort_is_found_whole_and_not_drawn_anew(left: Path) -> None:
    files = [path for path in (left / "cohort").rglob("*") if path.is_file()]
    before = state_of(*files)
    assert make_demo.main([f"folder={left / 'cohort'}", *COHORT]) == 0
    assert state_of(*files) == before
    assert sorted(path for path in (left / "cohort").rglob("*") if path.is_file()) == sorted(files)


def test_every_entry_of_the_earlier_store_is_as_it_was_prepared(
    left: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = entries(left)
    words = ["--verify", "--config", str(left / "search.yaml"), *cohort_words(left)]
    assert prepare.main([*words, *AS_THEN]) == 0, capsys.readouterr().err
    assert "10 recordings: files and store entries are unchanged" in capsys.readouterr().out
    # The settings of now ask for other entries, and say whose these are.
    assert prepare.main(words) == 2
    told = capsys.readouterr().err
    assert told.count("was prepared by an earlier version") == 10
    assert " and ".join(AS_THEN) in told
    assert entries(left) == before


def test_the_winner_of_the_earlier_study_sees_what_it_saw(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = entries(left)
    words = [f"study={left / 'output' / 'studies' / 'finished'}", f"output={tmp_path / 'maps'}"]
    assert explain.main([*words, "layers=[layer1]", "videos=false"]) == 0, capsys.readouterr().err
    found = pd.read_csv(tmp_path / "maps" / "spread.csv")
    check_table(found, "spread.json", within=OTHER_ORDER)
    assert entries(left) == before


def test_a_probe_on_the_earlier_model_takes_the_features_that_were_kept(
    left: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = entries(left)
    words = [f"study={left / 'output' / 'studies' / 'probe'}", f"output={tmp_path / 'places'}"]
    assert explain.main(words) == 0, capsys.readouterr().err
    found = pd.read_csv(tmp_path / "places" / "embedding.csv")
    check_table(found, "embedding.json", within=OTHER_ORDER)
    assert entries(left) == before


def test_a_table_of_the_earlier_comparison_is_laid_out_without_running_anything(
    left: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError("the comparison is complete, and Ray was started")

    monkeypatch.setattr("ray.init", refuse)
    kept = left / "output" / "tables" / "002.3.txt"
    trial = [*(left / "output" / "studies" / "002.3-finger_tapping" / "trials").rglob("*.*")]
    before, row = state_of(*trial), table_row(kept)
    kept.unlink()
    assert reproduce.main([*TABLE, *cohort_words(left)]) == 0, capsys.readouterr().err
    *same, p = row  # of fixed predictions against chance: no longer printed
    assert float(p) == 0.32
    assert table_row(kept) == same
    assert state_of(*trial) == before


def table_row(kept: Path) -> list[str]:
    (row,) = [
        line.split()
        for line in kept.read_text(encoding="utf-8").splitlines()
        if line.startswith("finger_tapping ")
    ]
    return row


def resume(folder: Path, study: str) -> str:
    """Go on with a study; return what the job prints."""
    words = ["--resume", f"output={folder / 'output'}", f"search.name={study}"]
    done = subprocess.run(
        [sys.executable, "jobs/tune_tsa.py", *words],
        cwd=ROOT,
        env={**os.environ, "RAY_DISABLE_IMPORT_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, tuple[str, int]]]:
    """Go on with the unfinished study; return its output's folder and the entries before."""
    folder = put(tmp_path_factory.mktemp("earlier") / "left")
    before = entries(folder)
    resume(folder, "unfinished")
    return folder, before


def logged(folder: Path) -> list[dict[str, Any]]:
    """Return the epochs of one trial's log."""
    lines = (folder / "epochs.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def outcome(study: Path) -> dict[str, Any]:
    """Return what must not depend on the version, by trial, but for the predictions."""
    found: dict[str, Any] = {}
    for folder in [*sorted((study / "trials").iterdir()), study / "winner"]:
        trial = json.loads((folder / "trial.json").read_text(encoding="utf-8"))
        names = ("number", "role", "state", "params", "value", "chosen_epoch", "scores")
        found[folder.name] = {name: trial[name] for name in names}
        found[folder.name]["epochs"] = [
            {
                **{name: line[name] for name in ("fold", "epoch", "step")},
                **{key: v for key, v in line["metrics"].items() if not key.startswith("time/")},
            }
            for line in logged(folder)
        ]
    return found


def predictions(study: Path) -> pd.DataFrame:
    """Return the rows of all trials and of the winner."""
    paths = sorted(study.rglob("predictions.parquet"))
    parts = [pd.read_parquet(path).assign(table=path.parent.name) for path in paths]
    return pd.concat(parts, ignore_index=True)


def differences(found: Any, expected: Any, within: float, place: str = "") -> list[str]:
    """Name every value that is lacking or differs; what the earlier version lacked may be there."""
    if isinstance(expected, dict):
        return [
            told
            for key, value in expected.items()
            for told in (
                differences(found[key], value, within, f"{place}/{key}")
                if key in found
                else [f"{place}/{key} is lacking"]
            )
        ]
    if isinstance(expected, list):
        if len(found) != len(expected):
            return [f"{place}: {len(found)} and not {len(expected)}"]
        pairs = enumerate(zip(found, expected, strict=True))
        return [told for n, pair in pairs for told in differences(*pair, within, f"{place}/{n}")]
    is_number = isinstance(expected, float) and isinstance(found, float | int)
    same = abs(found - expected) <= within if is_number else found == expected
    return [] if same else [f"{place}: {found!r} and not {expected!r}"]


@pytest.mark.integration
def test_a_resumed_earlier_study_keeps_every_epoch_that_was_logged(
    resumed: tuple[Path, dict[str, tuple[str, int]]],
) -> None:
    study = resumed[0] / "output" / "studies" / "unfinished"
    for number, num_logged in (("0000", 4), ("0001", 3)):
        before = logged(LEFT / "output" / "studies" / "unfinished" / "trials" / number)
        assert len(before) == num_logged
        now = logged(study / "trials" / number)
        assert now[:num_logged] == before  # the times at which they ended among it
        assert [line["step"] for line in now] == [0, 1, 2, 3]
    with sqlite3.connect(study / "optuna.db") as optuna:
        states = optuna.execute("select state from trials order by number").fetchall()
    assert states == [("COMPLETE",)] * 3


@pytest.mark.integration
def test_a_resumed_earlier_study_keeps_the_entries_of_the_store(
    resumed: tuple[Path, dict[str, tuple[str, int]]],
) -> None:
    folder, before = resumed
    after = entries(folder)
    assert {file: after.get(file) for file in before} == before
    # Of each recording, which has two entries, PDR006 keeps the rhythm of movement beside them.
    assert len(after) == len(before) + len(before) // 2


@pytest.mark.integration
def test_a_resumed_earlier_study_ends_with_the_numbers_of_the_earlier_version(
    resumed: tuple[Path, dict[str, tuple[str, int]]],
) -> None:
    study = resumed[0] / "output" / "studies" / "unfinished"
    within = 0.0 if same_machine() else OTHER_ORDER
    expected = json.loads((EXPECTED / "trials.json").read_text(encoding="utf-8"))
    assert differences(outcome(study), expected, within) == []
    check_table(predictions(study), "predictions.json", within=within)
    assert not (study / "winner" / "folds").exists()  # that version kept none


@pytest.mark.integration
def test_a_study_that_starts_from_the_earlier_model_notes_its_content(
    resumed: tuple[Path, dict[str, tuple[str, int]]],
) -> None:
    # The trial that had not begun, and the winner's refit, read that file: their numbers are the
    # test before this one.
    model = resumed[0] / "output" / "studies" / "finished" / "winner" / "model.pt"
    noted = json.loads((resumed[0] / "output/studies/unfinished/weights.json").read_text())
    assert noted == {str(model): hashlib.sha256(model.read_bytes()).hexdigest()}


@pytest.mark.slow
def test_an_unfinished_nested_study_goes_on_under_the_rules_that_it_began_with(left: Path) -> None:
    study = left / "output" / "studies" / "nested"
    complete = [*(study / "outer" / "00").rglob("*.jsonl"), *(study / "outer").rglob("trials/*/*")]
    before = state_of(*(path for path in complete if path.is_file()))
    said = resume(left, "nested")
    assert "study nested: continued, 4 of 6 trials done\n" in said
    assert state_of(*map(Path, before)) == before
    expected = json.loads((EXPECTED / "nested.json").read_text(encoding="utf-8"))
    for name, numbers in expected["searches"].items():
        assert differences(outcome(study / name), numbers, OTHER_ORDER) == [], name
    pooled = pd.read_parquet(study / "outer" / "predictions.parquet")
    found = {key: pooled[key].tolist() for key in expected["pooled"]}
    assert differences(found, expected["pooled"], OTHER_ORDER) == []
    assert list(study.rglob("folds/*")) == []  # that version kept no folds of a winner
    assert "complete, nothing to do" in resume(left, "nested")
