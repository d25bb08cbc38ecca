"""The doctor as a whole: its lines, its exit code, and that it keeps nothing."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs import doctor
from pdray.doctor import services
from pdray.testing.light import SLOW
from tests.places import ROOT

TOPICS = ["cores", "memory", "shared", "GPU", "temporary", "packages", "extras", "FFmpeg",
          "output", "speed", "locks", "clock", "ports", "head"]  # fmt: skip


def topics(out: str) -> list[str]:
    return [line[9:21].strip() for line in out.splitlines()[:-1] if not line.startswith(" ")]


@pytest.fixture(autouse=True)
def short_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no job would fail."""
    monkeypatch.setattr("tempfile.tempdir", "/tmp")


def test_a_machine_is_looked_at_and_nothing_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert doctor.main([f"output={tmp_path / 'output'}"]) == 0
    told = capsys.readouterr()
    assert [one for one in TOPICS if one not in topics(told.out)] in ([], ["shared"])
    assert max(map(len, told.out.splitlines())) <= 100 + len(str(tmp_path))
    assert told.err == ""
    assert list(tmp_path.iterdir()) == []


def test_a_fault_ends_with_exit_code_1_and_bad_input_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_SECONDS", 0.2)
    words = [f"output={tmp_path}", "tracking.uri=file:/x"]
    assert doctor.main(words) == 1
    out = capsys.readouterr().out
    assert "fault    MLflow      tracking.uri: got 'file:/x'" in out
    assert "1 fault" in out.splitlines()[-1]
    assert doctor.main([f"output={tmp_path}", "adress=x:1"]) == 2
    assert "unknown key 'adress': did you mean 'address'?" in capsys.readouterr().err
    assert doctor.main([f"output={tmp_path}", f"data.manifest={tmp_path / 'absent.csv'}"]) == 2
    assert "absent.csv" in capsys.readouterr().err


def test_a_manifest_is_checked_and_what_it_costs_is_told(
    tmp_path: Path, tiny_manifest: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = tiny_manifest(num_subjects=3)
    words = ["--config", "search_spaces/tsa.yaml", f"data.manifest={manifest}"]
    assert doctor.main([*words, f"output={tmp_path / 'output'}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (found,) = [line for line in lines if line[9:].startswith("manifest")]
    assert "recordings can be read by rgb" in found
    at = next(n for n, line in enumerate(lines) if line[9:].startswith("frames"))
    text = " ".join(line.strip() for line in lines[at : at + 3])
    assert "hours of video; " in text
    assert "recordings are to decode: about 0." in text
    assert "GB (raw), about 0m0" in text
    assert not (tmp_path / "output").exists()


def test_it_imports_no_slow_library_where_there_is_no_gpu_and_no_manifest(tmp_path: Path) -> None:
    code = (
        "import sys; from jobs import doctor; from pdray.doctor import machine; "
        "machine._QUERY[:] = ['no-such-program']; "
        f"code = doctor.main(['output={tmp_path}']); "
        f"print(*(name for name in {SLOW} if name in sys.modules)); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.stdout.splitlines()[-1] == "", done.stdout
