import ast
import subprocess
import sys
from pathlib import Path

import pytest

import pdray
from pdray.models.layers import vision
from pdray.models.layers.vision import load_torchvision, loads_operators


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names.add(node.module.split(".")[0])
    return names


def test_no_other_file_imports_torchvision() -> None:
    files = list(Path(pdray.__file__).parent.rglob("*.py"))
    assert len(files) > 10
    assert [path.name for path in files if "torchvision" in imported(path)] == []


def test_torchvision_is_imported_once() -> None:
    package = load_torchvision()
    assert package is load_torchvision()
    assert package.__name__ == "torchvision"
    assert callable(package.models.video.r3d_18)
    assert callable(package.ops.roi_align)


@pytest.mark.integration
def test_a_fresh_process_imports_torchvision_only_when_asked() -> None:
    lines = (
        "import sys, pdray.models.networks.s3d, pdray.models.layers.vision as vision",
        "assert 'torchvision' not in sys.modules",
        "print(vision.load_torchvision().models.video.s3d.__name__)",
    )
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "s3d\n"


def test_a_library_that_does_not_load_is_no_library(tmp_path: Path) -> None:
    assert not loads_operators(tmp_path)
    (tmp_path / "_C.so").write_bytes(b"built against another torch")
    assert not loads_operators(tmp_path)


@pytest.mark.parametrize("fits", [True, False])
def test_operators_are_declared_only_where_the_library_does_not_load(
    monkeypatch: pytest.MonkeyPatch, fits: bool
) -> None:
    # A second definition of the namespace ends the process: it must not be tried.
    calls: list[Path] = []
    declared: list[str] = []

    def loads(folder: Path) -> bool:
        calls.append(folder)
        return fits

    monkeypatch.setattr(vision, "loads_operators", loads)
    monkeypatch.setattr(vision, "declare_operators", lambda: declared.append("declared"))
    monkeypatch.setattr(vision, "_has_operators", lambda: False)
    load_torchvision.__wrapped__()
    assert [folder.name for folder in calls] == ["torchvision"]
    assert declared == ([] if fits else ["declared"])


def test_declared_operators_are_not_declared_again(monkeypatch: pytest.MonkeyPatch) -> None:
    load_torchvision()  # whichever way, they are there now
    monkeypatch.setattr(vision, "loads_operators", lambda folder: pytest.fail("tried to load"))
    monkeypatch.setattr(vision, "declare_operators", lambda: pytest.fail("declared again"))
    assert load_torchvision.__wrapped__() is load_torchvision()
