import os
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pdray.models.weights.checkpoint import OLD_TORCH, CheckpointError, read_checkpoint

ZIPPED = pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "before torch 1.6"])


class Settings:
    """Stands for what a training script saves beside its weights."""


class Calls:
    """Pickles as a call of anything."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.function, self.arguments


def weights() -> dict[str, Tensor]:
    return {
        "conv1.weight": torch.arange(6.0).view(2, 3),
        "bn1.num_batches_tracked": torch.tensor(4),
    }


def write(path: Path, content: object, *, is_zip: bool = True) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=is_zip)
    return path


def agree(read: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert list(read) == list(expected)
    for name, value in expected.items():
        assert torch.equal(read[name], value)
        assert not read[name].requires_grad


@ZIPPED
@pytest.mark.parametrize(
    "wrapper", [None, "state_dict", "model_state", "model_state_dict", "model", "network", "net"]
)
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod."])
def test_weights_are_found_in_every_wrapping(
    tmp_path: Path, wrapper: str | None, prefix: str, is_zip: bool
) -> None:
    named = OrderedDict((f"{prefix}{name}", value) for name, value in weights().items())
    content = named if wrapper is None else {"epoch": 200, "arch": "resnet-34", wrapper: named}
    agree(read_checkpoint(write(tmp_path / "a.pth", content, is_zip=is_zip)), weights())


@pytest.mark.parametrize("keys", [("model", "state_dict"), ("net", "model_state_dict")])
def test_weights_are_found_under_two_keys(tmp_path: Path, keys: tuple[str, str]) -> None:
    outer, inner = keys
    content = {"step": 7, outer: {"version": 2, inner: weights()}, "optimizer": {"lr": 0.1}}
    agree(read_checkpoint(write(tmp_path / "a.pth", content)), weights())


def test_a_layer_that_is_called_like_an_entry_is_a_layer(tmp_path: Path) -> None:
    named = {"net": torch.ones(2), "model.weight": torch.ones(3)}
    agree(read_checkpoint(write(tmp_path / "a.pth", named)), named)


@ZIPPED
def test_an_optimiser_beside_the_weights_is_no_hindrance(tmp_path: Path, is_zip: bool) -> None:
    groups = [{"lr": 0.1, "momentum": 0.9, "nesterov": False, "params": [0, 1]}]
    optimiser = {"state": {0: {"momentum_buffer": torch.ones(2, 3)}}, "param_groups": groups}
    content = {
        "epoch": 101,
        "arch": "resnet-34",
        "state_dict": {f"module.{name}": value for name, value in weights().items()},
        "optimizer": optimiser,
    }
    path = write(tmp_path / "resnet-34-kinetics.pth", content, is_zip=is_zip)
    agree(read_checkpoint(path), weights())


def test_parameters_are_read_without_their_gradient(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", {"weight": nn.Parameter(torch.ones(2))})
    agree(read_checkpoint(path), {"weight": torch.ones(2)})


def test_module_is_kept_where_not_every_name_has_it(tmp_path: Path) -> None:
    named = {"module.weight": torch.ones(1), "bias": torch.ones(1)}
    agree(read_checkpoint(write(tmp_path / "a.pt", named)), named)


def test_a_file_of_torch_0_4_starts_as_expected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pth", weights(), is_zip=False)
    assert path.read_bytes().startswith(OLD_TORCH)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_of_arrays_is_read(tmp_path: Path, protocol: int) -> None:
    path = tmp_path / "resnet50_ft_weight.pkl"
    arrays = {name: value.numpy() for name, value in weights().items()}
    path.write_bytes(pickle.dumps(arrays, protocol))
    agree(read_checkpoint(path), weights())


@ZIPPED
def test_code_in_a_torch_file_does_not_run(tmp_path: Path, is_zip: bool) -> None:
    touched = tmp_path / "touched"
    for function, argument in ((os.system, f"touch {touched}"), (eval, f"open({str(touched)!r})")):
        content = {"conv1.weight": Calls(function, argument)}
        path = write(tmp_path / "evil.pth", content, is_zip=is_zip)
        with pytest.raises(
            CheckpointError, match=rf"it would run code \((\w+\.)?{function.__name__}"
        ):
            read_checkpoint(path)
    assert not touched.exists()


def test_code_in_a_pickle_does_not_run(tmp_path: Path) -> None:
    touched, path = tmp_path / "touched", tmp_path / "evil.pkl"
    path.write_bytes(pickle.dumps({"conv1.weight": Calls(os.system, f"touch {touched}")}, 2))
    with pytest.raises(CheckpointError, match=r"evil\.pkl is not a weights file .*posix\.system"):
        read_checkpoint(path)
    assert not touched.exists()


@ZIPPED
def test_a_class_beside_the_weights_is_named(tmp_path: Path, is_zip: bool) -> None:
    path = write(tmp_path / "a.pth", {"state_dict": weights(), "opt": Settings()}, is_zip=is_zip)
    with pytest.raises(
        CheckpointError, match=r"a\.pth was not read, because it would run code \(.*\.Settings"
    ):
        read_checkpoint(path)


@ZIPPED
def test_a_file_that_is_cut_off_is_refused_at_every_length(tmp_path: Path, is_zip: bool) -> None:
    data = write(tmp_path / "whole.pth", weights(), is_zip=is_zip).read_bytes()
    path = tmp_path / "cut.pth"
    for length in (1, 4, 20, 60, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(
            CheckpointError, match=r"cut\.pth is (cut off or damaged at|not a weights file)"
        ):
            read_checkpoint(path)
    path.write_bytes(b"")
    with pytest.raises(CheckpointError, match="empty: 0 bytes; download or copy it again"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<!DOCTYPE html><html>", r"it starts with b'<!DOCTYPE ht'\).*use a file of torch"),
        (b"\x89PNG\r\n\x1a\n", "is not a weights file"),
        (pickle.dumps([1, 2]), "its pickle holds no dict of arrays"),
        (pickle.dumps({"a": np.array([object()])}, 2), "an array of 'O8'"),
    ],
)
def test_what_is_no_file_of_weights_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "download.pth"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth cannot be read: No such file"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(CheckpointError, match="cannot be read: Is a directory"):
        read_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(1)], "holds a list; use a file that maps names to tensors"),
        (torch.ones(1), "holds a Tensor; use a file that maps names"),
        ({}, "holds no tensor"),
        ({"state_dict": {}}, "holds no tensor"),
        (
            {"weights": {"a": torch.ones(1)}},
            "holds a dict under 'weights'; .*state_dict or model_state",
        ),
        ({"epoch": 3, "conv1.weight": torch.ones(1)}, "holds a int under 'epoch'"),
        ({3: torch.ones(1)}, "holds a Tensor under '3'; use a file that maps names"),
    ],
)
def test_what_holds_no_named_tensors_is_refused(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint(write(tmp_path / "a.pt", content))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.tensor([1.0, torch.nan, torch.inf]), r"\(3,\) torch.float32 has 2 values that are"),
        (torch.empty(0), r"\(0,\) torch.float32 is empty"),
        (torch.ones(1, dtype=torch.complex64), "torch.complex64: expected floating point"),
        (torch.ones(1, dtype=torch.bool), "torch.bool: expected floating point"),
        (torch.eye(2).to_sparse(), "is sparse, quantised or has no data"),
        (
            torch.zeros(1).expand(9, 9),
            r"\(9, 9\) torch.float32 is larger than the 4 bytes stored for it",
        ),
    ],
)
def test_a_tensor_that_cannot_be_a_weight_is_named(
    tmp_path: Path, value: Tensor, message: str
) -> None:
    path = write(tmp_path / "a.pt", {"good": torch.ones(1), "layer1.conv": value})
    with pytest.raises(CheckpointError, match=rf"'layer1\.conv' .*{message}"):
        read_checkpoint(path)


def test_a_negative_variance_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", {"bn1.running_var": torch.tensor([1.0, -0.5])})
    with pytest.raises(CheckpointError, match=r"'bn1\.running_var' .* variance -0\.5; expected 0"):
        read_checkpoint(path)


def test_faults_are_reported_together_and_cut(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pt", {f"w{n}": torch.tensor([torch.nan]) for n in range(8)})
    with pytest.raises(CheckpointError, match=r"(?s)'w0'.*'w4'.*and 3 more tensors"):
        read_checkpoint(path)


def test_a_safetensors_file_needs_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(bytes(16))
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(CheckpointError, match="pip install safetensors"):
        read_checkpoint(path)


def test_a_safetensors_file_is_read(tmp_path: Path) -> None:
    package = pytest.importorskip("safetensors.torch")
    path = tmp_path / "a.safetensors"
    package.save_file(weights(), path)
    read = read_checkpoint(path)
    agree({name: read[name] for name in weights()}, weights())
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="cut off or damaged"):
        read_checkpoint(path)
