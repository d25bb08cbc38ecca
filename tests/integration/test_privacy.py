"""Nothing that leaves the room after a study says who took part in it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import psutil
import pytest

from pdray.config import build
from pdray.explain.run import explain
from pdray.explain.settings import ExplainConfig
from tests.fixtures.telltale import WORDS, found, leaks, telltale_rows
from tests.integration.conftest import Job

pytestmark = pytest.mark.integration


def listening(pid: int) -> set[str]:
    """Return the addresses on which a process and those that it started take connections."""
    processes = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    found = [one for process in processes for one in process.net_connections("tcp")]
    return {
        one.laddr.ip.removeprefix("::ffff:") for one in found if one.status == psutil.CONN_LISTEN
    }


def test_no_pseudonym_name_date_or_rare_fact_leaves_the_room(
    tiny_manifest: Callable[..., Path],
    write_manifest: Callable[..., Path],
    tmp_path: Path,
) -> None:
    tiny_manifest(12)
    rows = telltale_rows(sorted((tmp_path / "videos").iterdir()), tmp_path)
    job = Job(write_manifest(rows), tmp_path / "job")
    job.folder.mkdir()
    alike = 'data.different_subjects=[["Quokka 1","Quokka 01"]]'
    words = ["search.trials=1", "optim.epochs=1", "snippet.num_frames=8", alike]
    process = job.start(*job.words(*words))
    job.wait_for_epochs(process, 1)
    assert listening(process.pid) == {"127.0.0.1"}
    out, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert found(out + errors) == []
    assert [path for path in job.output.rglob("*") if path.stat().st_mode & 0o077] == []

    sent = job.output / "mlflow_files"
    tables = list(sent.rglob("predictions.parquet"))
    assert len(tables) == 2
    assert set(pd.read_parquet(tables[0])["subject_id"]) <= {f"P{n:02d}" for n in range(1, 13)}
    assert {path.name for path in sent.rglob("*")} >= {"report.txt", "checks.json", "numbers.csv"}
    assert not [path for path in sent.rglob("*") if path.name in ("private", "subjects.csv")]
    assert leaks(sent) == []
    assert leaks(job.output / "mlflow.db") == []
    assert (job.study() / "report" / "report.html").is_file()
    assert leaks(job.study() / "report") == []

    lines: list[str] = []
    asked = {"study": job.study(), "output": tmp_path / "maps", "videos": True}
    told = explain(build(ExplainConfig, asked), lines.append)
    assert told.videos == ()
    assert found("\n".join([*lines, told.report])) == []
    for table in [*told.folder.glob("*.csv"), *told.folder.glob("*.parquet")]:
        table.unlink()  # they stay
    assert leaks(told.folder) == []

    # The search finds them where they are.
    kept = {word for _, word in leaks(job.study())}
    assert kept >= set(WORDS) - {"numbat"}
    shutil.copy(job.study() / "private" / "recordings.parquet", sent)
    assert leaks(sent)
