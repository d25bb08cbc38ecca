"""A job says what it does: lines after a silence, or one live line on a terminal."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from pdray import display
from pdray.display import detail, say, shown, step

# Two steps, a count and a line; then a wait that Ctrl-C ends.
JOB = """
import sys, time
from pdray.command import run_job
from pdray.config import Settings
from pdray.display import detail, say, step

def work(words):
    with step("starting Ray"):
        time.sleep(0.6)
    with step("decoding recordings") as now:
        count = now.counting(say, "frames: {} recordings")
        for done in range(1, 4):
            time.sleep(0.3)
            count(done, 3)
    with step("training"):
        detail("trial 0")
        time.sleep(0.6)
        say("trial 0 complete")
        if words:
            time.sleep(60)
    return "the report"

sys.exit(run_job(sys.argv[1:], work, about="", settings=Settings, resume="run 'it again'"))
"""


def test_a_silent_step_is_told_with_its_time_and_what_it_does_now(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seconds in {"FIRST": 0.02, "NEW": 0.05, "QUIET": 0.2}.items():
        monkeypatch.setattr(display, f"{name}_SECONDS", seconds)
    monkeypatch.setattr(display, "TICK_SECONDS", 0.01)
    with shown(), step("outer fold 1 of 5"):
        with step("training"):
            detail("trial 3")
            time.sleep(0.1)
            say("trial 3 complete")
            time.sleep(0.5)
        with step("scoring") as now:
            now.counting(say, "{} scores")(1, 4)
            time.sleep(0.1)
    told = capsys.readouterr().out.splitlines()
    training = [re.sub("[01] s so", "0 s so", line) for line in told[: told.index("1/4 scores")]]
    line = "working    outer fold 1 of 5: training, trial 3, 0 s so far"
    assert training[:3] == [line, "trial 3 complete", line]
    assert 3 <= training.count(line) <= 5  # every fifth of a second, not every tick
    assert told[-1] == "working    outer fold 1 of 5: scoring 1/4, 0 s so far"


def test_steps_outside_a_job_print_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(display, "FIRST_SECONDS", 0.0)
    with step("training") as now:
        now.counting(say, "{} recordings")(2, 2)
        time.sleep(0.05)
    assert capsys.readouterr().out == "2/2 recordings\n"


@pytest.mark.parametrize(
    ("total", "lines"),
    [
        (25, [f"{done}/25 recordings" for done in (3, 5, 8, 10, 13, 15, 18, 20, 23, 25)]),
        (2, ["1/2 recordings", "2/2 recordings"]),
    ],
)
def test_a_log_gets_a_line_for_every_tenth(
    total: int, lines: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with shown(), step("decoding") as now:
        count = now.counting(say, "{} recordings")
        for done in range(1, total + 1):
            count(done, total)
        say("the end")
    assert capsys.readouterr().out.splitlines() == [*lines, "the end"]


def on_a_terminal(*words: str, interrupt_at: str = "") -> tuple[str, int]:
    """Run the job on a terminal of 80 columns; return all it wrote, and its exit code."""
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", JOB, *words], stdin=its, stdout=its, stderr=its, env=environment
    )
    os.close(its)
    written = b""
    while True:
        try:
            part = os.read(mine, 4096)
        except OSError:  # the job has ended
            break
        written += part
        if not part:
            break
        if interrupt_at and interrupt_at.encode() in written:
            process.send_signal(signal.SIGINT)
            interrupt_at = ""
    os.close(mine)
    return written.decode(), process.wait(timeout=30)


def screen(written: str) -> list[str]:
    """Return the lines that stand on a terminal in the end."""
    lines = []
    for line in written.split("\r\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_a_terminal_has_one_live_line_and_is_clean_in_the_end() -> None:
    written, code = on_a_terminal()
    assert code == 0
    assert "0 s starting Ray" in written
    assert re.search(r"decoding recordings \|[^|]+\| 2/3", written)
    assert "0 s training, trial 0" in written
    assert screen(written) == ["trial 0 complete", "the report", ""]


def test_ctrl_c_leaves_a_clean_terminal_and_the_words_that_continue() -> None:
    written, code = on_a_terminal("wait", interrupt_at="trial 0 complete")
    assert code == 130
    assert screen(written) == ["trial 0 complete", "interrupted; run 'it again': wait", ""]


def test_a_pipe_gets_no_escape_codes_and_no_live_line() -> None:
    ran = subprocess.run([sys.executable, "-c", JOB], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-5:] == [
        *(f"frames: {done}/3 recordings" for done in (1, 2, 3)),
        "trial 0 complete",
        "the report",
    ]
    assert not re.search(r"[\r\x1b]", ran.stdout + ran.stderr)
