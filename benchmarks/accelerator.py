"""Measures training steps on a GPU: the section ``gpu`` of ``models.py``."""

import time
from collections.abc import Callable, Iterator

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.compare import best
from benchmarks.networks import LAST, Case, Scale, training_step

SIDE = 8192  # of square matrices whose product shows the peak speed of the device
REPEATS = 10
CASES = (Case("i3d", 8, 32, 224), Case("tsa", 8, 32, 224))
QUICK_CASES = (Case("tsa", 2, 8, 32, {"depth": 10, "width_factor": 0.125, "num_heads": 2}),)


def gpu(scale: Scale) -> Iterator[str]:
    """Yield lines with clips per second, TFLOP/s and peak memory in bfloat16 on a CUDA device."""
    if not torch.cuda.is_available():
        yield "gpu: left out, there is no CUDA device here"
        return
    device = torch.device("cuda")
    rate = matmul_rate(device, 512 if scale.is_quick else SIDE)
    yield f"{torch.cuda.get_device_name(device)}: {rate / 1e12:.0f} TFLOP/s in bfloat16 products"
    for case in QUICK_CASES if scale.is_quick else CASES:
        yield told(case, device, rate=rate)


def told(case: Case, device: torch.device, *, rate: float) -> str:
    """Measure a network's training step and return a line about it.

    Args:
        case: The network and its snippets.
        device: Device of the training.
        rate: Speed of matrix products [FLOP/s].
    """
    network, x = case.build().to(device), case.draw().to(device)
    step = training_step(network, x, torch.bfloat16, LAST)
    with FlopCounterMode(display=False) as counter:
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = seconds_of(step, device)
    peak = torch.cuda.max_memory_allocated(device) if device.type == "cuda" else 0
    done = counter.get_total_flops() / seconds
    return (
        f"step {case}, bfloat16 channels-last: {case.batch / seconds:.1f} clips/s, "
        f"{done / 1e12:.1f} TFLOP/s ({done / rate:.0%} of the products'), "
        f"peak {peak / 1e9:.1f} GB"
    )


def matmul_rate(device: torch.device, side: int) -> float:
    """Return the speed of a product of square bfloat16 matrices [FLOP/s]."""
    left, right = (torch.randn(side, side, dtype=torch.bfloat16, device=device) for _ in range(2))
    return 2 * side**3 / seconds_of(lambda: left @ right, device)


def seconds_of(way: Callable[[], object], device: torch.device) -> float:
    """Return the wall time per call of ten calls started without waiting; best of three [s]."""

    def repeat() -> None:
        for _ in range(REPEATS):
            way()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    repeat()
    (seconds,) = best([repeat], rounds=3, clock=time.perf_counter)
    return seconds / REPEATS
