from benchmarks.startup import ROOT, measure


def test_a_process_costs_time_on_a_cpu() -> None:
    assert 0 < measure(ROOT / "jobs" / "sync_tracking.py", ["--help"]) < 60
