import os
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from jobs import sync_tracking
from pdray.console import SCRIPTS, main
from tests.fixtures.plugin_made import install
from tests.places import ROOT

JOBS = sorted(path.stem.replace("_", "-") for path in (ROOT / "jobs").glob("*.py"))
COUNT = '''"""Count the letters of a word.

usage: pdray count-letters word=WORD
"""


def main(argv):
    print(len(argv[0].removeprefix("word=")))
    return 7
'''
HEAVY = "print(*{'torch', 'ray', 'mlflow', 'pandas', 'sklearn'} & set(sys.modules))"


@pytest.fixture(autouse=True)
def _as_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put back the modules of jobs, whose help the command line shows in its own words."""
    for job in JOBS:
        name = f"jobs.{job.replace('-', '_')}"
        monkeypatch.setitem(sys.modules, name, import_module(name))


def told(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    assert main(words) == 0
    return capsys.readouterr().out.splitlines()


def run(code: str, *words: str, packages: Path | None = None) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(one) for one in (ROOT, packages) if one is not None)
    env = {**os.environ, "PYTHONPATH": path}
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def test_help_lists_every_job_with_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, "--help")
    assert lines == told(capsys)
    found = [line.split(maxsplit=1) for line in lines[lines.index("jobs:") + 1 :]]
    assert [name for name, _ in found] == JOBS
    assert dict(found)["sync-tracking"] == (sync_tracking.__doc__ or "").splitlines()[0]


@pytest.mark.parametrize("name", ["tune-fusion", "tune_fusion"])
def test_a_subcommand_is_the_job(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = told(capsys, name, "--help")
    assert "usage: pdray tune-fusion [--resume] [--config FILE] [key=value ...]" in lines
    assert not any("jobs/" in line for line in lines)
    assert main([name, "model.branches=rgb+voice", "data.manifest=/x.csv"]) == 2
    assert "voice" in capsys.readouterr().err


def test_mistakes_say_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tune-ts"]) == 2
    message = capsys.readouterr().err
    assert message.startswith("error: no job 'tune-ts': did you mean 'tune-tsa'? jobs: assemble-")
    assert main(["completion", "fish"]) == 2
    assert "pdray completion bash" in capsys.readouterr().err


def test_search_spaces_are_found_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("tune-tsa", "--help", "--config", "search_spaces/demo.yaml")
    shipped = told(capsys, *words)
    monkeypatch.chdir(tmp_path)
    assert told(capsys, *words) == shipped
    (tmp_path / "search_spaces").mkdir()
    (tmp_path / "search_spaces" / "demo.yaml").write_text("search: {trials: 77}")
    assert any("77" in line for line in told(capsys, *words))  # one's own comes first


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("pdray tune-", [name for name in JOBS if name.startswith("tune-")]),
        ("pdray compl", ["completion"]),
        ("pdray tune-tsa --res", ["--resume"]),
        ("pdray tune-tsa model.name=i", ["model.name=i3d", "model.name=intensity_head"]),
        ("pdray tune-tsa model.name=s3d model.d", ["model.dropout="]),
        ("pdray tune-fusion model.bra", ["model.branches="]),
        ("pdray tune-tsa data.fold", []),
        ("pdray tune-tsa optim.compiled=", ["optim.compiled=true", "optim.compiled=false"]),
        ("pdray reproduce --ta", ["--table"]),
    ],
)
def test_words_are_completed(
    line: str, expected: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert "\n".join(told(capsys, "--complete", line)).split() == expected


def test_completion_loads_no_heavy_library() -> None:
    code = f"import sys; from pdray.console import main; main(sys.argv[1:]); {HEAVY}"
    ran = run(code, "--complete", "pdray tune-tsa search.tr")
    assert ran.stdout == "search.trials=\n\n", ran.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [("pdray tune-tsa model.name=i3", "i3d"), ("pdray tune-tsa search.tri", "search.trials=")],
)
def test_bash_gets_what_stands_behind_its_last_break(line: str, expected: str) -> None:
    script = f"""
    pdray() {{ {sys.executable} -m pdray.console "$@"; }}
    compopt() {{ :; }}
    eval "$(pdray completion bash)"
    COMP_WORDBREAKS=$' \\t\\n"=:' COMP_LINE='{line}' COMP_POINT={len(line)}
    _pdray
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [expected]


@pytest.mark.parametrize("shell", SCRIPTS)
def test_a_shell_takes_its_script(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    subprocess.run([shell, "-n"], input=SCRIPTS[shell], text=True, check=True)


def test_a_job_of_a_plug_in_is_a_subcommand(tmp_path: Path) -> None:
    install(tmp_path, "zz-count", {"pdray.jobs": {"count-letters": "zz_count"}}, COUNT)
    code = "import sys; from pdray.console import main; sys.exit(main(sys.argv[1:]))"
    assert "count-letters          Count the letters of a word.\n" in (
        run(code, packages=tmp_path).stdout
    )
    ran = run(code, "count-letters", "word=four", packages=tmp_path)
    assert (ran.returncode, ran.stdout) == (7, "4\n")


def test_a_plug_in_s_module_that_is_no_job_is_named(tmp_path: Path) -> None:
    install(tmp_path, "zz-count", {"pdray.jobs": {"count": "zz_count", "prepare": "zz_count"}}, "")
    ran = run("import sys; from pdray.console import main; sys.exit(main([]))", packages=tmp_path)
    assert ran.returncode == 2
    assert "plug-in zz-count 1.5: pdray.jobs 'count' = zz_count: a job is a module" in ran.stderr
    assert "pdray.jobs 'prepare' = zz_count: pdray has this name already" in ran.stderr
