import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdray import plugins
from pdray.errors import PluginError
from pdray.losses.entry import LossEntry
from tests.fixtures.plugin_made import install
from tests.places import ROOT

LOSS = "from pdray.losses.entry import LossEntry\nENTRY = LossEntry('zz_poly:poly')\n"
MODEL = """
from typing import Literal
from pydantic import Field
from pdray.models.entry import ModelEntry, ModelSettings

class PatchConfig(ModelSettings):
    name: Literal["{name}"] = Field("{name}", description="architecture")
    width: int = Field(8, description="width")

ENTRY = ModelEntry(settings=PatchConfig, description="patches", builder="{builder}")
"""
METRIC = """
from pdray.evaluation.metrics import Metric
ENTRY = Metric(lambda y, p: float((p.argmax(1) == y).all()), lambda y, p: None, True, "all right")
"""


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Yield a folder of packages in which plug-ins are found, as in a process of its own."""
    monkeypatch.setattr(plugins, "ENABLED", True)
    monkeypatch.setattr(plugins, "_faults", [])
    monkeypatch.setattr(plugins, "_packages", {})
    plugins._unknown_groups.cache_clear()
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    plugins._unknown_groups.cache_clear()


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "COLUMNS": "100"}
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


def test_a_part_is_found_with_its_package_and_version(alone: Path) -> None:
    install(alone, "zz-poly", {"pdray.losses": {"poly": "zz_poly:ENTRY"}}, LOSS)
    found = plugins.parts("pdray.losses", LossEntry, ["focal"])
    assert found == {"poly": LossEntry("zz_poly:poly")}
    plugins.refuse_faults()
    assert plugins.used([("pdray.losses", "poly"), ("pdray.losses", "focal")]) == {"zz-poly": "1.5"}
    assert plugins.used([("pdray.models", "poly")]) == {}


@pytest.mark.parametrize(
    ("points", "code", "told"),
    [
        ({"poly": "zz_bad:ENTRY"}, "import no_such_module_at_all", "cannot be imported: ModuleNot"),
        ({"poly": "zz_bad:ENTRY"}, "1 / 0", "cannot be imported: ZeroDivisionError: division by"),
        ({"poly": "zz_bad:ENTRY"}, "", "cannot be imported: AttributeError: "),
        ({"poly": "zz_bad:ENTRY"}, "ENTRY = 3", "expected a LossEntry, got 3"),
        ({"focal": "zz_bad:ENTRY"}, LOSS, "pdray has this name already; choose another"),
        (
            {"poly": "zz_bad:ENTRY"},
            LOSS.replace("'zz_poly:poly'", "'zz_poly:poly', ('beta',)"),
            "cannot be imported: ValueError: no loss takes beta; use some of gamma, alpha",
        ),
    ],
)
def test_a_part_that_cannot_be_used_is_a_fault_of_the_plug_in(
    points: dict[str, str], code: str, told: str, alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(alone, "zz-bad", {"pdray.losses": points}, code)
    monkeypatch.delitem(sys.modules, "zz_bad", raising=False)
    assert plugins.parts("pdray.losses", LossEntry, ["focal"]) == {}
    with pytest.raises(PluginError) as caught:
        plugins.refuse_faults()
    name = next(iter(points))
    assert f"plug-in zz-bad 1.5: pdray.losses '{name}' = zz_bad:ENTRY: {told}" in str(caught.value)
    assert str(caught.value).endswith("or remove it: pip uninstall zz-bad")


def test_two_plug_ins_of_one_name_and_an_unknown_group_are_refused(alone: Path) -> None:
    install(alone, "zz-poly", {"pdray.losses": {"poly": "zz_poly:ENTRY"}}, LOSS)
    install(alone, "zz-second", {"pdray.losses": {"poly": "zz_second:ENTRY"}}, LOSS)
    install(alone, "zz-third", {"pdray.loss": {"other": "zz_third:ENTRY"}}, LOSS)
    assert list(plugins.parts("pdray.losses", LossEntry, [])) == ["poly"]
    with pytest.raises(PluginError) as caught:
        plugins.refuse_faults()
    assert "plug-ins, 2 faults:" in str(caught.value)
    assert "has this name already; choose another" in str(caught.value)
    assert "plug-in zz-third: there is no group pdray.loss; groups: pdray.models, " in str(
        caught.value
    )


def test_a_study_says_what_to_install(alone: Path) -> None:
    tags = {"source": "abc", "plugin.zz-gone": "2.1", "plugin.zz-poly": "1.0"}
    install(alone, "zz-poly", {"pdray.losses": {"poly": "zz_poly:ENTRY"}}, LOSS)
    with pytest.raises(PluginError, match=r"^study gait used .*: pip install zz-gone==2\.1$"):
        plugins.require(tags, "gait")
    plugins.require({"source": "abc", "plugin.zz-poly": "1.0"}, "gait")  # another version is noted


def test_jobs_know_a_plug_in_whichever_module_is_imported_first(tmp_path: Path) -> None:
    code = MODEL.format(name="patches", builder="zz_patches:build")
    install(tmp_path, "zz-patches", {"pdray.models": {"patches": "zz_patches:ENTRY"}}, code)
    install(tmp_path, "zz-poly", {"pdray.losses": {"poly": "zz_poly:ENTRY"}}, LOSS)
    install(tmp_path, "zz-exact", {"pdray.metrics": {"exact": "zz_exact:ENTRY"}}, METRIC)
    shown = run(tmp_path, "jobs/tune_tsa.py", "--help", "model.name=patches")
    assert shown.returncode == 0, shown.stderr
    assert re.search(r"^  model\.width +8 +width$", shown.stdout, re.MULTILINE)
    # As a Ray worker does that unpickles the settings of a trial.
    words = "['data.manifest=x', 'model.name=patches', 'loss.kind=poly', 'search.metric=exact']"
    script = (
        "import zz_exact, zz_poly, zz_patches\n"
        "from pdray.search.plan import load_study\n"
        f"plan = load_study({words})\n"
        "assert type(plan.config.model) is zz_patches.PatchConfig\n"
        "print(plan.plugins)\n"
    )
    ran = run(tmp_path, "-c", script)
    assert ran.stdout == "{'zz-exact': '1.5', 'zz-patches': '1.5', 'zz-poly': '1.5'}\n", ran.stderr


@pytest.mark.parametrize(
    ("name", "builder", "told"),
    [
        ("others", "zz_patches:build", "its settings have the name 'others'"),
        ("patches", "build", "patches: got 'build'; give a builder as 'module:function'"),
    ],
)
def test_a_wrong_declaration_is_exit_code_2(
    name: str, builder: str, told: str, tmp_path: Path
) -> None:
    code = MODEL.format(name=name, builder=builder)
    install(tmp_path, "zz-patches", {"pdray.models": {"patches": "zz_patches:ENTRY"}}, code)
    for words in (["--help"], ["data.manifest=/x.csv"]):
        refused = run(tmp_path, "jobs/tune_tsa.py", *words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert refused.stderr.startswith("error: plug-ins: plug-in zz-patches 1.5: pdray.models")
        assert told in refused.stderr
        assert "Traceback" not in refused.stderr
