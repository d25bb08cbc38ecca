"""Region attention: 14 regions of the face in each frame, attended to in space and then in time.

Source: YouTubePD, section 5.1 and figures 4 and 10. A frame's feature map, of a ResNet-50
trained on VGGFace2 whose first three stages are frozen, is read by RoIAlign in 14 regions; these
and the projected global feature of the frame get learned positions and go through attention over
the tokens of a frame and over the frames of a token. Each region has a head of two layers, ill or
normal; the video has one, on the global token, which is its class token.
Readings where the paper is silent, with the authors' public code where it says ("code"): RoIAlign
of 3x3 bins (code); tokens of 768 features, 3 heads, hidden layers of heads half as wide (code);
regions are projected as the global feature is (code); the global feature is averaged over as many
bins as a region has; the global token takes part in the attention over time; each head reads the
mean over the frames in which its token is there (the code learns a further token a region for
that); tokens are batch-normalised before their positions are added, all tokens of a batch alike
(the code: each frame's number before the projection), and positions start at a spread of 0.5
(the code: 0.02); residual sums and norms are TimeSformer's (``space_time_attention.py``); dropout
acts on tokens, attention and hidden layers.
The paper says both that the backbone is frozen and that three stages are; its features are 2048,
those of stage 4, where the code reads stage 3. ``map_stage`` and ``frozen_stages`` are settings.
Differs: one logit a region for two and a softmax; boxes are cut at the picture's edges; regions
that are absent - no box, or nothing of it within the picture - are left out of attention and
heads, not taken as zeros; a frozen stage's norms keep their statistics in training too. What the
code does to time and regions by mistake is not copied (``space_time_attention.py``).

What training does not change is worth computing once, for a fixed view of a recording: the maps of
``frozen_maps``. ``align_tokens`` goes on from them and the boxes; where the backbone is wholly
frozen (``frozen_stages`` is ``map_stage``) it reads the regions and nothing else.
Letters: B batch, C channel, T time step, H height, W width, N frame (B T), D feature, R region,
S token of a frame (1 + R, the global one first), P bin along an axis, X what was read of the map
for a token (D P P), F feature of a token in the attention, K class.
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
    """A frame network, RoIAlign of the regions in its map, and their classifier."""

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
        del self.backbone.fc  # the heads of the classifier stand in its place
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
        """Return what is not trained: frozen, or behind the map; published weights have both."""
        unread = [part for stage in self._stages()[self.map_stage + 1 :] for part in stage]
        return self.frozen_parts() + unread

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all but the frozen stages, whose norms keep their statistics."""
        super().train(mode)
        for part in self.still_parts():
            part.eval()
        return self

    @torch.no_grad()
    def frozen_maps(self, x_BCTHW: Tensor) -> Tensor:
        """Return (N, D', H', W') what the last frozen stage gives, the pictures where none is.

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

    def align_tokens(self, x_NDHW: Tensor, boxes_BTR4: Tensor, size: tuple[int, int]) -> Tokens:
        """Run the stages that are trained, and read the global feature and every region.

        Args:
            x_NDHW: Maps of :meth:`frozen_maps`.
            boxes_BTR4: (B, T, 14, 4) float x0, y0, x1, y1 of each region, in pixels of the
                pictures that the maps are of, from their corner; NaN where a region is absent.
            size: Height and width of these pictures [px].

        Returns:
            Tokens with zeros where a region is absent.

        Raises:
            ValueError: If boxes are not (B, T, 14, 4), are of another number of frames, or one is
                inverted.
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
        """Return what the network says of tokens.

        Raises:
            ValueError: If there are more frames than positions in time.
        """
        outputs: RegionOutputs = self.classifier(tokens)
        return outputs

    def features(self, x_BCTHW: Tensor, boxes_BTR4: Tensor) -> Tensor:
        """Return (B, F) what the video's head reads; raises as :meth:`forward`."""
        return self.classifier.embed(self.region_tokens(x_BCTHW, boxes_BTR4))[:, 0]

    def classify(self, f_BF: Tensor) -> Tensor:
        """Return the video's logits (B, K) of features (B, F)."""
        return self.classifier.classify(f_BF)

    def forward(self, x_BCTHW: Tensor, boxes_BTR4: Tensor) -> RegionOutputs:
        """Return what the network says of snippets.

        Args:
            x_BCTHW: As :meth:`frozen_maps` takes them.
            boxes_BTR4: As :meth:`align_tokens` takes them, on these pictures.

        Raises:
            ValueError: As :meth:`region_tokens` and :meth:`classify_tokens`.
        """
        return self.classify_tokens(self.region_tokens(x_BCTHW, boxes_BTR4))


def check_boxes(boxes_BTR4: Tensor, *, num_frames: int) -> None:
    """Refuse boxes that cannot be those of ``num_frames`` frames.

    Raises:
        ValueError: If the axes are not (B, T, 14, 4) or B T is another number; names the shape.
    """
    shape = tuple(boxes_BTR4.shape)
    if len(shape) != 4 or shape[2:] != (NUM_REGIONS, 4):
        raise ValueError(f"boxes of regions need the axes (B, T, {NUM_REGIONS}, 4), got {shape}")
    if shape[0] * shape[1] != num_frames:
        raise ValueError(f"boxes {shape} are of {shape[0] * shape[1]} frames, not of {num_frames}")


def map_grid(layout: Layout, stage: int) -> Grid:
    """Return where the cells of a stage's map lie on the picture.

    A strided layer with padding keeps the centre of its first cell at the first pixel's, 0.5 px
    from the corner. The stem's pool of ``vggface2`` has no padding: its first cell lies one cell
    of the layer before it, 2 px, further in.
    """
    return Grid(2.0 ** (stage + 1), 0.5 if layout == "torchvision" else 2.5)


def build_region_attention(
    config: RegionAttentionConfig, num_classes: int, num_channels: int = 3
) -> RegionAttention:
    """Build the network; its weights come from the ambient torch generator.

    Args:
        config: Settings without a fault in :func:`region_attention_faults`.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.
    """
    return RegionAttention(config, num_classes=num_classes, num_channels=num_channels)
