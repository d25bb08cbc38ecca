"""InceptionV3 with the weights of 2015, on whose features FID is computed.

Source: Szegedy et al. 2016 (arXiv:1512.00567), figures 5 to 7 and table 1; FID: Heusel et al. 2017
(arXiv:1706.08500). The file is the PyTorch port of TensorFlow's inception-2015-12-05:
``pt_inception-2015-12-05-6726825d.pth`` of github.com/mseitzer/pytorch-fid; it is read from disk
alone. Parameters have torchvision's names. The graph of 2015 differs from torchvision's
InceptionV3, whose weights give other numbers: 1,008 classes, averages that do not count the
padding, a largest value in place of an average in the last block, and no auxiliary classifier.
Features are the 2,048 means over space before the classes.
Differs: pictures are resized to 299 x 299 by torch's bilinear interpolation, as in that port;
TensorFlow 1 took other places.
Letters: N picture, C channel, H height, W width, D feature.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.errors import refuse
from pdray.models.weights.checkpoint import CheckpointError, read_checkpoint
from pdray.models.weights.mapping import COUNTER

SIDE, NUM_FEATURES, NUM_CLASSES = 299, 2048, 1008
_TORCHVISION_CLASSES = 1000
_MOST = 6

Pool = Literal["average", "largest", "none"]
# One after another: name, channels, height and width of the kernel. "|" stands before a
# convolution that sees the same as the one before it, and stands beside it in the result.
_A = (
    "branch1x1 64 1 1",
    "branch5x5_1 48 1 1, branch5x5_2 64 5 5",
    "branch3x3dbl_1 64 1 1, branch3x3dbl_2 96 3 3, branch3x3dbl_3 96 3 3",
)
_B = (
    "branch3x3 384 3 3",
    "branch3x3dbl_1 64 1 1, branch3x3dbl_2 96 3 3, branch3x3dbl_3 96 3 3",
)
_C = (
    "branch1x1 192 1 1",
    "branch7x7_1 {w} 1 1, branch7x7_2 {w} 1 7, branch7x7_3 192 7 1",
    "branch7x7dbl_1 {w} 1 1, branch7x7dbl_2 {w} 7 1, branch7x7dbl_3 {w} 1 7, "
    "branch7x7dbl_4 {w} 7 1, branch7x7dbl_5 192 1 7",
)
_D = (
    "branch3x3_1 192 1 1, branch3x3_2 320 3 3",
    "branch7x7x3_1 192 1 1, branch7x7x3_2 192 1 7, branch7x7x3_3 192 7 1, branch7x7x3_4 192 3 3",
)
_E = (
    "branch1x1 320 1 1",
    "branch3x3_1 384 1 1, branch3x3_2a 384 1 3, |branch3x3_2b 384 3 1",
    "branch3x3dbl_1 448 1 1, branch3x3dbl_2 384 3 3, branch3x3dbl_3a 384 1 3, "
    "|branch3x3dbl_3b 384 3 1",
)


class ConvNorm(nn.Module):
    """Convolution without bias, norm and rectifier."""

    def __init__(
        self, channels: int, width: int, kernel: tuple[int, int], *, stride: int = 1, padded: bool
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2) if padded else (0, 0)
        self.conv = nn.Conv2d(channels, width, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(width, eps=0.001)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, width, H', W')."""
        return functional.relu(self.bn(self.conv(x_NCHW)))


class Mixed(nn.Module):
    """Chains of convolutions side by side, and a pool.

    Args:
        channels: Of the input.
        chains: As the tables above.
        pool: What the last branch takes of each 3 x 3 places.
        pooled: Channels of the convolution behind it; 0: none, and the last convolution of each
            chain and the pool go two places at a time.
    """

    def __init__(self, channels: int, chains: Sequence[str], pool: Pool, pooled: int) -> None:
        super().__init__()
        self.chains = [[step.split() for step in chain.split(", ")] for chain in chains]
        self.pool = pool
        for chain in self.chains:
            width = before = channels
            for number, (name, wide, *kernel) in enumerate(chain):
                is_last = not pooled and number == len(chain) - 1
                seen = before if name.startswith("|") else width
                layer = ConvNorm(
                    seen, int(wide), (int(kernel[0]), int(kernel[1])),
                    stride=2 if is_last else 1, padded=not is_last,
                )  # fmt: skip
                self.add_module(name.removeprefix("|"), layer)
                before, width = seen, int(wide)
        self.branch_pool = ConvNorm(channels, pooled, (1, 1), padded=True) if pooled else None

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return the branches one after another along the channels."""
        found = []
        for chain in self.chains:
            y_NCHW, sides = x_NCHW, list[Tensor]()
            before = y_NCHW
            for name, *_ in chain:
                if name.startswith("|"):
                    sides.append(y_NCHW)
                    y_NCHW = before
                before = y_NCHW
                y_NCHW = self.get_submodule(name.removeprefix("|"))(y_NCHW)
            found += [*sides, y_NCHW]
        if self.branch_pool is None:
            return torch.cat([*found, functional.max_pool2d(x_NCHW, 3, 2)], 1)
        if self.pool == "largest":
            pooled_NCHW = functional.max_pool2d(x_NCHW, 3, 1, 1)
        else:
            pooled_NCHW = functional.avg_pool2d(x_NCHW, 3, 1, 1, count_include_pad=False)
        return torch.cat([*found, self.branch_pool(pooled_NCHW)], 1)


class FidInception(nn.Module):
    """The graph of 2015 up to its features, and its classes, which nobody asks for."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, (3, 3), stride=2, padded=False)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, (3, 3), padded=False)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, (3, 3), padded=True)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, (1, 1), padded=False)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, (3, 3), padded=False)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = Mixed(192, _A, "average", 32)
        self.Mixed_5c = Mixed(256, _A, "average", 64)
        self.Mixed_5d = Mixed(288, _A, "average", 64)
        self.Mixed_6a = Mixed(288, _B, "none", 0)
        for name, width in zip("bcde", (128, 160, 160, 192), strict=True):
            chains = [chain.format(w=width) for chain in _C]
            self.add_module(f"Mixed_6{name}", Mixed(768, chains, "average", 192))
        self.Mixed_7a = Mixed(768, _D, "none", 0)
        self.Mixed_7b = Mixed(1280, _E, "average", 192)
        self.Mixed_7c = Mixed(2048, _E, "largest", 192)
        self.fc = nn.Linear(NUM_FEATURES, NUM_CLASSES)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, 2048) features of pictures of any size.

        Args:
            x_NCHW: (N, 3, H, W) float, red, green, blue in 0..1.
        """
        y_NCHW = functional.interpolate(x_NCHW, (SIDE, SIDE), mode="bilinear", align_corners=False)
        y_NCHW = 2.0 * y_NCHW - 1.0
        for name, layer in self.named_children():
            if name != "fc":
                y_NCHW = layer(y_NCHW)
        return y_NCHW.mean(dim=(2, 3))


def read_fid_inception(path: Path) -> FidInception:
    """Read the network of a file, in evaluation mode.

    Raises:
        CheckpointError: If the file cannot be read or is another network's, as torchvision's.
    """
    state = read_checkpoint(path)
    network = FidInception()
    refuse(_faults(state, network.state_dict()), CheckpointError, f"{path} has no weights for FID")
    network.load_state_dict(dict(state), strict=False)
    return network.eval()


def is_inception(state: Mapping[str, Tensor]) -> bool:
    """Return whether tensors are those of an InceptionV3."""
    return "Mixed_7c.branch_pool.conv.weight" in state


def _faults(state: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> list[str]:
    if not is_inception(state):
        first = "', '".join(list(state)[:3])
        return [f"its first tensors are '{first}'; use pt_inception-2015-12-05-6726825d.pth"]
    if (head := state.get("fc.weight")) is not None and len(head) == _TORCHVISION_CLASSES:
        return [
            "it is torchvision's InceptionV3, of another graph, whose distances are not FID; use "
            "pt_inception-2015-12-05-6726825d.pth"
        ]
    counted = {name: one for name, one in own.items() if not name.endswith(COUNTER)}
    faults = [f"it has no '{name}'" for name in counted if name not in state]
    faults += [f"the network has no '{name}'" for name in state if name not in own]
    faults += [
        f"'{name}' is {tuple(state[name].shape)} in the file and {tuple(one.shape)} in the network"
        for name, one in counted.items()
        if name in state and state[name].shape != one.shape
    ]
    return [*faults[:_MOST], *([f"and {len(faults) - _MOST} more"] if len(faults) > _MOST else [])]
