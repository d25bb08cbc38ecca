"""Classifier of region tokens: positions, attention in space and time, one head per region.

Source: YouTubePD, section 5.1; ``region_attention.py`` gives the details. Only this part is
trained if the backbone is wholly frozen and its tokens are cached.
Letters: B batch, T time step, R region, S token of a frame (1 + R, the global one first), N token
that is present, X input feature of a token, F feature of a token in the attention, G hidden
feature of a head, K class.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models.layers.row_norm import norm_rows
from pdray.models.layers.settings import NUM_REGIONS, RegionClassifierShape
from pdray.models.layers.space_time_attention import SpaceTimeAttention

# Half the spread of normalised tokens, so that the position counts beside the content. With 0.02,
# usual for learned positions, a network did not learn which of two regions separated the classes.
POSITION_SPREAD = 0.5


class Tokens(NamedTuple):
    """Tokens of the frames of snippets.

    Attributes:
        values: (B, T, S, X) float, the global token first; ignored where a region is absent.
        is_there: (B, T, R) bool, whether a frame shows the region.
    """

    values: Tensor
    is_there: Tensor


class RegionOutputs(NamedTuple):
    """Predictions of the network for snippets.

    Attributes:
        video: (B, K) logits of the classes.
        regions: (B, R) logits that a region shows the disease; NaN if no frame shows the region.
        is_seen: (B, R) bool, whether one of the frames shows the region.
    """

    video: Tensor
    regions: Tensor
    is_seen: Tensor


class RegionHeads(nn.Module):
    """Two layers per region, with own weights, that give one logit."""

    def __init__(self, num_features: int, num_hidden: int, dropout: float) -> None:
        super().__init__()
        self.hidden_RFG = nn.Parameter(torch.empty(NUM_REGIONS, num_features, num_hidden))
        self.hidden_bias_RG = nn.Parameter(torch.empty(NUM_REGIONS, num_hidden))
        self.out_RG = nn.Parameter(torch.empty(NUM_REGIONS, num_hidden))
        self.out_bias_R = nn.Parameter(torch.empty(NUM_REGIONS))
        self.dropout = nn.Dropout(dropout)
        self.initialise()

    def initialise(self) -> None:
        """Draw uniformly within 1/sqrt(inputs), torch's default for a linear layer."""
        _, num_features, num_hidden = self.hidden_RFG.shape
        for parameter, num_inputs in (
            (self.hidden_RFG, num_features),
            (self.hidden_bias_RG, num_features),
            (self.out_RG, num_hidden),
            (self.out_bias_R, num_hidden),
        ):
            nn.init.uniform_(parameter, -(num_inputs**-0.5), num_inputs**-0.5)

    def forward(self, f_BRF: Tensor) -> Tensor:
        """Return (B, R) logits of the features (B, R, F)."""
        hidden_RBG = torch.bmm(f_BRF.transpose(0, 1), self.hidden_RFG)
        hidden_BRG = self.dropout(functional.relu(hidden_RBG.transpose(0, 1) + self.hidden_bias_RG))
        logits_BR: Tensor = (hidden_BRG * self.out_RG).sum(dim=2) + self.out_bias_R
        return logits_BR


class RegionClassifier(nn.Module):
    """Projection, norm, positions, attention over space and time, mean over frames, heads."""

    def __init__(self, config: RegionClassifierShape, *, num_inputs: int, num_classes: int) -> None:
        """Build the classifier.

        Args:
            config: Settings for which :func:`classifier_faults` returns nothing.
            num_inputs: Input features X of a token.
            num_classes: Classes K.
        """
        super().__init__()
        dim = self.num_features = config.token_dim
        self.max_frames = config.max_frames
        self.project_global = nn.Linear(num_inputs, dim)
        self.project_region = nn.Linear(num_inputs, dim)
        self.token_norm = nn.BatchNorm1d(dim)
        over_space = config.attention_kind in ("spatial", "both")
        over_time = config.attention_kind in ("temporal", "both")
        # Only an attention over positions needs their embeddings.
        self.space_position_SF = _position(1 + NUM_REGIONS, dim) if over_space else None
        self.time_position_TF = _position(config.max_frames, dim) if over_time else None
        self.dropout = nn.Dropout(config.dropout)
        self.attention = nn.ModuleList(
            SpaceTimeAttention(
                dim,
                num_heads=config.num_heads,
                dropout=config.dropout,
                over_space=over_space,
                over_time=over_time,
            )
            for _ in range(config.attention_depth if over_space or over_time else 0)
        )
        self.norm = nn.LayerNorm(dim)
        num_hidden = max(1, dim // 2)
        self.region_heads = RegionHeads(dim, num_hidden, config.dropout)
        self.video_head = nn.Sequential(
            nn.Linear(dim, num_hidden),
            nn.ReLU(),
            nn.Dropout(config.dropout),
            nn.Linear(num_hidden, num_classes),
        )

    def embed(self, tokens: Tokens) -> Tensor:
        """Return (B, S, F) inputs of the heads: the mean of each token over its frames.

        The mean is over the frames in which the token is present; zeros if it is in none.

        Raises:
            ValueError: If there are more frames than positions in time.
        """
        is_there_BTS = with_global(tokens.is_there)
        # Filled, not multiplied: 0 * nan is nan.
        values_BTSX = tokens.values.masked_fill(~is_there_BTS[..., None], 0.0)
        x_BTSF = torch.cat(
            [
                self.project_global(values_BTSX[:, :, :1]),
                self.project_region(values_BTSX[:, :, 1:]),
            ],
            dim=2,
        )
        # Features after a ReLU have a large common part, which would hide the differences.
        x_NF = norm_rows(self.token_norm, x_BTSF[is_there_BTS])
        x_BTSF = torch.zeros_like(x_BTSF, dtype=x_NF.dtype).masked_scatter(
            is_there_BTS[..., None], x_NF
        )
        x_BTSF = self.dropout(self._placed(x_BTSF))
        for block in self.attention:
            x_BTSF = block(x_BTSF, is_there_BTS)
        f_BTSF = self.norm(x_BTSF).masked_fill(~is_there_BTS[..., None], 0.0)
        count_BS1 = is_there_BTS.sum(dim=1).clamp(min=1)[..., None]
        mean_BSF: Tensor = f_BTSF.sum(dim=1) / count_BS1
        return mean_BSF

    def _placed(self, x_BTSF: Tensor) -> Tensor:
        """Add the positions."""
        if self.space_position_SF is not None:
            x_BTSF = x_BTSF + self.space_position_SF
        if self.time_position_TF is None:
            return x_BTSF
        num_frames = x_BTSF.shape[1]
        if num_frames > self.max_frames:
            raise ValueError(
                f"a snippet has {num_frames} frames, but the network has positions for "
                f"{self.max_frames}; set max_frames to at least {num_frames}"
            )
        return x_BTSF + self.time_position_TF[:num_frames, None]

    def classify(self, f_BF: Tensor) -> Tensor:
        """Return the video's logits (B, K) of its features (B, F)."""
        logits_BK: Tensor = self.video_head(f_BF)
        return logits_BK

    def forward(self, tokens: Tokens) -> RegionOutputs:
        """Return the predictions for tokens; raises as :meth:`embed`."""
        f_BSF = self.embed(tokens)
        is_seen_BR = tokens.is_there.any(dim=1)
        logits_BR = self.region_heads(f_BSF[:, 1:]).masked_fill(~is_seen_BR, math.nan)
        return RegionOutputs(self.classify(f_BSF[:, 0]), logits_BR, is_seen_BR)


def _position(count: int, dim: int) -> nn.Parameter:
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(count, dim), std=POSITION_SPREAD))


def with_global(is_there_BTR: Tensor) -> Tensor:
    """Return (B, T, S): the global token, which is always present, before the regions."""
    return functional.pad(is_there_BTR, (1, 0), value=True)
