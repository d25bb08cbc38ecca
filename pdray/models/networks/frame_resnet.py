"""2D residual network on single frames averaged over time, or on stacked frames (two-stream).

Source: He et al. 2016 (arXiv:1512.03385), table 1; the 2D baseline of the hypomimia descriptor
(the hypomimia abstract) and the face encoder of YouTubePD. Parameters have torchvision's names
(conv1, bn1, layer1.0.conv1, ..., fc), and a bottleneck strides at its 3x3 convolution, as there.
``layout`` vggface2 is the layout of the VGGFace2 ResNet-50 (Cao et al. 2018, arXiv:1710.08092),
with the same parameter names and shapes: the stride is at the first 1x1 convolution, and the pool
of the stem has no padding and rounds its size up. Its files expect faces as blue, green, red in
0..255, minus (91.4953, 103.8827, 131.0912); torchvision's expect red, green, blue in 0..1, minus
(0.485, 0.456, 0.406), divided by (0.229, 0.224, 0.225).
Differs: the features of the frames are averaged before one head; dropout before the head; the
width is a setting. Frames are folded into the batch, so the maps of ``MAP_LAYERS`` are
(N, D', H', W') with N = B T, the frames of a snippet one after the other.

Two-stream: the frames of a snippet are stacked along the channels and form one picture. Source:
Simonyan and Zisserman 2014 (arXiv:1406.2199), section 3: the spatial stream takes one frame of
three colours, the temporal stream ten flow fields of two components as twenty channels (eq. 1).
Temporal segment networks (TSN, Wang et al. 2016, arXiv:1608.00859) are such a stream of five
fields, with the mean consensus of ``segment_attention.py``. Train the two streams separately and
average their predictions. Differs: this ResNet replaces CNN-M and BN-Inception; dropout 0.7 is that
of TSN's temporal stream (spatial: 0.8). The first convolution has a weight for each frame, so the
length of the snippets is fixed. Maps are (B, D', H', W'), without time.
Letters: B batch, C channel, T time step, H height, W width, N frame (B T), I channel of a stack
(T C), D feature, K class.
"""

from typing import ClassVar

from torch import Tensor, nn

from pdray.models.layers.limits import check_snippets
from pdray.models.networks.frame_resnet_settings import (
    LEAST_BOTTLENECK,
    WIDTHS,
    FrameResNetConfig,
    FrameResNetShape,
    Layout,
    TwoStreamConfig,
)

NUM_BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
EXPANSION = 4


def conv(channels: int, width: int, *, kernel: int, stride: int) -> nn.Conv2d:
    """Return a convolution without bias that changes the size only by its stride."""
    return nn.Conv2d(channels, width, kernel, stride=stride, padding=kernel // 2, bias=False)


def make_shortcut(channels: int, out_channels: int, *, stride: int) -> nn.Module | None:
    """Return the shortcut of a block; None if it is the input itself."""
    if channels == out_channels and stride == 1:
        return None
    return nn.Sequential(
        conv(channels, out_channels, kernel=1, stride=stride), nn.BatchNorm2d(out_channels)
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions plus a shortcut."""

    def __init__(self, channels: int, width: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = conv(channels, width, kernel=3, stride=stride)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, kernel=3, stride=1)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(channels, width, stride=stride)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, width, H', W')."""
        y_NDHW = self.relu(self.bn1(self.conv1(x_NCHW)))
        y_NDHW = self.bn2(self.conv2(y_NDHW))
        y_NDHW += x_NCHW if self.downsample is None else self.downsample(x_NCHW)
        out_NDHW: Tensor = self.relu(y_NDHW)
        return out_NDHW


class Bottleneck(nn.Module):
    """Convolutions 1x1, 3x3 and 1x1, plus a shortcut."""

    def __init__(self, channels: int, width: int, *, stride: int, layout: Layout) -> None:
        super().__init__()
        first, second = (1, stride) if layout == "torchvision" else (stride, 1)
        self.conv1 = conv(channels, width, kernel=1, stride=first)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = conv(width, width, kernel=3, stride=second)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = conv(width, width * EXPANSION, kernel=1, stride=1)
        self.bn3 = nn.BatchNorm2d(width * EXPANSION)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = make_shortcut(channels, width * EXPANSION, stride=stride)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, 4 width, H', W')."""
        y_NDHW = self.relu(self.bn1(self.conv1(x_NCHW)))
        y_NDHW = self.relu(self.bn2(self.conv2(y_NDHW)))
        y_NDHW = self.bn3(self.conv3(y_NDHW))
        y_NDHW += x_NCHW if self.downsample is None else self.downsample(x_NCHW)
        out_NDHW: Tensor = self.relu(y_NDHW)
        return out_NDHW


class FrameResNet(nn.Module):
    """2D ResNet: stem, four stages of residual blocks, mean over space and frames, linear head."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = ("layer1", "layer2", "layer3", "layer4")

    def __init__(
        self,
        config: FrameResNetShape,
        *,
        layout: Layout,
        num_classes: int,
        num_channels: int,
        stacked_frames: int | None = None,
    ) -> None:
        """Build the layers.

        Args:
            config: Shape.
            layout: Position of the strides.
            num_classes: Classes K.
            num_channels: Channels of a frame.
            stacked_frames: Frames per snippet, stacked for the first layer; None: frames are not
                stacked.
        """
        super().__init__()
        self.num_channels, self.stacked_frames = num_channels, stacked_frames
        widths = [int(width * config.width_factor) for width in WIDTHS]
        self.conv1 = conv(num_channels * (stacked_frames or 1), widths[0], kernel=7, stride=2)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        is_padded = layout == "torchvision"
        self.maxpool = nn.MaxPool2d(3, 2, padding=int(is_padded), ceil_mode=not is_padded)
        channels = widths[0]
        stages = []
        for index, width in enumerate(widths):
            blocks: list[nn.Module] = []
            for number in range(NUM_BLOCKS[config.depth][index]):
                stride = 2 if number == 0 and index > 0 else 1
                if config.depth < LEAST_BOTTLENECK:
                    blocks.append(BasicBlock(channels, width, stride=stride))
                    channels = width
                else:
                    blocks.append(Bottleneck(channels, width, stride=stride, layout=layout))
                    channels = width * EXPANSION
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.num_features = channels
        self.dropout = nn.Dropout(config.dropout)
        self.fc = nn.Linear(channels, num_classes)
        self.initialise()

    def initialise(self) -> None:
        """Draw the convolutions as torchvision does: normal with fan out (He et al. 2015).

        Norms start as the identity and the head at torch's default, as there.
        """
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def look(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, D) features of pictures (N, C, H, W): the mean over space."""
        x_NDHW = self.maxpool(self.relu(self.bn1(self.conv1(x_NCHW))))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x_NDHW = stage(x_NDHW)
        f_ND: Tensor = x_NDHW.mean(dim=(2, 3))
        return f_ND

    def features(self, x_BCTHW: Tensor) -> Tensor:
        """Return (B, D) features of normalised snippets: the mean over frames if not stacked.

        Raises:
            ValueError: If the axes are not those of snippets (B, C, T, H, W), or T is not
                ``stacked_frames``.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_BTCHW = x_BCTHW.transpose(1, 2)
        if self.stacked_frames is not None:
            if x_BTCHW.shape[1] != self.stacked_frames:
                raise ValueError(
                    f"the first layer was built for snippets of {self.stacked_frames} frames, got "
                    f"{x_BTCHW.shape[1]} in {tuple(x_BCTHW.shape)}"
                )
            return self.look(x_BTCHW.flatten(1, 2))
        f_ND = self.look(x_BTCHW.flatten(0, 1))
        return f_ND.view(len(x_BCTHW), -1, self.num_features).mean(dim=1)

    def classify(self, f_BD: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, D)."""
        logits_BK: Tensor = self.fc(self.dropout(f_BD))
        return logits_BK

    def forward(self, x_BCTHW: Tensor) -> Tensor:
        """Return logits (B, K) of normalised snippets; raises as :meth:`features`."""
        return self.classify(self.features(x_BCTHW))


def build_frame_resnet(
    config: FrameResNetConfig, num_classes: int, num_channels: int = 3
) -> FrameResNet:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`frame_resnet_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.
    """
    return FrameResNet(
        config, layout=config.layout, num_classes=num_classes, num_channels=num_channels
    )


def build_two_stream(
    config: TwoStreamConfig, num_classes: int, num_channels: int = 3
) -> FrameResNet:
    """Build one stream; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`two_stream_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: Of a frame: 3 colours, or 2 components of flow.
    """
    return FrameResNet(
        config,
        layout="torchvision",
        num_classes=num_classes,
        num_channels=num_channels,
        stacked_frames=config.stacked_frames,
    )
