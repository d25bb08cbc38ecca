"""3D residual network with a severity head.

Source: Hara et al. 2018 (arXiv:1711.09577), table 1, and their public code, whose parameter names
(conv1, bn1, layer1.0.conv1, ..., fc) are kept so that the published checkpoints load by name.
Differs: the shortcut of type A passes its gradient on (the public code detaches it); the time
stride of every stage is a setting; group norm is an alternative to batch norm; dropout before the
head; the mean is over all remaining space and time, so any size of snippet is accepted.
Letters: B batch, C channel, T time step, H height, W width, D feature, K class.
"""

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from pdray.models.layers.limits import (
    check_snippets,
)
from pdray.models.layers.residual import BasicBlock, Bottleneck, Mixer, conv3x3x3, make_norm
from pdray.models.layers.settings import Norm, Shortcut
from pdray.models.networks.resnet3d_settings import Layout, ResNet3DConfig, make_layout


class ResNet3D(nn.Module):
    """3D ResNet: stem, four stages of residual blocks, mean over space and time, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = ("layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        layout: Layout,
        *,
        num_classes: int,
        shortcut: Shortcut,
        norm: Norm,
        dropout: float,
        mixers: Sequence[Mixer] = (conv3x3x3,) * 4,
    ) -> None:
        super().__init__()
        kernel = (layout.stem_time_kernel, 7, 7)
        padding = (layout.stem_time_kernel // 2, 3, 3)
        self.num_channels = layout.num_channels
        self.conv1 = nn.Conv3d(
            layout.num_channels,
            layout.widths[0],
            kernel,
            stride=layout.strides[0],
            padding=padding,
            bias=False,
        )
        self.bn1 = make_norm(norm, layout.widths[0])
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=layout.strides[1], padding=1)
        block = Bottleneck if layout.is_bottleneck else BasicBlock
        channels = layout.widths[0]
        stages = []
        for index, width in enumerate(layout.widths):
            blocks = []
            for number in range(layout.num_blocks[index]):
                stride = layout.strides[index + 2] if number == 0 else (1, 1, 1)
                blocks.append(
                    block(
                        channels,
                        width,
                        stride=stride,
                        mixer=mixers[index],
                        norm=norm,
                        shortcut=shortcut,
                    )
                )
                channels = width * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.dropout = nn.Dropout(dropout)
        self.num_features = channels
        self.fc = nn.Linear(channels, num_classes)
        self.initialise()

    def initialise(self) -> None:
        """Draw the convolutions as Hara's code does: normal with fan out (He et al. 2015).

        Norms start as the identity and the head at torch's default, as there.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D) features of normalised snippets: the mean over space and time."""
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_BDTHW = self.maxpool(self.relu(self.bn1(self.conv1(x_BCTHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_BDTHW = stage(x_BDTHW)
        f_BD: Tensor = x_BDTHW.mean(dim=(2, 3, 4))
        return f_BD

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.fc(self.dropout(f_BD))
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised floating point snippets (B, C, T, H, W)."""
        return self.classify(self.features(x_BCTHW))


def build_resnet3d(config: ResNet3DConfig, num_classes: int, num_channels: int = 3) -> ResNet3D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`resnet3d_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: Of a snippet: 3 colours, or 2 components of flow.
    """
    return ResNet3D(
        make_layout(config, num_channels),
        num_classes=num_classes,
        shortcut=config.shortcut,
        norm=config.norm,
        dropout=config.dropout,
    )
