"""Writes the files of an export: whole folders or none, tensors, copies of pdray's own files."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from pdray.atomic import file_digest, new_folder
from pdray.errors import SettingsError

SUMS = "SHA256SUMS"
_PACKAGE = Path(__file__).resolve().parents[1]
COPIED = (
    "data/__init__.py",
    "data/batches/__init__.py",
    "data/batches/snippet.py",
    "data/media/__init__.py",
    *(
        f"data/media/{name}.py"
        for name in (
            "cause", "container", "crop", "decode", "findings", "flow", "interlace", "libav_log",
            "limits", "movement_spectrum", "part", "picture", "picture_list", "source", "timeline",
            "tone",
        )
    ),
    "errors.py",
    "evaluation/__init__.py",
    "evaluation/statistics/__init__.py",
    "evaluation/statistics/scaled.py",
    "export/__init__.py",
    "export/reading.py",
)  # fmt: skip
"""Files of pdray that an export has whole."""
_INIT = '"""Files of pdray that the model of this folder needs, as they are in pdray."""\n'
_DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.int64: "I64", torch.uint8: "U8"}


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; on success it becomes ``path``, else it goes.

    Raises:
        SettingsError: If ``path`` exists.
    """
    refuse_existing(path)
    with new_folder(path) as temporary:
        yield temporary
        refuse_existing(path)


def refuse_existing(path: Path) -> None:
    """Refuse a folder that exists.

    Raises:
        SettingsError: If it does.
    """
    if path.exists() or path.is_symlink():
        raise SettingsError(
            f"output: {path} exists, and an export replaces nothing; choose another folder, or "
            "delete this one"
        )


def copy_files(folder: Path) -> None:
    """Copy ``predict.py`` and the files of pdray that it needs."""
    shutil.copyfile(Path(__file__).with_name("alone.py"), folder / "predict.py")
    for name in COPIED:
        target = folder / "pdray" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(_PACKAGE / name, target)
    (folder / "pdray" / "__init__.py").write_text(_INIT, encoding="utf-8")


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors in the format of safetensors: length of a JSON header, header, numbers.

    https://huggingface.co/docs/safetensors, "Format".
    """
    header, end = {}, 0
    for name, tensor in tensors.items():
        start, end = end, end + tensor.numel() * tensor.element_size()
        kind = _DTYPES[tensor.dtype]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for tensor in tensors.values():
            file.write(tensor.detach().cpu().contiguous().numpy().tobytes())


def write_sums(folder: Path) -> str:
    """Write the SHA-256 of every file, as ``sha256sum -c`` reads them; return that of the list."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))
    text = "".join(f"{file_digest(folder / name)}  {name}\n" for name in files)
    (folder / SUMS).write_text(text, encoding="utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def write_json(path: Path, content: Mapping[str, object] | Sequence[object]) -> None:
    """Write readable JSON."""
    path.write_text(f"{json.dumps(content, indent=2, allow_nan=False)}\n", encoding="utf-8")
