"""Imports torchvision with any build of torch; the only module that imports it.

The published package is built for CUDA. With a CPU build of torch its compiled library does not
load, and ``import torchvision`` fails with "operator torchvision::nms does not exist", because two
operators of the library are missing. Declaring the two is enough; ``roi_align`` uses its Python
version. If the library loads, nothing is declared: torch refuses a second definition.
https://github.com/pytorch/vision/issues/9085
"""

import importlib
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


@cache
def load_torchvision() -> Any:
    """Import torchvision on the first call, since it takes about a second.

    Returns:
        The package: ``load_torchvision().models.video.s3d`` and so on.

    Raises:
        ModuleNotFoundError: If torchvision is not installed.
    """
    spec = find_spec("torchvision")
    origin = None if spec is None else spec.origin
    if origin and not _has_operators() and not loads_operators(Path(origin).parent):
        declare_operators()
    return importlib.import_module("torchvision")


def _has_operators() -> bool:
    return hasattr(torch.ops.torchvision, "nms")


def loads_operators(package: Path) -> bool:
    """Load the compiled operators as torchvision itself would.

    Args:
        package: Folder of the installed torchvision.

    Returns:
        Whether they exist and fit this torch; loading them again changes nothing.
    """
    for library in (package / f"_C{suffix}" for suffix in EXTENSION_SUFFIXES):
        if library.exists():
            try:
                torch.ops.load_library(library)  # type: ignore[no-untyped-call]
            except OSError:
                return False
            return True
    return False


@cache
def declare_operators() -> torch.library.Library:
    """Declare the operators that ``import torchvision`` needs.

    Returns:
        The library, which is kept until the process ends, since the declarations end with it.
    """
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}{SCHEMA}")  # type: ignore[no-untyped-call]
    return library
