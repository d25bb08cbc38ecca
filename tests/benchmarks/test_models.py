import re
import subprocess
from collections.abc import Iterator

import pytest
import torch

from benchmarks import accelerator, attention, models, networks
from benchmarks.models import SECTIONS, main
from benchmarks.networks import LAST, PLAIN, Case, Reference, Scale, training_step

SMALL = {"depth": 10, "width_factor": 0.0625, "temporal_stride": "211111", "num_heads": 2}
QUICK = Scale(is_quick=True)


@pytest.fixture(autouse=True)
def smallest(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(models, "TINY", Case("tsa", 2, 8, 17, SMALL))
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def row_of(line: str) -> tuple[float, float, float]:
    """Return our cost, the rival's and the ratio of a line of the table."""
    found = re.search(r" ([\d.]+) +([\d.]+) (?:ms|MB) .* ([\d.]+)x  (?:>=|BELOW) [\d.]+x$", line)
    assert found is not None, line
    return float(found[1]), float(found[2]), float(found[3])


def test_unknown_words_are_refused_with_those_there_are(capsys):
    assert main(["tsaa", "thread=2", "size=huge", "threads=0"]) == 2
    told = capsys.readouterr().out
    assert "unknown: tsaa, thread, threads=0, size=huge" in told
    assert all(name in told for name in (*SECTIONS, "threads=1", "size=quick"))


def test_one_section_is_printed_here_and_several_each_by_a_process_of_its_own(capsys, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert main(["size=quick", "gpu"]) == 0
    assert "there is no CUDA device here" in capsys.readouterr().out
    started = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: started.append(command))
    assert main(["size=quick", "threads=2"]) == 0
    assert [command[-1] for command in started] == list(SECTIONS)
    assert all({"threads=2", "size=quick"} < set(command) for command in started)
    assert "2 thread(s), wall time; SYNTHETIC" in capsys.readouterr().out


@pytest.mark.integration
def test_both_number_formats_and_orders_are_measured_against_the_usual_ones():
    told, *lines = models.precision(QUICK)
    assert re.fullmatch(r"bfloat16 of this CPU: AVX512-BF16 (True|False), AMX (True|False)", told)
    assert [line.split("  ")[0] for line in lines] == [
        "tsa 2x8x17 float32, channels-last",
        "tsa 2x8x17 bfloat16",
        "tsa 2x8x17 bfloat16, channels-last",
    ]
    for line in lines:
        ours, usual, ratio = row_of(line)
        assert min(ours, usual, ratio) > 0


@pytest.mark.integration
def test_views_are_scored_in_batches_and_one_at_a_time():
    lines = list(models.views(QUICK))
    assert len(lines) == 2
    assert all(line.startswith("64 views tsa 8x17") and line.endswith("3x") for line in lines)


@pytest.mark.integration
def test_folding_is_told_as_a_share_of_the_step():
    lines = list(models.pixels(QUICK))
    assert len(lines) == 4
    assert "a plain cast" in lines[0]
    assert re.search(r"folding saves at most \d+\.\d\d% of a step of \d+ ms", lines[1])


@pytest.mark.integration
def test_a_rival_of_the_same_weights_is_measured_in_both_number_formats():
    lines = list(models.rivals(QUICK))
    assert ["float32" in lines[0], "bfloat16" in lines[1], len(lines)] == [True, True, 2]
    assert all("torchvision s3d" in line for line in lines)


def test_a_rival_that_computes_something_else_is_no_rival(monkeypatch):
    reference = networks.references(is_quick=True)[0]
    ours, theirs = reference.pair()
    with torch.no_grad():
        list(theirs.parameters())[-2].mul_(1.1)
    with pytest.raises(AssertionError, match="torchvision s3d"):
        models._check_same(reference, (ours, theirs), reference.case.draw())


def test_a_rival_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr(
        networks, "import_module", lambda name: (_ for _ in ()).throw(ImportError(name))
    )
    lacking = Reference(
        "PyTorchVideo x3d_xs", Case("x3d", 2, 4, 32), networks.pytorchvideo_model("x3d_xs")
    )
    monkeypatch.setattr(models, "references", lambda *, is_quick: [lacking])
    assert list(models.rivals(QUICK)) == [
        "PyTorchVideo x3d_xs: left out, pytorchvideo is not installed; in the checkout: "
        "pip install -c constraints.txt -e '.[bench]'"
    ]


def test_every_reference_is_of_a_model_there_is():
    found = {reference.case.key for reference in networks.references(is_quick=False)}
    assert found == {"r3d", "s3d", "slowfast", "x3d", "c2d"}


def test_slowfast_is_given_every_fourth_frame_and_all_in_the_order_it_computes_in():
    x = torch.arange(8.0).view(1, 1, 8, 1, 1).expand(1, 3, 8, 2, 2)
    for order in (PLAIN, LAST):
        slow, fast = networks.two_paths(x.contiguous(memory_format=order))
        assert slow[0, 0, :, 0, 0].tolist() == [0, 4]
        assert fast.shape == x.shape
        assert slow.is_contiguous(memory_format=order)


@pytest.mark.parametrize("order", [PLAIN, LAST])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_training_step_moves_every_weight(dtype, order):
    case = Case("tsa", 2, 8, 17, SMALL)
    network = case.build()
    before = {name: part.clone() for name, part in network.named_parameters()}
    training_step(network, case.draw(), dtype, order)()
    same = [name for name, part in network.named_parameters() if torch.equal(part, before[name])]
    assert same == []
    assert all(part.dtype == torch.float32 for part in network.parameters())


def test_a_case_always_builds_the_same_weights():
    first, second = (Case("tsa", 2, 8, 17, SMALL).build().state_dict() for _ in range(2))
    assert all(torch.equal(part, second[name]) for name, part in first.items())


@pytest.mark.integration
def test_attention_is_compared_with_all_that_could_stand_in_its_place():
    lines = list(attention.time_rows(QUICK))
    rivals = ("3x3x3 convolution", "written out", "scaled_dot_product")
    assert [name in line for name, line in zip(rivals, lines, strict=True)] == [True] * 3
    assert "5.9x fewer products" in lines[0]
    assert lines[0].endswith("12x")


def test_the_rivals_of_attention_compute_the_same_gradients():
    layers = {name: attention.make_layer(name, 16, 3) for name in attention.LAYERS}
    shape = (2, 16, 3, 4)
    attention.passes(layers["pdray"], shape)()
    expected = [part.grad.clone() for part in layers["pdray"].parameters()]
    for name in ("written out", "scaled_dot_product"):
        attention.passes(layers[name], shape)()
        for part, wanted in zip(layers["pdray"].parameters(), expected, strict=True):
            assert torch.allclose(part.grad, wanted, atol=1e-4), name


def test_products_are_those_that_are_counted():
    # 27 C^2 of the convolution; 4 C^2 and 3 T C of attention, a position.
    fewer = 27 * 256**2 / (4 * 256**2 + 3 * 4 * 256)
    assert attention.products_ratio(256, 4) == pytest.approx(fewer)


@pytest.mark.integration
def test_a_peak_of_memory_is_at_least_what_the_layer_must_hold():
    if not attention.can_measure_peaks():
        pytest.skip("this system does not tell a process's peak")
    peak = attention.fresh_peak("3x3x3 convolution", (2, 64, 4, 28), 1)
    activations = 2 * 64 * 4 * 28 * 28 * 4
    weights = 27 * 64 * 64 * 4
    # Input, result, both gradients; the weights and theirs.
    assert 4 * activations + 2 * weights < peak < 20 * activations


def test_peaks_are_compared_with_both_rivals(monkeypatch):
    peaks = {"pdray": 10_000_000, "3x3x3 convolution": 30_000_000, "written out": 9_000_000}
    monkeypatch.setattr(attention, "fresh_peak", lambda name, shape, threads: peaks[name])
    above, below = attention.memory_rows(QUICK)
    assert "10.0      30.0 MB  3x3x3 convolution           3.00x  >= 2x" in above
    assert "10.0       9.0 MB  written out                 0.90x  BELOW 1x" in below


def test_where_peaks_cannot_be_measured_it_is_said(monkeypatch):
    monkeypatch.setattr(attention, "can_measure_peaks", lambda: False)
    (line,) = attention.memory_rows(QUICK)
    assert "left out" in line


def test_without_a_gpu_nothing_is_measured_on_one(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert list(accelerator.gpu(QUICK)) == ["gpu: left out, there is no CUDA device here"]


@pytest.mark.integration
def test_a_line_about_a_device_has_its_rates(monkeypatch):
    monkeypatch.setattr(accelerator, "REPEATS", 1)
    cpu = torch.device("cpu")
    rate = accelerator.matmul_rate(cpu, 64)
    assert rate > 0
    line = accelerator.told(Case("tsa", 2, 8, 17, SMALL), cpu, rate=rate)
    assert re.search(r"tsa 2x8x17, .* clips/s, [\d.]+ TFLOP/s \(\d+% of the products'\)", line)


@pytest.mark.gpu
def test_a_gpu_is_measured():
    lines = list(accelerator.gpu(QUICK))
    assert "TFLOP/s in bfloat16 products" in lines[0]
    assert "clips/s" in lines[1]
