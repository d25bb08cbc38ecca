"""What the doctor says of cores, memory, GPUs and the folder of temporary files."""

from pathlib import Path

import pytest

from pdray.doctor import machine
from pdray.doctor.finding import Line
from pdray.doctor.machine import cores, granted_memory, graphics, memory, temporary


@pytest.mark.parametrize(
    ("line", "state", "told"),
    [
        (cores(4, 4), "ok", "4 of 4 may be used"),
        (
            cores(2, 64),
            "ok",
            "2 of 64 may be used (affinity, control group or",
        ),
        (cores(1, 8), "warning", "1 of 8 may be used"),
        (memory(1_500_000_000, 10**10), "fault", "1.5 GB may be used, 1.5 GB are free"),
        (memory(16 * 10**9, 3 * 10**9), "warning", "16.0 GB may be used, 3.0 GB are free"),
        (memory(16 * 10**9, 9 * 10**9), "ok", "16.0 GB may be used, 9.0 GB are free"),
    ],
)
def test_too_little_is_told_with_a_way_out(line: Line, state: str, told: str) -> None:
    assert (line.state, line.told.startswith(told)) == (state, True)
    assert bool(line.way) == (state != "ok")


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/jobs/7\n", "jobs/7/memory.max"),
        ("0::/jobs/7\n", "memory.max"),  # in a container the path leads nowhere
        ("5:cpu:/x\n9:memory:/a/b\n", "memory/a/memory.limit_in_bytes"),
    ],
)
def test_memory_is_that_of_the_control_group(tmp_path: Path, groups: str, file: str) -> None:
    (tmp_path / "groups").write_text(groups)
    (tmp_path / "top" / file).parent.mkdir(parents=True)
    (tmp_path / "top" / file).write_text("max\n")
    whole = granted_memory(tmp_path / "groups", tmp_path / "top")
    (tmp_path / "top" / file).write_text("1000000\n")
    assert granted_memory(tmp_path / "groups", tmp_path / "top") == 1_000_000 < whole


def test_shared_memory_of_a_container_is_too_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_OBJECTS", 1e30)
    (line,) = machine.shared_memory(tmp_path)
    assert (line.state, "--shm-size" in line.way) == ("warning", True)
    assert list(machine.shared_memory(tmp_path / "absent")) == []


def test_a_machine_without_a_gpu_does_not_import_torch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)  # an import of it raises
    line = graphics(["no-such-program"], tmp_path / "absent")
    assert (line.state, line.told) == ("ok", "no NVIDIA GPU; networks train on CPUs")


@pytest.mark.parametrize(
    ("script", "state", "told"),
    [
        ("echo 'H200, 570.1, 143771 MiB'", "fault", "H200, driver 570.1, 143771 MiB; torch "),
        ("echo 'driver mismatch' >&2; exit 9", "fault", "sh fails: driver mismatch"),
        ("exit 0", "fault", "sh fails: no GPU"),
    ],
)
def test_a_gpu_that_torch_or_the_driver_cannot_use_is_a_fault(
    script: str, state: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    line = graphics(["sh", "-c", script], tmp_path)
    assert (line.state, line.told.startswith(told)) == (state, True), line
    assert line.way


def test_a_gpu_is_hidden_used_or_without_the_tools_of_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    command = ["sh", "-c", "echo 'H200, 570.1, 143771 MiB'"]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "CUDA_VISIBLE_DEVICES hides it" in graphics(command, tmp_path).told
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert graphics(command, tmp_path).state == "ok"
    line = graphics(["no-such-program"], tmp_path)  # the folder stands for a loaded driver
    assert (line.state, "no-such-program is missing" in line.told) == ("fault", True)


def test_the_folder_of_temporary_files_is_short_and_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = tmp_path / ("a" * 40)
    deep.mkdir()
    line = temporary(deep)
    assert (line.state, "at most 35 characters" in line.way) == ("fault", True)
    assert temporary(Path("/tmp")).state in ("ok", "warning")
    monkeypatch.setattr(machine, "_FULL", 0.0)
    assert temporary(Path("/tmp")).state == "warning"
