"""Other tools for reading data, used as their documentation shows."""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from pdray.data.store.entry import Entry
from pdray.models.layers.vision import load_torchvision

Reader = Callable[[Path, NDArray[np.int64], int, int], NDArray[np.uint8]]


def source_readers() -> dict[str, Reader]:
    """Return the installed decoders that read frames by number, one thread each."""
    readers: dict[str, Reader] = {}
    try:
        import decord  # noqa: F401
    except ImportError:
        pass
    else:
        readers["decord"] = _read_decord
    try:
        import torchcodec  # noqa: F401
    except (ImportError, OSError, RuntimeError):  # the last two: FFmpeg's libraries are lacking
        pass
    else:
        readers["TorchCodec"] = _read_torchcodec
    return readers


def _read_decord(
    video: Path, positions: NDArray[np.int64], height: int, width: int
) -> NDArray[np.uint8]:
    import decord

    reader = decord.VideoReader(str(video), width=width, height=height, num_threads=1)
    frames: NDArray[np.uint8] = reader.get_batch(positions.tolist()).asnumpy()
    return frames


def _read_torchcodec(
    video: Path, positions: NDArray[np.int64], height: int, width: int
) -> NDArray[np.uint8]:
    from torchcodec.decoders import VideoDecoder
    from torchcodec.transforms import Resize

    load_torchvision()  # TorchCodec asks it for its Resize, and it may need help

    # It scales inside the decoder, and trusts the header's times: its fastest way.
    decoder = VideoDecoder(
        str(video),
        num_ffmpeg_threads=1,
        seek_mode="approximate",
        dimension_order="NHWC",
        transforms=[Resize((height, width))],
    )
    frames: NDArray[np.uint8] = decoder.get_frames_at(positions.tolist()).data.numpy()
    return frames


def naive_normalise(frames: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Turn (B, C, T, H, W) uint8 into floats as it is usually written."""
    shape = (1, 3, 1, 1, 1)
    return frames.float().div(255).sub(mean.view(shape)).div(std.view(shape))


def ffmpeg_command(video: Path, height: int, width: int) -> list[str] | None:
    """Return an FFmpeg call that decodes and scales a file with one thread; None without FFmpeg."""
    program = shutil.which("ffmpeg")
    if program is None:
        return None
    flags = "area+accurate_rnd+bitexact+full_chroma_int"  # as pdray scales: the same pixels
    scale = f"scale={width}:{height}:flags={flags}"
    quiet = [program, "-v", "error", "-nostdin", "-threads", "1", "-filter_threads", "1"]
    out = ["-vf", scale, "-pix_fmt", "rgb24", "-threads", "1", "-f", "rawvideo", "-y"]
    return [*quiet, "-i", str(video), *out]


def run_ffmpeg(command: list[str], target: Path) -> None:
    """Run a command of :func:`ffmpeg_command` into a file."""
    subprocess.run([*command, str(target)], check=True)


class StoredSnippets(Dataset[torch.Tensor]):
    """A map-style dataset over entries of the frame store: item i is snippet i of a plan.

    Args:
        snippets: (entry, (T,) frame numbers) of each.
    """

    def __init__(self, snippets: list[tuple[Path, NDArray[np.int64]]]) -> None:
        self.snippets = snippets

    def __len__(self) -> int:
        return len(self.snippets)

    def __getitem__(self, number: int) -> torch.Tensor:
        path, indices = self.snippets[number]
        return torch.from_numpy(Entry(path).read(indices))


def loader(
    snippets: list[tuple[Path, NDArray[np.int64]]], *, batch_size: int, num_workers: int
) -> "DataLoader[torch.Tensor]":
    """Return PyTorch's loader over stored snippets, in order."""
    return DataLoader(
        StoredSnippets(snippets), batch_size=batch_size, num_workers=num_workers, prefetch_factor=2
    )


def default_ray_batches(
    rows: Sequence[Mapping[str, Any]], read: Callable[[Mapping[str, Any]], NDArray[np.uint8]]
) -> Iterator[NDArray[np.uint8]]:
    """Yield batches of 8 from ``ray.data`` as a first attempt has it: default blocks, ``map``."""
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    frames = ray.data.from_items(list(rows)).map(lambda row: {"frames": read(row)})
    for batch in frames.iter_batches(batch_size=8):
        yield batch["frames"]
