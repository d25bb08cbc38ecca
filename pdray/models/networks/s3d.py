"""Separable 3D Inception-v1 (S3D) of torchvision, with a severity head.

Source: Xie et al. 2018 (arXiv:1712.04851), section 4. The layers are torchvision's and keep their
names after the prefix ``net.`` (net.features.0.0.0.weight, ..., net.classifier.1.bias), so the
files of ``s3d`` load by name. They were trained at 224 px with mean (0.43216, 0.394666, 0.37645)
and standard deviation (0.22803, 0.22145, 0.216989) of pixels in 0..1;
``pdray.data.batches.normalise`` uses slightly different ones.
Differs: the head's windows of 2 x 7 x 7 steps are cut to a smaller map, where torchvision raises an
error; a first convolution of two channels for flow.
Letters: B batch, C channel, T time step, H height, W width, D feature, K class.
"""

from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.limits import check_snippets
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.i3d import HEAD_WINDOW, mean_of_windows
from pdray.models.networks.torchvision_settings import LEAST_FRAMES, LEAST_PIXELS, S3DConfig


class S3D(nn.Module):
    """S3D: stem, nine separable Inception blocks and pools, mean over windows, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = (
        "net.features.0",
        "net.features.3",
        "net.features.6",
        "net.features.12",
        "net.features.15",
    )

    def __init__(self, *, num_classes: int, num_channels: int, dropout: float) -> None:
        super().__init__()
        net = load_torchvision().models.video.s3d(num_classes=num_classes, dropout=dropout)
        self.num_channels = num_channels
        self.num_features: int = net.classifier[1].in_channels
        # With a prefix, since 'features' is a method here.
        self.net = nn.ModuleDict({"features": net.features, "classifier": net.classifier})
        if num_channels != 3:
            net.features[0][0][0] = nn.Conv3d(
                num_channels, 64, (1, 7, 7), stride=(1, 2, 2), padding=(0, 3, 3), bias=False
            )

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return pooled features (B, D) of normalised snippets (B, C, T, H, W).

        Raises:
            ValueError: If the axes are not those of snippets, or too short for the last pool.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        least = (LEAST_FRAMES, LEAST_PIXELS, LEAST_PIXELS)
        if any(size < few for size, few in zip(x_BCTHW.shape[2:], least, strict=True)):
            raise ValueError(
                f"snippets (B, C, T, H, W) of this network need at least {least[0]} frames of "
                f"{least[1]} x {least[2]} px, got {tuple(x_BCTHW.shape)}"
            )
        return mean_of_windows(self.net["features"](x_BCTHW), HEAD_WINDOW)

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of pooled features (B, D).

        In torchvision the head is a 1x1x1 convolution of each window. It is linear, so it can be
        applied to the mean of the windows.
        """
        dropout, head = self.net["classifier"].children()
        assert isinstance(head, nn.Conv3d)
        return functional.linear(dropout(f_BD), head.weight.flatten(1), head.bias)

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_s3d(config: S3DConfig, num_classes: int, num_channels: int = 3) -> S3D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`s3d_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.
    """
    return S3D(num_classes=num_classes, num_channels=num_channels, dropout=config.dropout)
