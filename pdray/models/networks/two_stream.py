"""2D network on frames stacked along the channels: one stream of the two-stream networks, and TSN.

Source: Simonyan and Zisserman 2014 (arXiv:1406.2199), section 3: the spatial stream sees one frame
of three colours, the temporal stream ten flow fields of two components as twenty channels (eq. 1).
Temporal segment networks (Wang et al. 2016, arXiv:1608.00859) are such a stream, five fields long,
under the mean consensus of ``segment_attention.py``. Two streams are two trainings, whose scores
are averaged from their predictions.
Differs: a ResNet with torchvision's parameter names stands for CNN-M and for BN-Inception; dropout
0.7 is that of TSN's temporal stream, whose spatial one has 0.8.
A snippet of another length than the network was built for is refused: the first convolution has a
weight for every frame. The maps of ``MAP_LAYERS`` are (B, D', H', W'), without time.
Letters: B batch, C channel, T time step, H height, W width, I channel of a stack (T C), D feature,
K class.
"""

from typing import ClassVar

from torch import Tensor, nn

from pdray.models.layers.limits import check_snippets
from pdray.models.networks.frame_resnet import FrameResNet
from pdray.models.networks.two_stream_settings import TwoStreamConfig


class TwoStream(nn.Module):
    """A 2D residual network whose first convolution sees every frame of a snippet."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = FrameResNet.MAP_LAYERS

    def __init__(self, network: FrameResNet, *, num_channels: int, stacked_frames: int) -> None:
        """Take over the layers, under their names, of a network for whole stacks.

        Args:
            network: For pictures of ``num_channels * stacked_frames`` channels.
            num_channels: Of a frame.
            stacked_frames: Frames of a snippet.
        """
        super().__init__()
        self.num_channels = num_channels
        self.stacked_frames = stacked_frames
        self.num_features = network.num_features
        self.conv1, self.bn1 = network.conv1, network.bn1
        self.relu, self.maxpool = network.relu, network.maxpool
        self.layer1, self.layer2 = network.layer1, network.layer2
        self.layer3, self.layer4 = network.layer3, network.layer4
        self.dropout, self.fc = network.dropout, network.fc

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D) the mean over space of the last stage of normalised snippets.

        Raises:
            ValueError: If the axes are not those of snippets, or T is not ``stacked_frames``.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        if x_BCTHW.shape[2] != self.stacked_frames:
            raise ValueError(
                f"the first layer was made for snippets of {self.stacked_frames} frames, got "
                f"{x_BCTHW.shape[2]} in {tuple(x_BCTHW.shape)}"
            )
        x_BIHW = x_BCTHW.transpose(1, 2).flatten(1, 2)
        x_BDHW = self.maxpool(self.relu(self.bn1(self.conv1(x_BIHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_BDHW = stage(x_BDHW)
        f_BD: Tensor = x_BDHW.mean(dim=(2, 3))
        return f_BD

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.fc(self.dropout(f_BD))
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_two_stream(config: TwoStreamConfig, num_classes: int, num_channels: int = 3) -> TwoStream:
    """Build the network; its weights come from the ambient torch generator.

    Args:
        config: Settings without a fault in :func:`two_stream_faults`.
        num_classes: Classes K, at least 2.
        num_channels: Of a frame: 3 colours, or 2 components of flow.
    """
    network = FrameResNet(
        config,
        layout="torchvision",
        num_classes=num_classes,
        num_channels=num_channels * config.stacked_frames,
    )
    return TwoStream(network, num_channels=num_channels, stacked_frames=config.stacked_frames)
