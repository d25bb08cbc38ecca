from pathlib import Path

import pytest

from jobs.explain import main
from pdray.explain import run as explaining
from pdray.explain.run import Explanation
from tests.fixtures.tiny_study import make_study, render_faces


def test_help_says_who_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    assert "winner of a study looks at in test recordings" in capsys.readouterr().out


def test_the_job_runs_to_its_end_on_a_rendered_cohort(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    study = make_study(tmp_path / "output", render_faces(tmp_path / "faces"))
    words = [f"study={study.folder}", f"output={tmp_path / 'maps'}", "layers=[layer3]"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "recordings 3 of 3 test recordings, none used in training" in told
    assert "silhouette by class" in told
    assert f"videos     3 files in {tmp_path / 'maps' / 'videos'}: THEY SHOW SYNTHETIC" in told
    assert len(list((tmp_path / "maps" / "videos").glob("*.mp4"))) == 3
    assert main([*words, "layers=[layer3x]"]) == 2
    assert "got 'layer3x'; did you mean 'layer3'?" in capsys.readouterr().err


def test_without_videos_nothing_is_said_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Explanation(tmp_path, (), "the report", False)
    monkeypatch.setattr(explaining, "explain", lambda config, say, device: done)
    assert main([f"study={tmp_path}", f"output={tmp_path}"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "", "the report", "", f"tables     {tmp_path}",
    ]  # fmt: skip


def test_videos_of_a_real_cohort_are_said_to_show_patients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    done = Explanation(tmp_path, (tmp_path / "videos" / "R.mp4",), "the report", False)
    monkeypatch.setattr(explaining, "explain", lambda config, say, device: done)
    assert main([f"study={tmp_path}", f"output={tmp_path}"]) == 0
    expected = f"1 files in {tmp_path / 'videos'}: THEY SHOW THE PATIENTS; nothing was sent to trac"
    assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "'study' is missing"),
        (["study=nowhere", "output=/out"], "got 'nowhere', which has no study.json"),
        (["study=x", "output=maps"], "output: got 'maps'; write an absolute path"),
        (["study=x", "output=/out", "layer=[a]"], "did you mean 'layers'"),
        (["study=x", "output=/out", "shown_class=-1"], "shown_class: got -1"),
    ],
)
def test_mistakes_are_told_with_exit_code_2(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 2
    assert message in capsys.readouterr().err


def test_an_output_that_cannot_be_made_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("kept")
    assert main([f"study={tmp_path / 'study'}", f"output={tmp_path / 'file' / 'k'}"]) == 2
    told = capsys.readouterr().err
    assert f"output: nothing can be written into {tmp_path / 'file' / 'k'}: " in told
