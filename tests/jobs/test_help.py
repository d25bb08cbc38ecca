"""``--help`` and ``--help-all`` of all jobs, for the table of them and for every model."""

import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from docs.settings import ROOTS
from pdray.config import build, dump, leaves, written
from pdray.models import MODELS
from pdray.search.plan import load_study
from pdray.search.settings import StudyConfig
from tests.fixtures.job_words import read_words
from tests.places import ROOT

JOBS = sorted(path.stem for path in (ROOT / "jobs").glob("*.py"))
FIRST_TITLES = ("required keys:", "table or study:", "what is looked at:", "decode:", "settings:",
                "evaluation:")  # fmt: skip
WITH_MODELS = [*(job for job in JOBS if job.startswith("tune_")), "assemble_patients"]


@pytest.fixture(params=[80, 100])
def width(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    columns: int = request.param
    monkeypatch.setenv("COLUMNS", str(columns))
    return columns


def root_of(job: str) -> Any:
    return ROOTS.get(job, StudyConfig)


def told(job: str, *words: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert import_module(f"jobs.{job}").main(list(words)) == 0
    out: str = capsys.readouterr().out
    return out.splitlines()


def rows(lines: list[str]) -> dict[str, str]:
    """Return value and meaning, joined, of each key."""
    found: dict[str, str] = {}
    start = next(at for at, line in enumerate(lines) if line in FIRST_TITLES)
    for line in lines[start + 1 :]:
        key, _, rest = line.strip().partition(" ")
        if line.startswith("  ") and line[2] != " ":
            found[key] = rest.strip()
    return found


@pytest.mark.parametrize("job", JOBS)
def test_the_help_of_a_job_fits_a_screen_and_names_what_is_required(
    job: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(job, "--help", capsys=capsys)
    assert len(lines) <= 60
    assert max(map(len, lines)) <= width
    assert lines[2].startswith(f"usage: python jobs/{job}.py ")
    asked = [key for key, field in leaves(root_of(job)) if field.is_required()]
    if asked:
        start = lines.index("required keys:") + 1
        end = next(at for at, line in enumerate(lines) if at >= start and not line.startswith("  "))
        assert list(rows(lines[:end])) == asked
    assert set(asked) <= set(rows(lines)) <= set(dict(leaves(root_of(job))))


@pytest.mark.parametrize("job", JOBS)
def test_the_three_examples_of_a_job_are_accepted(
    job: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = told(job, "--help", capsys=capsys)
    start = lines.index("for example:") + 1
    text = "\n".join(lines[start : lines.index("", start)]).replace("\\\n", " ")
    examples = [shlex.split(line) for line in text.splitlines()]
    assert [words[:2] for words in examples] == [["python", f"jobs/{job}.py"]] * 3
    monkeypatch.chdir(ROOT)
    for words in examples:
        assert read_words(job, words[2:], tmp_path) is not None


@pytest.mark.parametrize("job", JOBS)
def test_help_all_lists_every_setting_whole(
    job: str, width: int, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = told(job, "--help-all", capsys=capsys)
    assert max(map(len, lines)) <= width
    known = dict(leaves(root_of(job)))
    shown = rows(lines)
    has_model = job.startswith("tune_") and job != "tune_tsa"
    lacking = {key for key in known.keys() - shown.keys() if not has_model or key[:6] != "model."}
    assert lacking == set()
    own = [key for key in shown if key[:6] != "model."]
    text = "".join("".join(lines).split())
    meanings = {key: "".join((known[key].description or "").split()) for key in own}
    assert [key for key, meaning in meanings.items() if meaning not in text] == []


def flattened(prefix: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings by dotted key."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        name = f"{prefix}.{key}"
        flat |= flattened(name, value) if isinstance(value, dict) else {name: value}
    return flat


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("job", WITH_MODELS)
def test_a_model_on_the_line_shows_its_settings_and_no_others(
    job: str, model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    flat = flattened("model", dump(build(MODELS[model].settings, {})))
    direct = {key for key in flat if key.count(".") == 1}
    for asked in ("--help", "--help-all"):
        lines = told(job, f"model.name={model}", asked, capsys=capsys)
        assert max(map(len, lines)) <= 80
        assert asked == "--help-all" or len(lines) <= 65  # the largest model has 24 settings
        shown = {key: text for key, text in rows(lines).items() if key.startswith("model.")}
        assert set(shown) <= set(flat)
        assert set(shown) >= (direct if asked == "--help" else set(flat))
        about = MODELS[model].description
        assert shown["model.name"].removeprefix(model).strip().startswith(about.split()[0])
        text = "".join("".join(lines).split())
        assert asked == "--help" or "".join(about.split()) in text
        if job == "tune_tsa":  # a job that starts from a file has its values
            start = {key: re.split('[,"]', written(flat[key]))[0] for key in shown}
            assert [key for key in shown if not shown[key].startswith(start[key])] == []


def test_the_network_below_a_probe_is_chosen_likewise(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["model.name=linear_probe", "model.backbone.name=x3d", "--help"]
    shown = rows(told("tune_tsa", *words, capsys=capsys))
    assert shown["model.backbone.name"].startswith("x3d ")
    assert "model.backbone.window_frames" in shown
    assert "model.backbone.layout" not in shown


@pytest.mark.parametrize(("words", "layout"), [([], "vggface2"), (["depth=101"], "torchvision")])
def test_defaults_below_a_fusion_are_those_that_it_would_have(
    words: list[str], layout: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [f"model.backbone.{word}" for word in words]
    shown = rows(told("tune_tsa", "model.name=fusion", *given, "--help-all", capsys=capsys))
    assert shown["model.backbone.layout"].startswith(f"{layout} ")
    plan = load_study(["data.manifest=x", "modality=several", "model.name=fusion",
                       "optim.epochs=1", *given])  # fmt: skip
    assert dump(plan.config)["model"]["backbone"]["layout"] == layout


def test_values_of_the_jobs_file_and_of_the_line_stand_in_the_place_of_defaults(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = rows(told("tune_fusion", "--help", "search.trials=7", "--resume", capsys=capsys))
    assert shown["model.name"].startswith("fusion ")
    assert shown["search.trials"].startswith("7 ")
    assert shown["optim.epochs"].startswith("1 ")
    assert "model.branches" not in shown
