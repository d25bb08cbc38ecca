"""The rules of the house that no linter keeps."""

import ast
import re
import subprocess
import warnings

import pytest

from tests.places import ROOT

PACKAGE, TESTS, JOBS = ROOT / "pdray", ROOT / "tests", ROOT / "jobs"

MAX_LINES, LONG_LINES = 500, 300
MAX_FUNCTION_LINES = {"pdray/training/loop/worker.py": 80}  # the one loop worth reading whole
MAX_JOB_LINES = 60
FORBIDDEN_NAMES = {"utils", "util", "helpers", "common", "misc", "base", "manager", "core"}
REGISTRIES = {
    f"{one}/__init__.py"
    for one in ("pdray", "pdray/checks", "pdray/models", "pdray/report/figures")
}
# Tests of families of modules and of the documentation, and what tests share: they mirror no
# package.
FREE_FOLDERS = {"contracts", "crash", "docs", "earlier", "fixtures", "integration", "journey"}
# Written so that this file does not match itself.
MACHINE_PATH = re.compile(r"(?<![\w.$}])/(?:work|root|tmp)/\w")


def sources(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def modules():
    return [path for path in sources("pdray") if path.name != "__init__.py"]


def mirror_of(path):
    """Return the folder of the tests of a module."""
    parents = path.parents
    return TESTS / path.relative_to(PACKAGE if PACKAGE in parents else ROOT).parent


def versioned_files():
    """Return every file that is or would be under version control."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def test_there_is_something_to_check():
    assert len(modules()) > 10
    assert len(sources("tests")) > 10


def test_every_package_has_its_tests():
    lacking = {
        name_of(mirror_of(path))
        for path in [*modules(), *sources("jobs", "benchmarks")]
        if not list(mirror_of(path).glob("test_*.py"))
    }
    assert not lacking, "\n".join(sorted(lacking))


def test_every_job_has_its_test():
    lacking = [
        name_of(path)
        for path in sources("jobs")
        if not (TESTS / "jobs" / f"test_{path.name}").exists()
    ]
    assert not lacking, "\n".join(lacking)


def test_tests_stand_in_the_folder_of_a_package():
    known = {mirror_of(path) for path in [*modules(), *sources("jobs", "benchmarks")]}
    strays = [
        name_of(path)
        for path in sorted(TESTS.rglob("test_*.py"))
        if path.parent not in known and path.relative_to(TESTS).parts[0] not in FREE_FOLDERS
    ]
    assert not strays, "\n".join(strays)


@pytest.mark.filterwarnings("default::UserWarning")
def test_files_have_at_most_500_lines_and_a_warning_from_300():
    files = sources("pdray", "jobs", "benchmarks", "tests")
    lines = {name_of(path): len(path.read_text().splitlines()) for path in files}
    long = [f"{name} ({count})" for name, count in lines.items() if count > LONG_LINES]
    if long:
        warnings.warn(f"over {LONG_LINES} lines, one idea each? {', '.join(long)}", stacklevel=1)
    assert {name: count for name, count in lines.items() if count > MAX_LINES} == {}


def test_jobs_have_at_most_60_lines():
    long = {name_of(path): len(path.read_text().splitlines()) for path in sources("jobs")}
    assert {name: lines for name, lines in long.items() if lines > MAX_JOB_LINES} == {}


def test_functions_fit_a_screen():
    long = []
    for path in sources("pdray", "jobs"):
        limit = MAX_FUNCTION_LINES.get(name_of(path), 60)
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                if lines > limit:
                    long.append(f"{name_of(path)}: {node.name} has {lines} lines")
    assert not long, "\n".join(long)


def test_names_say_what_is_inside():
    named = [path for path in (ROOT / "pdray").rglob("*") if path.suffix == ".py" or path.is_dir()]
    assert [name_of(path) for path in named if path.stem in FORBIDDEN_NAMES] == []


def test_inits_hold_the_purpose_of_their_folder_and_nothing_else():
    wrong = []
    for path in sources("pdray"):
        if path.name != "__init__.py" or name_of(path) in REGISTRIES:
            continue
        body = ast.parse(path.read_text()).body
        if len(body) != 1 or not isinstance(body[0], ast.Expr):
            wrong.append(f"{name_of(path)}: needs one docstring and nothing else")
    assert not wrong, "\n".join(wrong)


def test_the_tree_of_the_readme_has_each_package_with_its_purpose():
    shown = [line.split(maxsplit=1) for line in (ROOT / "README.md").read_text().splitlines()]
    for init in sources("pdray"):
        if init.name == "__init__.py" and init.parent != PACKAGE:
            purpose = ast.get_docstring(ast.parse(init.read_text())).splitlines()[0]
            assert [f"{init.parent.name}/", purpose] in shown, name_of(init)


def test_the_first_line_of_a_module_says_what_it_is_or_does():
    questions = ("What ", "Which ", "How ", "Where ", "When ", "Whether ", "Whose ")
    heads = {name_of(path): ast.get_docstring(ast.parse(path.read_text())) for path in modules()}
    assert [name for name, head in heads.items() if head and head.startswith(questions)] == []
    assert [name for name, head in heads.items() if not head] == []


def test_sources_are_ascii():
    files = sources("pdray", "jobs", "benchmarks", "tests")
    assert [name_of(path) for path in files if not path.read_bytes().isascii()] == []


def test_no_machine_path_in_a_versioned_file():
    files = versioned_files()
    assert len(files) > 20
    found = []
    for path in files:
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if match := MACHINE_PATH.search(line):
                found.append(f"{name_of(path)}:{number}: {match[0]}")
    assert not found, "\n".join(found)
