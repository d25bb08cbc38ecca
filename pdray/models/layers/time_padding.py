"""Convolutions over time with a right weight gradient on every processor.

oneDNN 3.12, part of torch 2.13, has two AVX-512 kernels (backward_weights of
``jit_bf16:avx512_core_bf16`` and of ``jit:avx512_core``) that read outside their memory. It happens
on a padded time axis: with 2 to k - 1 steps and a kernel of length k in bfloat16, or with up to k
steps and a stride of 2 in single precision. The last stage of most networks has 2 steps and k = 3.
The weight gradient is then noise up to infinity, or the process crashes. It is right if the input
is padded with zeros before the convolution, not by it.
Letters: B batch, C channel, T time step, H height, W width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional


def is_misread(x_BCTHW: Tensor, conv: nn.Conv3d) -> bool:
    """Return whether the weight gradient could use a kernel that misreads the time axis."""
    num_steps, kernel = x_BCTHW.shape[2], conv.kernel_size[0]
    if x_BCTHW.device.type != "cpu" or not 1 < num_steps <= kernel:
        return False
    if not (torch.is_grad_enabled() and conv.weight.requires_grad):
        return False
    is_half = x_BCTHW.dtype.itemsize < 4 or torch.is_autocast_enabled("cpu")
    return is_half or conv.stride[0] > 1


class TimePaddedConv3d(nn.Conv3d):
    """Convolution that pads its input in time itself where oneDNN would misread it."""

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return what the plain convolution returns."""
        if not is_misread(x_BCTHW, self):
            return super().forward(x_BCTHW)
        time, high, wide = (int(size) for size in self.padding)
        return functional.conv3d(
            functional.pad(x_BCTHW, (0, 0, 0, 0, time, time)),
            self.weight,
            self.bias,
            self.stride,
            (0, high, wide),
            self.dilation,
            self.groups,
        )


def guard_time_axis(network: nn.Module) -> None:
    """Turn each plain convolution that pads with zeros in time into a :class:`TimePaddedConv3d`.

    In place: weights, hooks, and the names and order of the parameters stay.
    """
    for conv in network.modules():
        if (
            isinstance(conv, nn.Conv3d)
            and type(conv).forward is nn.Conv3d.forward
            and isinstance(conv.padding, tuple)
            and conv.padding[0] > 0
            and conv.padding_mode == "zeros"
        ):
            conv.__class__ = TimePaddedConv3d
