"""Expression network: CLIP on frames, a gate, attention over time, and a phrase for each class.

Source: Huang et al. 2025, "Dynamic Facial Expressions Analysis Based Parkinson's Disease Auxiliary
Diagnosis", equations 1 to 3: ``A = E1(frame)``, ``f = A sigmoid(E2(A))``, ``F = T(f_1 .. f_M)``;
``G`` is a phrase read by the text encoder behind learned vectors; ``I = exp(cos(F, G) / tau)``. A
logit is log I, the cosine over tau, so the softmax of the logits is the share of each I.
Its evident model is DFER-CLIP (Zhao and Patras 2023, arXiv:2308.13382).
Choices where the paper is silent:

- E2 takes one frame, so it is attention over the tokens of its last block (``gate=tokens``); the
  class token is gated and then projected. Its last layer starts at zero: every gate is 1/2, which
  a cosine does not see, so pretrained pictures start unchanged.
- T is one block of 8 heads with a class token, learned positions and a hidden layer four times as
  wide (DFER-CLIP: twice).
- tau is 0.01, four prompt vectors of spread 0.02, as DFER-CLIP; the image encoder is ViT-B/32.
- The text encoder is frozen; prompts and gate learn.
- The phrases (``expression_clip_settings.py``).

Differs: ``pool=mean`` averages the patches, ``stem=convolution`` replaces the first layer, and
``norm=batch`` ends in a batch norm. With these, the network learns from few recordings and random
weights; a class token under a norm does not. Random weights give all videos nearly one vector, and
the loss leaves open how large its cosine with all phrases together is; the batch norm takes this
vector away. Without a vocabulary file, words are tokens with random vectors.
Letters: B batch, C channel, T time step, H height, W width, N frame (B T), S token of a frame, D
feature of a token, E embedding, K class.
"""

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.errors import SettingsError, refuse
from pdray.models.layers.clip import ImageTower, TowerShape
from pdray.models.layers.limits import check_snippets
from pdray.models.layers.phrase_encoder import PhraseEncoder
from pdray.models.layers.transformer_block import Activation, Blocks, SelfAttention
from pdray.models.networks.expression_clip_settings import (
    PHRASES,
    ExpressionClipConfig,
    class_faults,
    class_phrases,
)

_SEED = 0  # of a frozen image encoder without a weights file
_SPREAD = 0.02  # of the class token and of positions in time


class ExpressionClip(nn.Module):
    """Image encoder, gate, temporal model, prompts and frozen text encoder."""

    MAPS_BY_CELL: ClassVar[bool] = True  # each token knows its place

    def __init__(
        self, config: ExpressionClipConfig, *, phrases: Sequence[str], num_channels: int
    ) -> None:
        super().__init__()
        self.config, self.num_channels = config, num_channels
        self.num_features, self.tau = config.embed_dim, config.tau
        self.pooled = slice(1, None) if config.pool == "mean" else slice(0, 1)  # tokens of a frame
        self.learning_rates: dict[str, float] = {
            "image": config.image_learning_rate, "text.prompts": config.prompt_learning_rate,
        }  # fmt: skip
        activation = config.activation or "gelu"
        self.image = _image(config, activation, num_channels)
        self.MAP_LAYERS = (
            *(f"image.conv1.{number}" for number in self.image.finer), "image.conv1", "image.grid",
        )  # fmt: skip
        self.gate = _gate(config)
        self.time_class = nn.Parameter(_SPREAD * torch.randn(config.embed_dim))
        self.time_positions = nn.Parameter(
            _SPREAD * torch.randn(config.max_frames + 1, config.embed_dim)
        )
        self.time = Blocks(config.embed_dim, depth=config.time_depth, num_heads=config.time_heads)
        self.norm = _VideoNorm(config.embed_dim) if config.norm == "batch" else nn.Identity()
        self.text = PhraseEncoder(
            TowerShape(
                config.text_width, config.text_depth, config.text_heads, config.embed_dim,
                activation,
            ),
            context_length=config.context_length, num_prompts=config.num_prompts,
            phrases=phrases, known=PHRASES.values(),
        )  # fmt: skip

    def frozen_items(self, x_BCTHW: Tensor) -> Tensor:
        """Return what the image encoder makes of frames: the input of the gate.

        Args:
            x_BCTHW: (B, C, T, H, W) normalised floating snippets. N is B T, the frames of a
                snippet one after the other.

        Returns:
            (N, S, D) tokens of each frame under ``gate=tokens``, else its vector (N, E).

        Raises:
            ValueError: If the axes are not those of snippets, or a side is no multiple of a patch.
        """
        check_snippets(x_BCTHW, num_channels=self.num_channels)
        x_NSD = self.image.tokens(x_BCTHW.transpose(1, 2).flatten(0, 1))
        return x_NSD if self.config.gate == "tokens" else self._vectors(x_NSD[:, self.pooled])

    def frozen_parts(self) -> list[nn.Module]:
        """Return the modules that :meth:`frozen_items` runs."""
        return [self.image]

    def _vectors(self, x_NSD: Tensor) -> Tensor:
        """Return (N, E), the embedded mean of tokens."""
        return self.image.project(x_NSD.mean(dim=1))

    def features(self, x: Tensor) -> Tensor:
        """Return (B, E) video embeddings F (eq. 1).

        Args:
            x: (B, C, T, H, W) normalised snippets, or the outputs of :meth:`frozen_items` as
                (B, T, S, D) or (B, T, E).

        Raises:
            ValueError: As :meth:`frozen_items`; or if there are more frames than positions.
        """
        is_kept = x.ndim == (4 if self.config.gate == "tokens" else 3)
        steps = x.shape[1] if is_kept else x.shape[2 % x.ndim]
        a = x.flatten(0, 1) if is_kept else self.frozen_items(x)
        if self.config.gate == "tokens":
            a = self._vectors(gated(a, self.gate, self.pooled))
        f_BTE = a.view(-1, steps, *a.shape[1:])
        if self.config.gate == "frames":
            f_BTE = gated(f_BTE, self.gate, slice(None))
        class_B1E = self.time_class.to(f_BTE.dtype).expand(len(f_BTE), 1, -1)
        x_BTE = torch.cat([class_B1E, f_BTE], dim=1)
        f_BE: Tensor = self.norm(self.time(x_BTE + self._times(steps).to(f_BTE.dtype))[:, 0])
        return f_BE

    def _times(self, steps: int) -> Tensor:
        """Return (1 + T, E) positions of the class token and of the frames."""
        most = self.config.max_frames
        if self.config.interpolate and steps != most:
            rows_1ET = self.time_positions[1:].T[None]
            stretched = functional.interpolate(
                rows_1ET, size=steps, mode="linear", align_corners=False
            )
            return torch.cat([self.time_positions[:1], stretched[0].T])
        if steps > most:
            raise ValueError(f"got {steps} frames, but there are positions for {most}")
        return self.time_positions[: steps + 1]

    def cosines(self, f_BE: Tensor) -> Tensor:
        """Return (B, K) cosines of video embeddings and phrases, in -1..1, float32 or wider."""
        g_KE = functional.normalize(self.text(), dim=1)
        f_BE = functional.normalize(f_BE.to(torch.promote_types(f_BE.dtype, g_KE.dtype)), dim=1)
        # Not a matrix product, in which a column may depend on the number of columns.
        return (f_BE[:, None] * g_KE).sum(dim=2)

    def classify(self, f_BE: Tensor) -> Tensor:
        """Return logits (B, K) of features (B, E): log I of eq. 3, the cosines over tau."""
        return self.cosines(f_BE) / self.tau

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K); takes and raises as :meth:`features`."""
        return self.classify(self.features(x))

    def train(self, mode: bool = True) -> Self:
        """Set the mode of all modules but a frozen image encoder."""
        super().train(mode)
        if self.config.has_frozen_weights:
            self.image.eval()
        return self

    def frozen_names(self) -> frozenset[str]:
        """Return the names of the tensors that a fit never changes; a rebuilt network has them."""
        frozen = ("text.", "image.") if self.config.has_frozen_weights else ("text.",)
        names = (name for name in self.state_dict() if name.startswith(frozen))
        return frozenset(names) - {"text.prompts"}


class _VideoNorm(nn.BatchNorm1d):
    """Batch norm without learned factors; a single video is normalised as in evaluation."""

    def __init__(self, num_features: int) -> None:
        super().__init__(num_features, affine=False)

    def forward(self, x_BE: Tensor) -> Tensor:
        if self.training and len(x_BE) == 1:
            return functional.batch_norm(x_BE, self.running_mean, self.running_var, eps=self.eps)
        return super().forward(x_BE)


def gated(x: Tensor, attention: nn.Module, some: slice) -> Tensor:
    """Return ``x sigmoid(attention(x))`` (eq. 1) for some of the tokens (N, S, D)."""
    gate: Tensor = torch.sigmoid(attention(x, some))
    return x[:, some] * gate


def build_expression_clip(
    config: ExpressionClipConfig, num_classes: int, num_channels: int = 3
) -> ExpressionClip:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings for which :func:`expression_clip_faults` returns nothing.
        num_classes: Classes K, at least 2.
        num_channels: 3 colours, or 2 components of flow.

    Raises:
        SettingsError: If there are fewer or more phrases than classes.
    """
    refuse(class_faults(config, num_classes), SettingsError, config.name)
    phrases = class_phrases(config.phrases, num_classes)
    return ExpressionClip(config, phrases=phrases, num_channels=num_channels)


def _image(config: ExpressionClipConfig, activation: Activation, num_channels: int) -> ImageTower:
    """Return the image encoder; a frozen one is drawn from one seed, so that it can be cached."""
    with torch.random.fork_rng(devices=[], enabled=config.has_frozen_weights):
        if config.has_frozen_weights:
            torch.manual_seed(_SEED)
        image = ImageTower(
            TowerShape(
                config.image_width, config.image_depth, config.image_heads, config.embed_dim,
                activation,
            ),
            patch_size=config.patch_size, image_size=config.image_size, stem=config.stem,
            num_channels=num_channels,
        )  # fmt: skip
    image.recomputes = config.recompute
    return image.requires_grad_(not config.has_frozen_weights)


def _gate(config: ExpressionClipConfig) -> nn.Module:
    if config.gate == "none":
        return nn.Identity()
    is_tokens = config.gate == "tokens"
    gate = SelfAttention(
        config.image_width if is_tokens else config.embed_dim,
        num_heads=config.image_heads if is_tokens else config.time_heads,
    )
    nn.init.zeros_(gate.out_proj.weight)
    return gate
