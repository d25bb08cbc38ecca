"""The checks pass for what keeps its promises, and fail for what breaks one."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pdray.evaluation import metrics
from pdray.evaluation.metrics import Metric
from pdray.losses import settings
from pdray.losses.entry import LossEntry
from pdray.testing.jobs import check_job
from pdray.testing.light import check_light
from pdray.testing.losses import check_loss
from pdray.testing.metrics import check_metric
from pdray.testing.networks import check_network
from tests.places import ROOT

PLUG_IN = ROOT / "examples" / "two_convolutions"
HERE = f"{__name__}:"


@pytest.fixture
def plug_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{PLUG_IN}")
    monkeypatch.syspath_prepend(PLUG_IN)
    from two_convolutions.settings import ENTRY

    return ENTRY


def test_the_plug_in_of_the_examples_keeps_every_promise_of_a_network(plug_in: Any) -> None:
    check_network(plug_in)
    lines = [
        line
        for path in [*PLUG_IN.rglob("*.py"), PLUG_IN / "pyproject.toml"]
        for line in path.read_text().splitlines()
    ]
    assert len(lines) <= 60


def build(change: Callable[[Any], None]) -> Callable[..., nn.Module]:
    def builder(config: Any, num_classes: int, num_channels: int) -> nn.Module:
        from two_convolutions.network import TwoConvolutions

        network: nn.Module = TwoConvolutions(config, num_classes, num_channels)
        change(network)
        return network

    return builder


def one_map(network: Any) -> None:
    network.MAP_LAYERS = ("first",)


def idle_layer(network: Any) -> None:
    network.idle = nn.Linear(2, 2)


def weights_of_its_own(network: Any) -> None:
    network.fc.weight.data = torch.randn(
        network.fc.weight.shape, generator=torch.Generator().manual_seed(torch.seed() % 1000)
    )


def takes_any_input(network: Any) -> None:
    network.features = lambda x: network.second(network.first(x.float()).relu()).mean((2, 3, 4))


def batch_matters(network: Any) -> None:
    network.classify = lambda f: network.fc(f - f.mean(dim=0))


ONE_MAP, IDLE, OWN_WEIGHTS = build(one_map), build(idle_layer), build(weights_of_its_own)
ANY_INPUT, BATCH = build(takes_any_input), build(batch_matters)


@pytest.mark.parametrize(
    ("builder", "told"),
    [
        ("ONE_MAP", "MAP_LAYERS: name two layers"),
        ("IDLE", "no gradient reaches idle"),
        ("OWN_WEIGHTS", None),
        ("ANY_INPUT", None),
        ("BATCH", None),
    ],
)
def test_a_network_that_breaks_a_promise_fails(
    builder: str, told: str | None, plug_in: Any
) -> None:
    with pytest.raises((AssertionError, RuntimeError), match=told):
        check_network(replace(plug_in, builder=HERE + builder))


def test_a_network_that_declares_a_fault_or_another_order_fails(plug_in: Any) -> None:
    with pytest.raises(AssertionError, match="sees the order of frames: True"):
        check_network(plug_in, sees_order=False)
    with pytest.raises(AssertionError):
        check_network(replace(plug_in, faults=lambda *_, **__: ["too small"]))


def mean(logits: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, target)


def detached(logits: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits.detach(), target, reduction="none") + 0 * logits.sum()


def shifted(logits: Tensor, target: Tensor) -> Tensor:
    return nn.functional.cross_entropy(logits, target, reduction="none") + 1


@pytest.mark.parametrize("name", ["mean", "detached", "shifted"])
def test_a_loss_that_breaks_a_promise_fails(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(settings.LOSSES, "cross_entropy", LossEntry(HERE + name))
    with pytest.raises((AssertionError, RuntimeError)):
        check_loss("cross_entropy")


@pytest.mark.parametrize(
    "function",
    [lambda y, p: float(y[0] == p[0].argmax()), lambda y, p: 0.5, lambda y, p: float("nan")],
)
def test_a_metric_that_breaks_a_promise_fails(
    function: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = Metric(function, lambda y, p: None, True, "broken")
    monkeypatch.setitem(metrics.METRICS, "mcc", broken)
    with pytest.raises(AssertionError):
        check_metric("mcc")


def test_a_heavy_module_and_a_job_without_examples_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(AssertionError, match=r"pdray\.training\.network loads torch"):
        check_light("pdray.training.network")
    with pytest.raises(AssertionError, match="no_such_module cannot be imported"):
        check_light("no_such_module")
    text = (ROOT / "jobs" / "correlate_marks.py").read_text()
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tmp_path}")
    for found, other in (("import sys\n", "import sys\nimport pandas\n"), ("usage: ", "use: ")):
        (tmp_path / "zz_job.py").write_text(text.replace(found, other))
        with pytest.raises(AssertionError):
            check_job("zz_job")
    assert "zz_job" not in sys.modules
