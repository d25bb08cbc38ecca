"""Flat convolutions (only in space, only in time, or 1x1x1), computed the fastest way.

Letters: B batch, C channel, T time step, H height, W width, D channel out, N frame of a batch
(B T), P place (H W).
"""

import torch
from torch import Tensor
from torch.nn import functional

from pdray.models.layers.time_padding import TimePaddedConv3d


def is_reduced(x_BCTHW: Tensor) -> bool:
    """Return whether a convolution of ``x_BCTHW`` will be computed in half precision."""
    is_half = x_BCTHW.dtype not in (torch.float32, torch.float64)
    return is_half or torch.is_autocast_enabled(x_BCTHW.device.type)


def in_fast_order(x_BCTHW: Tensor) -> Tensor:
    """Return snippets channels-last on a CPU, where that is faster; elsewhere unchanged."""
    if not x_BCTHW.is_cpu:
        return x_BCTHW
    return x_BCTHW.contiguous(memory_format=torch.channels_last_3d)


class FlatConv(TimePaddedConv3d):
    """3D convolution without bias that is faster on a CPU if its kernel is flat.

    In single and double precision on a CPU, a kernel of 1 x 1 x 1 is computed as a linear map of
    channels, one of k x 1 x 1 as a 2D convolution over time and places, and one of 1 x k x k as a
    2D convolution of each frame. The results are those of the 3D convolution, which took up to
    five times as long and is used in all other cases. Channels-last maps stay so without a copy.
    """

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D, T', H', W')."""
        if not x_BCTHW.is_cpu or is_reduced(x_BCTHW):
            return super().forward(x_BCTHW)
        time, *space = self.kernel_size
        if (time, *space) == (1, 1, 1):
            return self._map_channels(x_BCTHW)
        if space == [1, 1]:
            return self._convolve_time(x_BCTHW)
        if time == 1:
            return self._convolve_frames(x_BCTHW)
        return super().forward(x_BCTHW)

    def _map_channels(self, x_BCTHW: Tensor) -> Tensor:
        """Apply a kernel of 1 x 1 x 1 at each place that the stride selects."""
        time, high, wide = self.stride
        x_BTHWC = x_BCTHW[:, :, ::time, ::high, ::wide].permute(0, 2, 3, 4, 1)
        return functional.linear(x_BTHWC, self.weight.flatten(1)).permute(0, 4, 1, 2, 3)

    def _convolve_time(self, x_BCTHW: Tensor) -> Tensor:
        """Apply a kernel of k x 1 x 1 that strides only in time."""
        y_BDTP = functional.conv2d(
            x_BCTHW.flatten(3),
            self.weight.squeeze(4),
            stride=(self.stride[0], 1),
            padding=(self.kernel_size[0] // 2, 0),
            groups=self.groups,
        )
        return y_BDTP.view(*y_BDTP.shape[:3], *x_BCTHW.shape[3:])

    def _convolve_frames(self, x_BCTHW: Tensor) -> Tensor:
        """Apply a kernel of 1 x k x k that strides only in space."""
        y_NDHW = functional.conv2d(
            x_BCTHW.transpose(1, 2).flatten(0, 1),
            self.weight.squeeze(2),
            stride=self.stride[1:],
            padding=self.kernel_size[1] // 2,
        )
        return y_NDHW.view(len(x_BCTHW), -1, *y_NDHW.shape[1:]).transpose(1, 2)
