"""A wheel in a fresh environment, outside the checkout; and the page on plug-ins, step by step."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from pdray.tracking.run_log import StudyLog
from tests.places import ROOT

pytestmark = pytest.mark.integration

BUILT = ("pdray", "jobs", "search_spaces", "setup.py", "pyproject.toml", "README.md")
PAGE = ROOT / "docs" / "how-to" / "plug-in.md"
QUIET = ("install", "-q", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")


def run(*words: str | Path, folder: Path) -> str:
    """Run a command that must succeed, without the checkout on its path; return its output."""
    env = {name: text for name, text in os.environ.items() if name != "PYTHONPATH"}
    env |= {"HOME": str(folder), "OMP_NUM_THREADS": "1", "COLUMNS": "100"}
    done = subprocess.run(
        [str(word) for word in words],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder whose .venv has pdray from a wheel, and other packages from this one."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    for name in BUILT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        source.mkdir(exist_ok=True)
        copy(ROOT / name, source / name)
    here = folder / "elsewhere"
    run(sys.executable, "-m", "venv", "--without-pip", here / ".venv", folder=folder)
    python = here / ".venv" / "bin" / "python"
    paths = run(
        python, "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])", folder=here
    )
    Path(paths.strip(), "reused.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n")
    run(sys.executable, "-m", "pip", "--python", python, *QUIET, source, folder=folder)
    shutil.rmtree(source)
    return here


def test_jobs_and_their_settings_are_found_wherever_it_is_installed(elsewhere: Path) -> None:
    bin = elsewhere / ".venv" / "bin"
    place = run(bin / "python", "-c", "import pdray; print(pdray.__file__)", folder=elsewhere)
    assert place.startswith(str(elsewhere))
    listed = run(bin / "pdray", "--help", folder=elsewhere)
    assert all(path.stem.replace("_", "-") in listed for path in ROOT.glob("jobs/*.py"))
    from_file = run(bin / "pdray", "tune-fusion", "--help", folder=elsewhere)
    assert re.search(r"model\.name +fusion ", from_file)
    tables = run(bin / "pdray", "reproduce", "--help", folder=elsewhere)
    assert "tsa.table5" in tables
    named = ("--config", "search_spaces/demo.yaml", "--help")
    assert "usage: pdray tune-tsa" in run(bin / "pdray", "tune-tsa", *named, folder=elsewhere)


@pytest.mark.slow
def test_the_steps_of_the_page_on_plug_ins(elsewhere: Path) -> None:
    shutil.copytree(ROOT / "examples", elsewhere / "examples")
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    commands = [re.sub(r"\s*\\\n\s*", " ", block).split() for block in blocks]
    assert [words[0] for words in commands].count(".venv/bin/pdray") == 3
    assert len(commands) == 6
    told = []
    for words in commands:
        if "pip" in words:  # this environment has no pip of its own; nothing is downloaded
            pip = (sys.executable, "-m", "pip", "--python", elsewhere / words[0])
            given = [*QUIET, words[-1]] if "install" in words else words[3:]
            told.append(run(*pip, *given, folder=elsewhere))
        else:
            here = [word.replace("$PWD", str(elsewhere)) for word in words]
            told.append(run(*here, folder=elsewhere))
    assert re.search(r"model\.num_features +8 ", told[2])
    assert "1 passed" in told[3]
    assert "SYNTHETIC" in told[4]
    study = StudyLog(elsewhere / "pdray_output" / "studies" / "two_convolutions")
    assert study.is_complete()
    assert study.read()["tags"]["plugin.pdray-two-convolutions"] == "0.1.0"
    output = f"output={elsewhere / 'pdray_output'}"
    resumed = subprocess.run(
        [
            elsewhere / ".venv/bin/pdray",
            "tune-tsa",
            "--resume",
            output,
            "search.name=two_convolutions",
        ],
        cwd=elsewhere,
        capture_output=True,
        text=True,
        check=False,
    )
    assert resumed.returncode == 2
    assert resumed.stderr == (
        "error: study two_convolutions used plug-ins that are not installed here: "
        "pdray-two-convolutions==0.1.0; install them: pip install pdray-two-convolutions==0.1.0\n"
    )
