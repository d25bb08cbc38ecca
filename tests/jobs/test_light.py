"""Help and the refusal of a misspelt key load no heavy library: it would take seconds."""

import pytest

from docs.settings import ROOTS
from pdray.config import Settings, leaves
from pdray.search.settings import StudyConfig
from pdray.testing.jobs import check_job
from tests.places import ROOT

JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))
WORDS = {"reproduce": ["--table", "tsa.table5"], "prepare": ["data.manifest=/x.csv"]}


@pytest.mark.parametrize("job", JOBS)
def test_every_job(job: str) -> None:
    check_job(f"jobs.{job}", words=WORDS.get(job, ()))


@pytest.mark.parametrize("root", [StudyConfig, *ROOTS.values()])
def test_every_setting_says_what_it_is(root: type[Settings]) -> None:
    assert [key for key, field in leaves(root) if not field.description] == []
