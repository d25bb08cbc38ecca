import io
import sys
import time

import pytest

from pdray.data.recordings_bar import recordings_bar


def test_a_log_gets_a_line_for_every_tenth() -> None:
    lines: list[str] = []
    with recordings_bar(lines.append) as progress:
        for done in range(1, 26):
            progress(done, 25)
    assert lines[0] == "3/25 recordings"
    assert lines[-1] == "25/25 recordings"
    assert len(lines) == 10


def test_of_few_recordings_each_has_its_line() -> None:
    lines: list[str] = []
    with recordings_bar(lines.append) as progress:
        for done in (1, 2):
            progress(done, 2)
    assert lines == ["1/2 recordings", "2/2 recordings"]


def test_a_terminal_gets_a_bar_and_no_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)

    def stop() -> None:
        with recordings_bar(pytest.fail) as progress:
            time.sleep(0.2)  # a bar is not drawn more often than ten times a second
            progress(3, 4)
            raise KeyError

    with pytest.raises(KeyError):
        stop()
    assert "3/4" in screen.getvalue()
    assert screen.getvalue().endswith("\r")  # cleared all the same
