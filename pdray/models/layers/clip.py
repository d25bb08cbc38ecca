"""The two networks of CLIP: a vision transformer for pictures, a causal transformer for texts.

Source: Radford et al. 2021 (CLIP, arXiv:2103.00020), sections 2.3 and 2.4. Parameters have the
names and shapes of OpenAI's and open_clip's files. The activation is not in the tensors of these
files and changes the output by some per cent, so each network keeps it in its state.
Differs: pictures may have any size that is a multiple of the patch; then the learned positions are
interpolated (bicubic, as transformers does it). Instead of one large convolution, the stem may be
small ones (Xiao et al. 2021, arXiv:2106.14881), which learn from few recordings.
Letters: N picture, C channel, H height, W width, h and w rows and columns of patches, S token (1
class + h w patches), D feature, K text, L token of a text, V word of the vocabulary, E embedding.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.transformer_block import Activation, Blocks

Stem = Literal["patch", "convolution"]
CODES: dict[Activation, int] = {"gelu": 0, "quick_gelu": 1}
_LEAST_CHANNELS = 8  # of the first convolution of a stem


class TowerShape(NamedTuple):
    """Shape of a network of CLIP.

    Attributes:
        width: Features D of a token.
        depth: Blocks, at least 1.
        num_heads: Heads of each block; must divide ``width``.
        embed_dim: Features E after the projection.
        activation: That of the feed-forward parts.
    """

    width: int
    depth: int
    num_heads: int
    embed_dim: int
    activation: Activation = "gelu"


class ClipTower(nn.Module):
    """Parent class of both networks: it keeps the activation in the state.

    Attributes:
        activation: That of the feed-forward parts.
    """

    def __init__(self, activation: Activation) -> None:
        super().__init__()
        self.register_buffer("activation_code", torch.zeros((), dtype=torch.int64))
        self.set_activation(activation)

    def set_activation(self, activation: Activation) -> None:
        """Change the activation."""
        self.activation = activation
        self.get_buffer("activation_code").fill_(CODES[activation])

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
        code = state_dict.get(f"{prefix}activation_code")
        if code is not None:
            self.set_activation(list(CODES)[int(code)])


class ImageTower(ClipTower):
    """Vision transformer: patches and a class token, blocks, norm and projection."""

    def __init__(
        self,
        shape: TowerShape,
        *,
        patch_size: int,
        image_size: int,
        stem: Stem = "patch",
        num_channels: int = 3,
    ) -> None:
        """Build the layers.

        Args:
            shape: Width, depth and so on.
            patch_size: Side of a patch [px]; for convolutions a power of two, at least 2.
            image_size: Side of the square pictures that positions are learned for [px].
            stem: One convolution as large as a patch, or a row of small ones with norms.
            num_channels: Channels C of a picture.
        """
        super().__init__(shape.activation)
        width = shape.width
        self.patch_size, self.side = patch_size, image_size // patch_size
        self.recomputes = False
        scale = width**-0.5
        num_halvings = int(math.log2(patch_size))
        self.conv1 = (
            nn.Conv2d(num_channels, width, patch_size, stride=patch_size, bias=False)
            if stem == "patch"
            else small_convolutions(num_channels, width, num_halvings=num_halvings)
        )
        # Layers of the stem whose maps have more cells than there are patches.
        self.finer = range(2, 3 * num_halvings - 3, 3) if stem == "convolution" else range(0)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        self.positional_embedding = nn.Parameter(scale * torch.randn(self.side**2 + 1, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Blocks(width, depth=shape.depth, num_heads=shape.num_heads)
        self.grid = nn.Identity()  # the map of the patches that the last block reads
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, shape.embed_dim))

    def tokens(self, x_NCHW: Tensor) -> Tensor:
        """Return the normalised tokens (N, S, D) of the last block, the class token first.

        Args:
            x_NCHW: (N, C, H, W) float pictures; H and W are multiples of ``patch_size``.

        Raises:
            ValueError: If they are not.
        """
        height, width = x_NCHW.shape[2:]
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"sides of pictures must be multiples of {self.patch_size} px, got {height} x "
                f"{width}"
            )
        x_NDhw = self.conv1(x_NCHW)
        x_NSD = x_NDhw.flatten(2).transpose(1, 2)
        class_N1D = self.class_embedding.to(x_NSD.dtype).expand(len(x_NSD), 1, -1)
        x_NSD = torch.cat([class_N1D, x_NSD], dim=1)
        x_NSD = self.ln_pre(x_NSD + self.positions(*x_NDhw.shape[2:]).to(x_NSD.dtype))
        how = {"recomputes": self.recomputes and self.training}
        x_NSD = self.transformer(x_NSD, self.activation, some=slice(-1), **how)
        map_NDhw = self.grid(x_NSD[:, 1:].transpose(1, 2).reshape(x_NDhw.shape))
        x_NSD = torch.cat([x_NSD[:, :1], map_NDhw.flatten(2).transpose(1, 2)], dim=1)
        x_NSD = self.transformer(x_NSD, self.activation, some=slice(-1, None), **how)
        y_NSD: Tensor = self.ln_post(x_NSD)
        return y_NSD

    def project(self, x_ND: Tensor) -> Tensor:
        """Return (N, E) embeddings of tokens (N, D)."""
        return x_ND @ self.proj

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Return (N, E), CLIP's own embedding of pictures; raises as :meth:`tokens`."""
        return self.project(self.tokens(x_NCHW)[:, 0])

    def positions(self, rows: int, columns: int) -> Tensor:
        """Return (S, D) positions of the class token and of a grid of patches."""
        learned_SD = self.positional_embedding
        if (rows, columns) == (self.side, self.side):
            return learned_SD
        square_1Dhw = learned_SD[1:].T.reshape(1, -1, self.side, self.side)
        # Bicubic interpolation of few numbers; bfloat16 would lose half of their digits.
        dtype = torch.promote_types(square_1Dhw.dtype, torch.float32)
        stretched = functional.interpolate(
            square_1Dhw.to(dtype), size=(rows, columns), mode="bicubic", align_corners=False
        )
        return torch.cat([learned_SD[:1], stretched[0].flatten(1).T.to(learned_SD.dtype)])


class TextTower(ClipTower):
    """Causal transformer on tokens; the last token of a text becomes its embedding."""

    def __init__(self, shape: TowerShape, *, vocabulary_size: int, context_length: int) -> None:
        """Build the layers.

        Args:
            shape: Width, depth and so on.
            vocabulary_size: Tokens V.
            context_length: Most tokens L of a text.
        """
        super().__init__(shape.activation)
        width = shape.width
        self.token_embedding = nn.Embedding(vocabulary_size, width)
        self.positional_embedding = nn.Parameter(0.01 * torch.randn(context_length, width))
        self.transformer = Blocks(
            width, depth=shape.depth, num_heads=shape.num_heads, is_causal=True
        )
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(width**-0.5 * torch.randn(width, shape.embed_dim))
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def encode(self, x_KLD: Tensor, ends_K: Tensor) -> Tensor:
        """Return (K, E) embeddings of texts.

        Args:
            x_KLD: (K, L, D) float embeddings of tokens, without positions.
            ends_K: (K,) int64 place of the end token of each text; what follows has no effect.
        """
        x_KLD = x_KLD + self.positional_embedding[: x_KLD.shape[1]]
        x_KLD = self.ln_final(self.transformer(x_KLD, self.activation))
        x_KD = x_KLD[torch.arange(len(x_KLD), device=x_KLD.device), ends_K]
        return x_KD @ self.text_projection


def small_convolutions(num_channels: int, width: int, *, num_halvings: int) -> nn.Sequential:
    """Return a stem of 3x3 convolutions that halve the picture, and a 1x1 convolution.

    Each has a batch norm and a ReLU; the channels double up to ``width``.
    """
    layers: list[nn.Module] = []
    for number in range(num_halvings):
        channels = max(_LEAST_CHANNELS, width >> (num_halvings - 1 - number))
        layers += [
            nn.Conv2d(num_channels, channels, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
        ]
        num_channels = channels
    return nn.Sequential(*layers, nn.Conv2d(num_channels, width, 1))
