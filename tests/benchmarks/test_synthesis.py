import pytest
import torch

from benchmarks import synthesis, translators
from benchmarks.translators import ProjectAll, half_rows, patch_rows
from pdray.models.layers.patch_heads import PatchHeads
from tests.fixtures.networks import draw, seeded


@pytest.fixture(autouse=True)
def smallest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(translators, "SIDE", 32)
    monkeypatch.setattr(translators, "BATCH", 1)


def test_projecting_all_places_gives_the_projections_of_the_sampled_ones():
    mine, rival = seeded(PatchHeads, (3, 5)), seeded(ProjectAll, (3, 5))
    maps = [draw(2, width, 6, 7, dtype=torch.float32) for width in (3, 5)]
    places = [torch.tensor([40, 0, 13]), torch.tensor([5, 41])]
    for one, other in zip(mine(maps, places), rival(maps, places), strict=True):
        torch.testing.assert_close(one, other)


def test_both_ways_of_a_step_have_the_same_losses_and_a_cost():
    ((row, is_same),) = patch_rows(is_quick=True)
    assert is_same
    assert row.goal == 1.5
    assert row.ours > 0
    assert row.rival > 0


def test_a_goal_for_bfloat16_needs_a_cpu_that_has_it(monkeypatch):
    goals = []
    for has_half in (True, False):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has_half: has)
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
        goals.append([row.goal for row in half_rows(is_quick=True)])
    assert goals == [[1.6, 1.6, 0], [0, 0, 0]]


def test_a_missed_goal_or_another_result_fails(monkeypatch, capsys):
    threads = torch.get_num_threads()
    row = synthesis.Row("step", 1.0, 1.2, "rival", 1.5)
    for rows, argv, code in (
        ([(row, True)], [], 1),
        ([(row, True)], ["quick=true"], 0),
        ([(row, False)], ["quick=true"], 1),
    ):
        monkeypatch.setattr(synthesis, "patch_rows", lambda rows=rows, **_: rows)
        monkeypatch.setattr(synthesis, "half_rows", lambda **_: [])
        monkeypatch.setattr(
            synthesis, "fid_row", lambda **_: synthesis.Row("FID", 1.0, 99.0, "roots", 50.0)
        )
        assert synthesis.main(argv) == code
    assert "BELOW 1.5x" in capsys.readouterr().out
    torch.set_num_threads(threads)
