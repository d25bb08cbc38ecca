"""R3D-18 of torchvision, with a severity head.

Source: Tran et al. 2018 (arXiv:1711.11248), section 3. The layers are torchvision's and keep their
names (stem.0, layer1.0.conv1.0, ..., fc), so the files of ``r3d_18`` load by name. They were
trained at 112 px with mean (0.43216, 0.394666, 0.37645) and standard deviation (0.22803, 0.22145,
0.216989) of pixels in 0..1; ``pdray.data.batches.normalise`` uses slightly different ones.
Differs: dropout before the head; a first convolution of two channels for flow.
Letters: B batch, C channel, T time step, H height, W width, D feature, K class.
"""

from typing import ClassVar

from torch import Tensor, nn

from pdray.models.layers.limits import check_snippets
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.torchvision_settings import R3DConfig


class R3D(nn.Module):
    """R3D-18: stem, four stages of residual blocks, mean over space and time, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = ("stem", "layer1", "layer2", "layer3", "layer4")

    def __init__(self, *, num_classes: int, num_channels: int, dropout: float) -> None:
        super().__init__()
        net = load_torchvision().models.video.r3d_18(num_classes=num_classes)
        self.num_channels = num_channels
        self.num_features: int = net.fc.in_features
        self.stem: nn.Sequential = net.stem
        self.layer1, self.layer2 = net.layer1, net.layer2
        self.layer3, self.layer4 = net.layer3, net.layer4
        self.dropout = nn.Dropout(dropout)
        self.fc: nn.Linear = net.fc
        if num_channels != 3:
            self.stem[0] = nn.Conv3d(
                num_channels, 64, (3, 7, 7), stride=(1, 2, 2), padding=(1, 3, 3), bias=False
            )
            nn.init.kaiming_normal_(self.stem[0].weight, mode="fan_out", nonlinearity="relu")

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return pooled features (B, D) of normalised snippets (B, C, T, H, W) of any size.

        Raises:
            ValueError: If the axes are not those of snippets.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        for stage in (self.stem, self.layer1, self.layer2, self.layer3, self.layer4):
            x_BCTHW = stage(x_BCTHW)
        return x_BCTHW.mean(dim=(2, 3, 4))

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of pooled features (B, D)."""
        logits_BK: Tensor = self.fc(self.dropout(f_BD))
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_r3d(config: R3DConfig, num_classes: int, num_channels: int = 3) -> R3D:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.
    """
    return R3D(num_classes=num_classes, num_channels=num_channels, dropout=config.dropout)
