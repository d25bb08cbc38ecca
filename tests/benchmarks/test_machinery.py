from pathlib import Path

from benchmarks.machinery import plan_of, proposal_seconds, pruner_seconds


def test_proposals_and_the_start_of_the_pruner_are_timed(tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.csv"
    own, plain = proposal_seconds(plan_of(manifest, 3), tmp_path, 3)
    assert own > 0
    assert plain > 0
    assert pruner_seconds(tmp_path, 2, 10) > 0
