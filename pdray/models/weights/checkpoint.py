"""Reads published weights files without running code from them.

The first bytes show the format; the name of the file does not matter, except for .safetensors:

    PK                   torch.save since torch 1.6: a zip archive, mapped into memory
    80 02 8a 0a 6c fc    torch.save before 1.6: the files of Hara and of piergiaj
    80, c, (, ]          a pickle of NumPy arrays: the file of VGGFace2
    name .safetensors    needs the package safetensors

``torch.load(weights_only=True)`` reads the first two: it makes only tensors, numbers, texts and
containers. :mod:`pdray.plain_pickle` reads the third.
"""

import importlib
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdray.errors import PdrayError, refuse
from pdray.plain_pickle import PlainPickleError, read_arrays

ZIP = b"PK\x03\x04"
OLD_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
"""torch.serialization.MAGIC_NUMBER as a pickle of protocol 2."""

WRAPPERS = ("state_dict", "model_state", "model_state_dict", "model", "network", "net")
"""Keys that hold the weights: Hara's, PyTorchVideo's and PySlowFast's, and other usual ones."""

PREFIXES = ("module.", "_orig_mod.")
"""Prefixes that ``nn.DataParallel`` and ``torch.compile`` add to each name."""

MOST_FAULTS = 5


class CheckpointError(PdrayError):
    """A weights file cannot be read, or does not fit the network."""


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """Read the weights of a file.

    Args:
        path: A file of torch.save, a pickle of NumPy arrays, or a .safetensors file.

    Returns:
        Tensors on the CPU by name, without the keys of ``WRAPPERS`` and without ``PREFIXES``.
        Those of a zip archive are mapped into memory.

    Raises:
        CheckpointError: If the file is missing, empty, cut off, not a weights file, or would run
            code; or if a tensor cannot be a weight (not finite, empty, wrong number format,
            negative variance). Names the file, the key and the value.
    """
    named = _unwrapped(path, _content(path))
    faults = [fault for name, value in named.items() if (fault := _fault(name, value))]
    if len(faults) > MOST_FAULTS:
        faults[MOST_FAULTS:] = [f"and {len(faults) - MOST_FAULTS} more tensors"]
    refuse(faults, CheckpointError, f"{path} has tensors that cannot be weights")
    return named


def _content(path: Path) -> object:
    """Read a file by its format."""
    try:
        with path.open("rb") as opened:
            start = opened.read(len(OLD_TORCH))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error.strerror}") from error
    if not start:
        raise CheckpointError(f"{path} is empty: 0 bytes; download or copy it again")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if start.startswith((ZIP, OLD_TORCH)):
        return _read_torch(path, is_zip=start.startswith(ZIP))
    return _read_pickle(path, start)


def _read_torch(path: Path, *, is_zip: bool) -> object:
    if is_zip and _is_torchscript(path):
        raise CheckpointError(
            f"{path} is a TorchScript archive, which holds code, as OpenAI's own files of CLIP do; "
            "take the same weights as .safetensors from transformers or open_clip, or save "
            "torch.jit.load(file).state_dict() with torch.save where you trust its source"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about old formats; a damaged file still raises
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_zip)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted is None:
            raise _damaged(path, str(error).rpartition("WeightsUnpickler error: ")[2]) from error
        raise CheckpointError(
            f"{path} was not read, because it would run code ({wanted[1]}); use a file of tensors "
            "only, as torch.save(network.state_dict(), ...) writes it"
        ) from error
    except (RuntimeError, ValueError, TypeError, AttributeError, LookupError, OSError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error
    except (EOFError, OverflowError, MemoryError, RecursionError, struct.error) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _is_torchscript(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, OSError):  # cut off, which torch says better
        return False


def _damaged(path: Path, reason: str) -> CheckpointError:
    return CheckpointError(
        f"{path} is cut off or damaged at {path.stat().st_size} bytes "
        f"({reason.partition('. ')[0].splitlines()[0]}); download or copy it again"
    )


def _read_pickle(path: Path, start: bytes) -> object:
    try:
        arrays = read_arrays(path.read_bytes())
    except PlainPickleError as error:
        raise CheckpointError(
            f"{path} is not a weights file (it starts with {start[:12]!r}): {error}; use a file of "
            "torch.save or a pickle of NumPy arrays"
        ) from error
    return {name: torch.from_numpy(array) for name, array in arrays.items()}


def _read_safetensors(path: Path) -> object:
    try:
        package: Any = importlib.import_module("safetensors")
        reader: Any = importlib.import_module("safetensors.torch")
    except ImportError as error:
        raise CheckpointError(
            f"{path} needs the package safetensors, which is not installed; run "
            "'pip install safetensors'"
        ) from error
    try:
        return reader.load_file(path)
    except (package.SafetensorError, OSError) as error:
        raise _damaged(path, str(error) or type(error).__name__) from error


def _unwrapped(path: Path, content: object) -> dict[str, Tensor]:
    """Return the named tensors of a file's content."""
    while isinstance(content, Mapping):
        inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"{path} holds a {type(content).__name__}; use a file that maps names to tensors"
        )
    if not content:
        raise CheckpointError(f"{path} holds no tensor; use a file that maps names to tensors")
    named = {}
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path} holds a {type(value).__name__} under {str(name)[:80]!r}; use a file that "
                f"maps names to tensors, at the top level or under {' or '.join(WRAPPERS)}"
            )
        named[name] = value.detach()
    while prefix := next((one for one in PREFIXES if all(n.startswith(one) for n in named)), ""):
        named = {name.removeprefix(prefix): value for name, value in named.items()}
    return named


def _fault(name: str, value: Tensor) -> str | None:
    """Return why a tensor cannot be a weight; None if it can."""
    shown = f"'{name}' {tuple(value.shape)} {value.dtype}"
    if value.layout != torch.strided or value.is_quantized or value.is_meta:
        return f"{shown} is sparse, quantised or has no data; expected a dense tensor"
    if value.is_complex() or value.dtype == torch.bool:
        return f"{shown}: expected floating point numbers, or integers for counters"
    if value.numel() == 0:
        return f"{shown} is empty"
    if value.numel() * value.element_size() > value.untyped_storage().nbytes():
        return (
            f"{shown} is larger than the {value.untyped_storage().nbytes()} bytes stored for it; "
            "expected a tensor without repeated values"
        )
    if not value.is_floating_point():
        return None
    num_wrong = value.numel() - int(value.isfinite().sum())
    if num_wrong:
        return f"{shown} has {num_wrong} values that are not finite; expected none"
    if name.endswith("running_var") and bool((value < 0).any()):
        return f"{shown} has the variance {value.min().item():g}; expected 0 or more"
    return None
