import numpy as np
import pytest

from benchmarks import clips
from benchmarks.compare import Row, best
from benchmarks.input import SECTIONS, main, positions
from pdray.data.media.seek import read_frames, scan
from pdray.data.media.settings import DecodeConfig


def test_an_unknown_section_is_refused_with_those_there_are(capsys):
    assert main(["sauce", "foulder=x"]) == 2
    told = capsys.readouterr().out
    assert "unknown: sauce, foulder" in told
    assert all(name in told for name in SECTIONS)


def test_a_row_says_whether_the_goal_is_reached():
    reached = Row("reading", 0.010, 0.020, "a rival", 2.0).told()
    assert "10.0" in reached
    assert "2.00x  >= 2x" in reached
    assert "BELOW 2.1x" in Row("reading", 0.010, 0.020, "a rival", 2.1).told()
    assert "0.3       1.5 GB" in Row("memory", 0.3, 1.5, "a limit", 1, "GB").told()


def test_the_least_cost_of_ways_taken_in_turn_counts(monkeypatch):
    monkeypatch.setattr("gc.collect", lambda: 0)  # seconds, beside all that other tests hold
    clock = iter([0.0, 5.0, 10.0, 11.0, 20.0, 22.0, 30.0, 39.0])
    order = []
    ways = [lambda: order.append("a"), lambda: order.append("b")]
    assert best(ways, rounds=2, clock=lambda: next(clock)) == [2.0, 1.0]
    assert order == ["a", "b", "a", "b"]


def test_positions_are_four_runs_of_frames_inside():
    wanted = positions(300, seed=0).reshape(4, 32)
    assert wanted.min() >= 0
    assert wanted.max() < 300
    assert (np.diff(wanted, axis=1) == 1).all()


@pytest.mark.parametrize("kind", clips.CLIPS, ids=lambda kind: kind.name)
def test_a_clip_has_the_key_frames_it_is_named_for(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(clips, "HEIGHT", 860)
    monkeypatch.setattr(clips, "WIDTH", 1120)
    small = clips.ClipKind(kind.name, kind.says, 35, {**kind.options, "preset": "ultrafast"})
    video = clips.draw(small, tmp_path)
    size = DecodeConfig(height=32, width=48)
    index = scan(video, size)
    assert index.num_frames == 35
    assert len(index.keyframes) == (2 if kind.name == "phone.mp4" else 1)
    frames = read_frames(video, index, np.array([0, 34]), size)
    assert (frames[0] != frames[1]).mean() > 0.5  # the camera moves
