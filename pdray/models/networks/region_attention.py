"""Region attention: attention over 14 facial regions in each frame, then over time.

Source: YouTubePD, section 5.1 and figures 4 and 10. RoIAlign reads 14 regions from the feature map
of each frame; the map comes from a ResNet-50 trained on VGGFace2 whose first three stages are
frozen. The regions and the projected global feature of the frame are tokens. They get learned
positions and go through attention over the tokens of a frame, then over the frames of a token. Each
region has a head of two layers (ill or normal). The head of the video reads the global token.
Choices where the paper is silent; "code" marks those taken from the authors' public code:

- RoIAlign of 3x3 bins (code); the global feature is averaged over as many bins.
- Tokens of 768 features, 3 attention heads, hidden layers of the other heads half as wide (code).
- Regions and the global feature are projected alike (code).
- The global token takes part in the attention over time.
- Each head reads the mean over the frames in which its token is present (the code learns one more
  token per region for that).
- Tokens are batch-normalised together before positions are added (the code normalises each frame
  number before the projection); positions start at a spread of 0.5 (the code: 0.02).
- Residual sums and norms are TimeSformer's (``space_time_attention.py``).
- Dropout acts on tokens, attention and hidden layers.

The paper says both that the backbone is frozen and that three stages are; its features are 2048,
as in stage 4, but the code reads stage 3. ``map_stage`` and ``frozen_stages`` are settings.
Differs: one logit per region instead of two and a softmax; boxes are cut at the picture's edges;
absent regions (no box, or none of it within the picture) are left out of attention and heads, not
set to zero; norms of frozen stages keep their statistics in training. The code's mixing of time and
regions is not copied (``space_time_attention.py``).

Training does not change ``frozen_maps``, so they can be cached for a fixed view of a recording.
``align_tokens`` continues from the maps and the boxes; if the backbone is wholly frozen
(``frozen_stages`` is ``map_stage``), it only reads the regions.
Letters: B batch, C channel, T time step, H height, W width, N frame (B T), D feature, R region,
S token of a frame (1 + R, the global one first), P bin along an axis, X input feature of a token
(D P P), F feature of a token in the attention, K class.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.limits import check_snippets
from pdray.models.layers.region_align import Grid, align, clip_boxes
from pdray.models.layers.region_classifier import RegionClassifier, RegionOutputs, Tokens
from pdray.models.layers.settings import NUM_REGIONS
from pdray.models.networks.frame_resnet import FrameResNet
from pdray.models.networks.frame_resnet_settings import (
    Layout,
)
from pdray.models.networks.region_attention_settings import RegionAttentionConfig


class RegionAttention(nn.Module):
    """Frame network, RoIAlign of the regions in its map, and their classifier."""

    MAP_LAYERS: ClassVar[tuple[str, ...]] = tuple(f"backbone.layer{n}" for n in range(1, 5))

    def __init__(
        self, config: RegionAttentionConfig, *, num_classes: int, num_channels: int
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.num_features = config.token_dim
        self.map_stage, self.frozen_stages = config.map_stage, config.frozen_stages
        self.roi_size = config.roi_size
        self.grid = map_grid(config.layout, config.map_stage)
        self.backbone = FrameResNet(
            config, layout=config.layout, num_classes=num_classes, num_channels=num_channels
        )
        del self.backbone.fc  # the heads of the classifier replace it
        num_maps = self.backbone.num_features // 2 ** (4 - config.map_stage)
        self.classifier = RegionClassifier(
            config, num_inputs=num_maps * config.roi_size**2, num_classes=num_classes
        )
        for part in self.still_parts():
            part.requires_grad_(False)

    def _stages(self) -> list[Sequence[nn.Module]]:
        """Return the modules of each stage in their order, the stem first."""
        net = self.backbone
        stem = (net.conv1, net.bn1, net.relu, net.maxpool)
        return [stem, (net.layer1,), (net.layer2,), (net.layer3,), (net.layer4,)]

    def frozen_parts(self) -> list[nn.Module]:
        """Return the modules of the frozen stages in their order."""
        stages = self._stages()[: self.frozen_stages + 1] if self.frozen_stages else []
        return [part for stage in stages for part in stage]

    def _trained(self) -> list[nn.Module]:
        read = [part for stage in self._stages()[: self.map_stage + 1] for part in stage]
        return read[len(self.frozen_parts()) :]

    def still_parts(self) -> list[nn.Module]:
        """Return the modules that are not trained: frozen ones, and stages after the map's."""
        unread = [part for stage in self._stages()[self.map_stage + 1 :] for part in stage]
        return self.frozen_parts() + unread

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules but the frozen ones, whose norms keep their statistics."""
        super().train(mode)
        for part in self.still_parts():
            part.eval()
        return self

    @torch.no_grad()
    def frozen_maps(self, x_BCTHW: Tensor) -> Tensor:
        """Return (N, D', H', W') maps of the last frozen stage; the pictures if none is frozen.

        Args:
            x_BCTHW: (B, C, T, H, W) normalised floating snippets. N is B T, the frames of a
                snippet one after the other.

        Raises:
            ValueError: If the axes are not those of snippets.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_NDHW = x_BCTHW.transpose(1, 2).flatten(0, 1)
        for part in self.frozen_parts():
            x_NDHW = part(x_NDHW)
        return x_NDHW

    def frozen_items(self, x_BCTHW: Tensor) -> Tensor:
        """Return the maps of :meth:`frozen_maps` with channels last, as they are cached."""
        return self.frozen_maps(x_BCTHW).permute(0, 2, 3, 1)

    def align_tokens(self, x_NDHW: Tensor, boxes_BTR4: Tensor, size: tuple[int, int]) -> Tokens:
        """Run the trained stages, and read the global feature and every region.

        Args:
            x_NDHW: Maps of :meth:`frozen_maps`.
            boxes_BTR4: (B, T, 14, 4) float x0, y0, x1, y1 of each region, from the corner of the
                pictures [px]; NaN where a region is absent.
            size: Height and width of the pictures [px].

        Returns:
            Tokens with zeros where a region is absent.

        Raises:
            ValueError: If boxes are not (B, T, 14, 4), B T is not N, or a box is inverted.
        """
        check_boxes(boxes_BTR4, num_frames=len(x_NDHW))
        boxes_BTR4, is_there_BTR = clip_boxes(boxes_BTR4, height=size[0], width=size[1])
        for part in self._trained():
            x_NDHW = part(x_NDHW)
        f_NRDPP = align(x_NDHW, boxes_BTR4.flatten(0, 1), self.grid, self.roi_size)
        is_absent_NR = ~is_there_BTR.flatten(0, 1)
        f_NRX = f_NRDPP.flatten(2).masked_fill(is_absent_NR[..., None], 0.0)
        g_NDPP = functional.adaptive_avg_pool2d(x_NDHW, self.roi_size)
        values_NSX = torch.cat([g_NDPP.flatten(1)[:, None], f_NRX], dim=1)
        batch, steps = is_there_BTR.shape[:2]
        return Tokens(values_NSX.view(batch, steps, *values_NSX.shape[1:]), is_there_BTR)

    def region_tokens(self, x_BCTHW: Tensor, boxes_BTR4: Tensor) -> Tokens:
        """Return the tokens of snippets.

        Args:
            x_BCTHW: As :meth:`frozen_maps` takes them.
            boxes_BTR4: As :meth:`align_tokens` takes them, on these pictures.

        Raises:
            ValueError: As both.
        """
        size = (x_BCTHW.shape[-2], x_BCTHW.shape[-1])
        return self.align_tokens(self.frozen_maps(x_BCTHW), boxes_BTR4, size)

    def classify_tokens(self, tokens: Tokens) -> RegionOutputs:
        """Return the predictions for tokens.

        Raises:
            ValueError: If there are more frames than positions in time.
        """
        outputs: RegionOutputs = self.classifier(tokens)
        return outputs

    def features(self, x_BCTHW: Tensor, boxes_BTR4: Tensor) -> Tensor:
        """Return (B, F) inputs of the video's head; raises as :meth:`forward`."""
        return self.classifier.embed(self.region_tokens(x_BCTHW, boxes_BTR4))[:, 0]

    def classify(self, f_BF: Tensor) -> Tensor:
        """Return the video's logits (B, K) of features (B, F)."""
        return self.classifier.classify(f_BF)

    def forward(self, x_BCTHW: Tensor, boxes_BTR4: Tensor) -> RegionOutputs:
        """Return the predictions for snippets.

        Args:
            x_BCTHW: As :meth:`frozen_maps` takes them.
            boxes_BTR4: As :meth:`align_tokens` takes them, on these pictures.

        Raises:
            ValueError: As :meth:`region_tokens` and :meth:`classify_tokens`.
        """
        return self.classify_tokens(self.region_tokens(x_BCTHW, boxes_BTR4))


def check_boxes(boxes_BTR4: Tensor, *, num_frames: int) -> None:
    """Refuse boxes that do not belong to ``num_frames`` frames.

    Raises:
        ValueError: If the axes are not (B, T, 14, 4) or B T is not ``num_frames``; names the shape.
    """
    shape = tuple(boxes_BTR4.shape)
    if len(shape) != 4 or shape[2:] != (NUM_REGIONS, 4):
        raise ValueError(f"boxes of regions need the axes (B, T, {NUM_REGIONS}, 4), got {shape}")
    if shape[0] * shape[1] != num_frames:
        raise ValueError(f"boxes {shape} have {shape[0] * shape[1]} frames, expected {num_frames}")


def map_grid(layout: Layout, stage: int) -> Grid:
    """Return the positions of the cells of a stage's map on the picture.

    A strided layer with padding keeps the centre of its first cell at the centre of the first
    pixel, 0.5 px from the corner. The pool in the stem of ``vggface2`` has no padding: its first
    cell lies further in by one cell of the layer before it, 2 px.
    """
    return Grid(2.0 ** (stage + 1), 0.5 if layout == "torchvision" else 2.5)


def build_region_attention(
    config: RegionAttentionConfig, num_classes: int, num_channels: int = 3
) -> RegionAttention:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`region_attention_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.
    """
    return RegionAttention(config, num_classes=num_classes, num_channels=num_channels)
