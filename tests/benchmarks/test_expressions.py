import pytest

from benchmarks.expressions import main, settings


def test_the_network_is_the_paper_s_and_the_quick_one_is_tiny() -> None:
    assert (settings(False).image_width, settings(False).patch_size) == (768, 32)
    assert settings(True).image_width == 32
    assert settings(True, gate="frames").gate == "frames"


@pytest.mark.slow
def test_the_quick_run_has_every_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size=quick"]) in (0, 1)
    printed = capsys.readouterr().out
    assert "4 in the first batch, 0 in the next 3" in printed
    for what in ("texts in a step of batch 16", "memory of a step", "cached, gate frames",
                 "table of intensities, 80 fits"):  # fmt: skip
        assert what in printed


def test_an_unknown_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size=small"]) == 2
    assert "unknown: size=small; known: size=quick, size=full" in capsys.readouterr().out
