"""What MLflow shows of a trial."""

from pdray.tracking.shown import leaderboard, trial_params


def test_of_a_searched_file_only_its_name_is_shown() -> None:
    trial = {
        "number": 0, "state": "complete", "value": 0.5, "chosen_epoch": 0, "settings": {},
        "params": {"pretrained": "people/Roe/weights.pt", "loss.gamma": 2.0},
    }  # fmt: skip
    assert trial_params(trial) == {"pretrained": "weights.pt", "loss.gamma": "2.0"}
    assert leaderboard([trial], "mcc")["data"] == [[0, "complete", 0.5, 1, "", "weights.pt", 2.0]]
