"""Terms of methods are accepted once for each family, and the job says so."""

from dataclasses import replace

import pytest

from jobs.synthesize import main
from pdray.synthesis import copies
from pdray.synthesis.methods import METHODS
from tests.fixtures.agreeing import agreeing_cohort


@pytest.fixture
def words(tmp_path, monkeypatch):
    """Return the words of a method with the terms of pictures of faces, which is damp itself.

    It makes no faces, so that there is nothing to look for copies in.
    """
    monkeypatch.setattr(copies, "open_check", lambda *_: None)
    (tmp_path / "faces.pt").touch()
    monkeypatch.setitem(METHODS, "faces_like", replace(METHODS["damp"], terms="faces"))
    path, output = agreeing_cohort(tmp_path, [0, 4, 0]), tmp_path / "new.csv"
    return ["method=faces_like", "damp.factor=0.5", f"data.manifest={path}", f"output={output}"]


def test_a_method_of_faces_is_refused_until_its_terms_are_accepted(words, tmp_path, capsys):
    assert main(words) == 2
    told = capsys.readouterr().err
    assert "synthesis.accept_terms: method 'faces_like' makes pictures of faces. They are" in told
    assert "made-recordings.md). To accept: synthesis.accept_terms=[faces]" in told
    assert not (tmp_path / "new.made").exists()
    assert main([*words, "synthesis.accept_terms=[masks]"]) == 2
    assert "got 'masks'" in capsys.readouterr().err


def test_what_was_accepted_is_a_line_of_the_job_and_of_the_folder(words, tmp_path, capsys):
    given = f"synthesis.identity={tmp_path / 'faces.pt'}"
    assert main([*words, given, "synthesis.accept_terms=[faces]"]) == 0
    line = "terms      faces accepted: docs/explanation/made-recordings.md"
    assert line in capsys.readouterr().out.splitlines()
    assert line in (tmp_path / "new.made/SYNTHETIC.txt").read_text().splitlines()


def test_damp_has_no_terms(words, tmp_path, capsys):
    assert main(["method=damp", *words[1:]]) == 0
    assert "terms  " not in capsys.readouterr().out
    assert "accepted" not in (tmp_path / "new.made/SYNTHETIC.txt").read_text()
