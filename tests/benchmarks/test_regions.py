import pytest

from benchmarks.regions import PAPER_HEAD, main, settings


def test_the_settings_are_those_of_the_search() -> None:
    kept = settings(False, {"model": {"frozen_stages": 4}})
    assert (kept.model.depth, kept.model.width_factor, kept.model.layout) == (50, 1.0, "vggface2")
    assert (kept.decode.height, kept.snippet.num_frames) == (224, 8)
    assert kept.views is not None
    assert kept.views.count == 1
    paper = settings(False, {"model": {**PAPER_HEAD, "frozen_stages": 3}})
    assert (paper.model.token_dim, paper.model.roi_size) == (768, 3)


@pytest.mark.integration
def test_the_quick_run_has_a_row_for_each_head_and_backbone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["size=quick"]) == 0
    printed = capsys.readouterr().out
    assert printed.count("clips/s") == 4
    assert "SYNTHETIC" in printed
    for what in ("all frozen, small head", "last stage trained, head of YouTubePD"):
        assert what in printed


def test_an_unknown_word_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["size=small"]) == 2
    assert "unknown: size=small; known: size=quick, size=full" in capsys.readouterr().out
