"""torchvision, as it can be imported and trained beside any build of torch.

The one place that imports it. Its published package is built against CUDA: beside a CPU build of
torch its compiled library does not load, and ``import torchvision`` ends with "operator
torchvision::nms does not exist", since its registrations ask for two operators that the library
would have defined. Declaring the two is enough; what has a Python fallback (``roi_align``) uses it.
Where the library loads, nothing is declared: a second definition of the namespace would be refused.
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
    """Import torchvision, on the first call only, since it takes about a second.

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
        Whether they are there and fit this torch; loading them again changes nothing.
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
    """Declare the operators that ``import torchvision`` asks for.

    Returns:
        The library; the declarations end with it, so it is kept for the life of the process.
    """
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(f"{name}{SCHEMA}")  # type: ignore[no-untyped-call]
    return library
