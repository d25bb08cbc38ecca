"""Measures the expression network beside open_clip and transformers, and its own savings.

    python -m benchmarks.expressions             # about ten minutes on two cores
    python -m benchmarks.expressions size=quick  # only a test run of seconds; ignore its numbers

A training step of the image encoder (ViT-B/32) is forward, a sum as loss, and backward on 2
snippets of 16 frames of 224 px. A step of batch 16 is taken as eight such steps. The memory of a
step is how much the process grows beyond its weights and gradients. Tools that are not installed
are named and left out. Times are CPU times of one thread; the best of some runs in turn counts. The
pictures are SYNTHETIC noise and the weights are random: no published CLIP is read, and only times
mean something. The last two rows are those of :mod:`benchmarks.intensities`, in seconds of the
clock.
"""

import contextlib
import importlib
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.compare import Row, best
from benchmarks.frozen_epochs import epoch_seconds
from benchmarks.intensities import intensity_rows
from pdray.config import build
from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import EntryWriter
from pdray.data.store.settings import StoreConfig
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.expression_clip import ExpressionClip, build_expression_clip
from pdray.models.networks.expression_clip_settings import ExpressionClipConfig
from pdray.training.settings import FitConfig

EQUAL, HALF_GOAL, TEXT_GOAL, KEPT_GOAL, MEMORY_GOAL, TIME_GOAL = 0.95, 1.8, 1 / 0.03, 20.0, 2.0, 0.7
SMALL = {
    "image_width": 32, "image_depth": 2, "image_heads": 4, "patch_size": 8, "image_size": 24,
    "embed_dim": 16, "text_width": 16, "text_depth": 2, "text_heads": 2,
}  # fmt: skip
SNIPPETS, FRAMES, BATCH = 2, 16, 16
CLIPS, LENGTH, EPOCHS = 8, 20, 2  # recordings, their frames, measured epochs
_MEMORY = "import sys; from benchmarks.expressions import told_memory; told_memory(sys.argv[1:])"


def settings(is_quick: bool, **changes: Any) -> ExpressionClipConfig:
    """Return the network of the paper, or a tiny one."""
    return ExpressionClipConfig(**{**(SMALL if is_quick else {}), **changes})


def network(is_quick: bool, **changes: Any) -> ExpressionClip:
    """Return the network in training mode, its weights from one seed."""
    torch.manual_seed(0)
    return build_expression_clip(settings(is_quick, **changes), 4).train()


def pictures(is_quick: bool, snippets: int = SNIPPETS) -> Tensor:
    """Return (N, 3, H, W) pictures of noise."""
    side = 24 if is_quick else 224
    return torch.randn(snippets * FRAMES, 3, side, side, generator=torch.Generator().manual_seed(1))


def open_clip_tower(config: ExpressionClipConfig) -> nn.Module:
    """Return open_clip's vision transformer of the same shape."""
    made: nn.Module = importlib.import_module("open_clip.transformer").VisionTransformer(
        image_size=config.image_size, patch_size=config.patch_size, width=config.image_width,
        layers=config.image_depth, heads=config.image_heads, mlp_ratio=4.0,
        output_dim=config.embed_dim,
    )  # fmt: skip
    return made.train()


def transformers_tower(config: ExpressionClipConfig) -> nn.Module:
    """Return the vision model of transformers of the same shape."""
    package = importlib.import_module("transformers")
    shape = package.CLIPVisionConfig(
        hidden_size=config.image_width, intermediate_size=4 * config.image_width,
        num_hidden_layers=config.image_depth, num_attention_heads=config.image_heads,
        patch_size=config.patch_size, image_size=config.image_size,
        projection_dim=config.embed_dim, hidden_act="gelu",
    )  # fmt: skip
    made = package.CLIPVisionModelWithProjection(shape).train()
    return _Projected(made)


class _Projected(nn.Module):
    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        embeds: Tensor = self.model(pixel_values=x).image_embeds
        return embeds


RIVALS: dict[str, Callable[[ExpressionClipConfig], nn.Module]] = {
    "open_clip": open_clip_tower,
    "transformers": transformers_tower,
}


def step(tower: Callable[[Tensor], Tensor], x: Tensor, dtype: torch.dtype) -> None:
    """Take a training step; gradients are added up."""
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        loss = tower(x).float().sum()
    loss.backward()  # type: ignore[no-untyped-call]


def tower_rows(is_quick: bool, rounds: int) -> Iterator[Row]:
    """Compare training steps of the image encoder with the other tools, and of two formats."""
    load_torchvision()  # the packages import it, and it may need help
    towers: dict[str, nn.Module] = {"pdray": network(is_quick).image}
    for name, make in RIVALS.items():
        try:
            towers[name] = make(settings(is_quick))
        except ImportError:
            print(f"{name} is not installed: left out")
    x, costs = pictures(is_quick), {}
    for dtype in (torch.float32, torch.bfloat16):
        ways = [partial(step, tower, x, dtype) for tower in towers.values()]
        costs[dtype] = dict(zip(towers, best(ways, rounds=rounds), strict=True))
        title = str(dtype).removeprefix("torch.")
        for name in list(towers)[1:]:
            mine, theirs = costs[dtype]["pdray"], costs[dtype][name]
            yield Row(f"step of the image encoder, {title}", mine, theirs, name, EQUAL)
    mine, theirs = (costs[dtype]["pdray"] for dtype in (torch.bfloat16, torch.float32))
    yield Row("step of the image encoder, bfloat16", mine, theirs, "float32", HALF_GOAL)


def text_rows(is_quick: bool, rounds: int) -> Iterator[Row]:
    """Compare the text side with the picture side, and count its calls in evaluation."""
    model, x = network(is_quick), pictures(is_quick)
    calls: list[int] = []
    ways: list[Callable[[], object]] = [
        lambda: model.text().sum().backward(),
        partial(step, model.image, x, torch.float32),
    ]
    text, image = best(ways, rounds=rounds)
    whole = image * BATCH / SNIPPETS
    yield Row(f"texts in a step of batch {BATCH}", text, whole, "its image encoder", TEXT_GOAL)
    model.eval().text.transformer.register_forward_hook(lambda *_: calls.append(1))
    with torch.inference_mode():
        model.text()
        first = len(calls)
        for _ in range(3):
            model.text()
    print(
        f"calls of the text encoder: {first} in the first batch, {len(calls) - first} in the next 3"
    )


def memory(is_quick: bool, recompute: bool) -> tuple[float, float]:
    """Return by how many bytes a process grows in a step, and the CPU time of one [s]."""
    tower, x = network(is_quick, recompute=recompute).image, pictures(is_quick)
    step(tower, x[:1], torch.float32)  # makes the gradients
    before = resident()
    step(tower, x, torch.float32)
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    (cost,) = best([partial(step, tower, x, torch.float32)], rounds=2)
    return float(peak - before), cost


def resident() -> int:
    """Return the memory that this process uses now [byte]."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def told_memory(words: list[str]) -> None:
    """Print what :func:`memory` measures, in a process of its own."""
    torch.set_num_threads(1)
    print(*memory(words[0] == "quick", words[1] == "again"))


def memory_rows(is_quick: bool) -> Iterator[Row]:
    """Compare memory and time of a step whose blocks are computed again."""
    found = []
    for how in ("again", "once"):
        command = [sys.executable, "-c", _MEMORY, "quick" if is_quick else "full", how]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        found.append([float(word) for word in ran.stdout.split()])
    (small, slow), (large, quick) = found
    yield Row("memory of a step, blocks again", small / 1e6, large / 1e6, "once", MEMORY_GOAL, "MB")
    yield Row("time of a step, blocks again", slow, quick, "once", TIME_GOAL)


def write_noise(folder: Path, side: int) -> tuple[RatedRecording, ...]:
    """Write recordings of noise, of four classes in turn, and one to evaluate."""
    draw = np.random.default_rng(0)
    recordings = []
    for number in range(CLIPS + 1):
        path = folder / f"{number}" / "entry.arrow"
        path.parent.mkdir()
        with EntryWriter(path, StoreConfig(codec="raw")) as out:
            for index, frame in enumerate(draw.integers(0, 256, (LENGTH, side, side, 3), np.uint8)):
                out.append(index / 25, frame)
        recordings.append(
            RatedRecording(
                recording_id=f"R{number}", subject_id=f"S{number}", item="face_interview",
                grade=number % 4, target=number % 4, video=None, stored={"rgb": path},
            )
        )  # fmt: skip
    return tuple(recordings)


def kept_rows(is_quick: bool) -> Iterator[Row]:
    """Compare an epoch on cached frames with one that computes them."""
    side = 24 if is_quick else 224
    with tempfile.TemporaryDirectory() as folder:
        recordings = write_noise(Path(folder), side)
        for gate in ("tokens", "frames"):
            model = {**settings(is_quick, gate=gate, image_learning_rate=0.0).model_dump()}
            tree: dict[str, Any] = {
                "decode": {"height": side, "width": side}, "snippet": {"num_frames": FRAMES},
                "model": model, "loss": {"kind": "cross_entropy"},
                "optim": {"optimizer": "adamw", "batch_size": CLIPS, "epochs": EPOCHS + 2},
                "stream": {"reader": "local", "threads": 1},
            }  # fmt: skip
            kept = build(FitConfig, tree | {"features": {"views": 1}})
            read = build(FitConfig, tree | {"features": {"cache": "off"}})
            mine, theirs = (
                epoch_seconds(recordings, one, num_classes=4) / CLIPS for one in (kept, read)
            )
            goal = 0.0 if is_quick else KEPT_GOAL
            yield Row(
                f"per clip, frozen frames cached, gate {gate}", mine, theirs, "computed", goal
            )


def rows(is_quick: bool) -> Iterator[Row]:
    """Yield every comparison, as it is measured."""
    rounds = 1 if is_quick else 3
    yield from tower_rows(is_quick, rounds)
    yield from text_rows(is_quick, rounds)
    yield from memory_rows(is_quick)
    yield from kept_rows(is_quick)
    yield from intensity_rows(is_quick)


def main(argv: list[str]) -> int:
    """Run the benchmark and print the table; 1 when a goal is missed, 2 for an unknown word."""
    unknown = [word for word in argv if word not in ("size=quick", "size=full")]
    if unknown:
        print(f"unknown: {', '.join(unknown)}; known: size=quick, size=full")
        return 2
    is_quick, started = "size=quick" in argv, time.perf_counter()
    torch.set_num_threads(1)
    missed = 0
    for row in rows(is_quick):
        print(row.told(), flush=True)
        missed += not is_quick and row.rival / row.ours < row.goal
    print(f"{time.perf_counter() - started:.0f} s, torch {torch.__version__}, one thread")
    return int(missed > 0)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main(sys.argv[1:]))
