"""Measures how fast networks train and predict, compared with other tools; ratios of one run.

    python -m benchmarks.models [threads=1] [size=quick] [section ...]

Sections: tsa, precision, compile (takes minutes), rivals, views, input, gpu; default: all. The
snippets are SYNTHETIC noise, because their content does not affect the time. A training step is
forward, loss, backward and SGD with momentum; dropout is off, so that results of two
implementations can be compared. Tools that are not installed are named and left out (to install
them: ``pip install -c constraints.txt -e '.[bench]'`` in the checkout). Times are CPU times of one
thread; with ``threads=2`` or more they are wall times, which other work on the machine falsifies.
The best of some runs in turn counts.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from benchmarks.accelerator import gpu
from benchmarks.attention import tsa
from benchmarks.compare import Row, best, cpu
from benchmarks.networks import (
    LAST,
    NEED_PYTORCHVIDEO,
    PLAIN,
    Case,
    Reference,
    Scale,
    references,
    training_step,
)
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.plan import PlannedBatch
from pdray.data.batches.reader import Batch
from pdray.training.loop.step import Precision, evaluate_step

FLOAT, HALF = torch.float32, torch.bfloat16
DTYPES = {FLOAT: "float32", HALF: "bfloat16"}
ORDERS = {PLAIN: "", LAST: ", channels-last"}
PRECISION_GOAL, VIEWS_GOAL = 2.0, 3.0
TINY = Case("tsa", 2, 8, 32, {"depth": 10, "width_factor": 0.125, "num_heads": 2})
# Of the demo's search space: small enough that calls and not arithmetic take the time.
DEMO = Case(
    "tsa",
    1,
    16,
    48,
    {"depth": 10, "width_factor": 0.25, "temporal_stride": "211111", "num_heads": 2},
)
CASES = (Case("tsa", 2, 16, 112), Case("i3d", 2, 16, 112), Case("tsa", 2, 32, 112))


def cases(scale: Scale) -> tuple[Case, ...]:
    """Return the networks whose training step is measured."""
    return (TINY,) if scale.is_quick else CASES


def costs(ways: list[Callable[[], object]], scale: Scale, *, rounds: int) -> list[float]:
    """Return the least cost of each way [s]."""
    torch.set_num_threads(scale.threads)
    clock = cpu if scale.threads == 1 else time.perf_counter
    for way in ways:  # kernels are made on the first call
        way()
    return best(ways, rounds=scale.rounds(rounds), clock=clock)


def precision(scale: Scale) -> Iterator[str]:
    """Compare the number formats and the orders of axes."""
    vectors, tiles = torch.cpu._is_avx512_bf16_supported(), torch.cpu._is_amx_tile_supported()
    has_bf16 = vectors or tiles
    yield f"bfloat16 of this CPU: AVX512-BF16 {vectors}, AMX {tiles}"
    for case in cases(scale):
        x = case.draw()
        ways = {
            f"{DTYPES[dtype]}{ORDERS[order]}": training_step(case.build(), x, dtype, order)
            for dtype in DTYPES
            for order in ORDERS
        }
        usual, *others = costs(list(ways.values()), scale, rounds=3)
        for name, cost in zip(list(ways)[1:], others, strict=True):
            is_both = name == DTYPES[HALF] + ORDERS[LAST]
            goal = PRECISION_GOAL if is_both and has_bf16 else 0.0
            yield Row(f"{case} {name}", cost, usual, "float32", goal).told()


def compiled(scale: Scale) -> Iterator[str]:
    """Compare the step with ``torch.compile`` and without, in the order that training uses."""
    for case in cases(scale)[:2]:  # compiling takes minutes
        x = case.draw()
        for dtype, name in DTYPES.items():
            usual = training_step(case.build(), x, dtype, LAST)
            fused = training_step(case.build(), x, dtype, LAST, is_compiled=True)
            started = time.perf_counter()
            try:
                fused()
            except torch._dynamo.exc.BackendCompilerFailed as error:
                reason = str(error.inner_exception).partition("\n")[0]
                yield f"compile {case}: left out, torch.compile fails: {reason}"
                return
            seconds = time.perf_counter() - started
            mine, theirs = costs([fused, usual], scale, rounds=3)
            yield Row(f"{case} {name}, compiled", mine, theirs, "as it is", 0).told()
            yield f"{'':<48} {seconds:.0f} s to compile"


def rivals(scale: Scale) -> Iterator[str]:
    """Compare training steps with those of the reference implementations."""
    for reference in references(is_quick=scale.is_quick):
        found = reference.pair()
        if found is None:
            yield f"{reference.name}: left out, {NEED_PYTORCHVIDEO}"
            continue
        yield from _rival_rows(reference, found, scale)


def _rival_rows(
    reference: Reference, pair: tuple[torch.nn.Module, torch.nn.Module], scale: Scale
) -> Iterator[str]:
    """Compare in both number formats with the reference in its faster order of axes."""
    ours, plain = pair
    found = reference.pair()
    assert found is not None
    _, last = found
    x = reference.case.draw()
    _check_same(reference, pair, x)
    for dtype, name in DTYPES.items():
        steps = [
            training_step(ours, x, dtype, LAST),
            training_step(plain, x, dtype, PLAIN, pack=reference.pack),
            training_step(last, x, dtype, LAST, pack=reference.pack),
        ]
        mine, *theirs = costs(list(steps), scale, rounds=5)
        order = ORDERS[PLAIN if theirs[0] < theirs[1] else LAST]
        what = f"{reference.case} {name}{order and ', theirs' + order[1:]}"
        yield Row(what, mine, min(theirs), reference.name, reference.goal).told()


def _check_same(
    reference: Reference, pair: tuple[torch.nn.Module, torch.nn.Module], x: Tensor
) -> None:
    """Ensure that the two networks compute the same from a map that no layer has faded."""
    results = []
    for network, pack in zip(pair, (None, reference.pack), strict=True):
        for part in network.modules():
            if isinstance(part, torch.nn.BatchNorm3d):
                part.momentum = 1.0  # the next batch is all that is remembered
        with torch.inference_mode():
            network.train()(x if pack is None else pack(x))
            results.append(network.eval()(x if pack is None else pack(x)))
    ours, theirs = results
    assert torch.allclose(ours, theirs, atol=1e-2 * float(theirs.std())), reference.name


def views(scale: Scale) -> Iterator[str]:
    """Score dense views in batches, as an evaluation does, and one snippet at a time."""
    small = TINY if scale.is_quick else DEMO
    yield from _view_rows(small, scale, num_views=64, at_once=(16,))
    if scale.is_quick:
        return
    yield "of the 64 views of a video at the published size, 8; the others cost the same:"
    yield from _view_rows(Case("i3d", 1, 16, 112), scale, num_views=8, at_once=(8, 4))


def _view_rows(
    case: Case, scale: Scale, *, num_views: int, at_once: tuple[int, ...]
) -> Iterator[str]:
    side = case.side
    frames = torch.randint(0, 256, (1, num_views, case.frames, side, side, 3), dtype=torch.uint8)
    batch = Batch(
        planned=PlannedBatch(fold=0, epoch=0, training=False, recordings=(0,), global_size=1),
        inputs={"rgb": frames},
        modality="rgb",
        target=torch.zeros(1, dtype=torch.int64),
    )
    network = case.build().to(memory_format=LAST).eval()  # type: ignore[call-overload]
    for dtype, name in DTYPES.items():
        score = partial(
            evaluate_step,
            network,
            batch,
            objective=partial(functional.cross_entropy, reduction="none"),
            precision=Precision(torch.device("cpu"), dtype),
        )
        ways = [partial(score, max_snippets=count) for count in (1, *at_once)]
        single, *several = costs(list(ways), scale, rounds=5)
        for count, cost in zip(at_once, several, strict=True):
            what = f"{num_views} views {case.key} {case.frames}x{side} {name}, {count} at once"
            yield Row(what, cost, single, "one snippet at a time", VIEWS_GOAL).told()


def pixels(scale: Scale) -> Iterator[str]:
    """Tell what folding the normalisation into the first convolution could save at most."""
    for case in cases(scale):
        shape = (case.batch, case.frames, case.side, case.side, 3)
        frames = torch.randint(0, 256, shape, dtype=torch.uint8)
        usual = frames.permute(0, 4, 1, 2, 3)
        for dtype, name in DTYPES.items():
            ways: list[Callable[[], object]] = [
                partial(normalise_frames, frames, dtype),
                partial(usual.to, dtype, memory_format=LAST),
                training_step(case.build(), case.draw(), dtype, LAST),
            ]
            mine, cast, step = costs(ways, scale, rounds=5)
            yield Row(f"pixels {case}, {name}", mine, cast, "a plain cast", 0).told()
            share = max(0.0, mine - cast) / (mine + step)
            yield (
                f"{'':<48} folding saves at most {share:.2%} of a step of {step * 1000:.0f} ms; "
                f"normalising is {mine / (mine + step):.2%} of it"
            )


SECTIONS: dict[str, Callable[[Scale], Iterator[str]]] = {
    "tsa": tsa,
    "precision": precision,
    "compile": compiled,
    "rivals": rivals,
    "views": views,
    "input": pixels,
    "gpu": gpu,
}
WORDS = {"threads", "size"}


def main(argv: list[str]) -> int:
    """Run the sections and print the table; return 2 for an unknown word."""
    words = dict(word.split("=", 1) for word in argv if "=" in word)
    names = [word for word in argv if "=" not in word] or list(SECTIONS)
    unknown = [word for word in names if word not in SECTIONS] + sorted(words.keys() - WORDS)
    threads, size = words.get("threads", "1"), words.get("size", "full")
    if not threads.isdecimal() or threads == "0":
        unknown.append(f"threads={threads}")
    if size not in ("quick", "full"):
        unknown.append(f"size={size}")
    if unknown:
        known = ", ".join(["threads=1", "size=quick", "size=full", *SECTIONS])
        print(f"unknown: {', '.join(unknown)}; known: {known}")
        return 2
    if len(names) == 1:
        for line in SECTIONS[names[0]](Scale(size == "quick", int(threads))):
            print(line, flush=True)
        return 0
    clock = "CPU time" if threads == "1" else "wall time"
    print(f"torch {torch.__version__}, {threads} thread(s), {clock}; SYNTHETIC noise")
    print(f"{'':<48} {'pdray':>9} {'rival':>9}", flush=True)
    for name in names:  # no section in the memory that another has left
        module = [sys.executable, "-m", "benchmarks.models"]
        subprocess.run([*module, f"threads={threads}", f"size={size}", name], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
