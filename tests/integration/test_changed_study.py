"""A study whose files were changed between two sessions, or whose trial was lost, ends the same."""

from collections.abc import Callable

import pytest

from tests.integration.conftest import Job, kill_all, kill_named

pytestmark = [pytest.mark.integration, pytest.mark.chaos]


def flip_frame(job: Job) -> None:
    """Flip one bit in the middle of an entry of the frame store."""
    path = sorted((job.output / "store").glob("??/*.arrow"))[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def flip_last_tensor(job: Job) -> None:
    """Flip one bit in the middle of the checkpoint of the trial that runs."""
    (path,) = job.study().glob("trials/*/checkpoint.pt")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_study_whose_files_were_lost_or_whose_trial_was_given_up_ends_the_same(
    make_job: Callable[[str], Job],
) -> None:
    settings = ["search.max_concurrent_trials=1", "optim.epochs=3"]
    whole, hit, lost = make_job("whole"), make_job("hit"), make_job("lost")
    done = whole.run(*whole.words(*settings))
    assert done.returncode == 0, done.stderr

    process = hit.start(*hit.words(*settings))
    hit.wait_for_epochs(process, 11)  # of trial 1 in its second fold
    kill_all(process)
    flip_last_tensor(hit)
    flip_frame(hit)
    (hit.study() / "optuna.db").unlink()
    done = hit.run("--resume", f"output={hit.output}")
    assert done.returncode == 0, done.stderr
    assert "optuna.db is missing; it was made again from the logs of 2 trials" in done.stdout
    assert "the stored frames of 1 of " in done.stdout
    assert "study trial 1: " in done.stdout
    assert "the trial goes on from the start of fold 2, with the same results" in done.stdout
    assert hit.outcome() == whole.outcome()

    process = lost.start(*lost.words(*settings))
    for _ in range(4):  # in its first epoch, whose first batch takes seconds
        kill_named(process, "ray::study trial 0")
    out, err = process.communicate(timeout=200)
    assert process.returncode == 2, out + err
    assert "Traceback" not in err
    assert "trials 0 were given up" in err
    # A process may be killed before it writes the log of trial 0.
    last = lost.trials()[-1]
    assert (last["number"], last["state"]) == (1, "complete")
    assert not (lost.study() / "winner").exists()
    done = lost.run("--resume", f"output={lost.output}")
    assert done.returncode == 0, done.stderr
    assert lost.outcome() == whole.outcome()

    (lost.study() / "trials/0001/epochs.jsonl").write_text("")
    done = lost.run("--resume", f"output={lost.output}", "search.name=study")
    assert done.returncode == 2
    assert "0001/epochs.jsonl: has another content than the study wrote" in done.stderr
