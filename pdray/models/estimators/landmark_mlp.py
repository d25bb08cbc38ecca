"""Multi-layer perceptron on nose-centred landmarks: the landmark baseline of YouTubePD.

Source: YouTubePD, section 5.2 (landmarks of 10 frames, an MLP, their features concatenated; for
fusion each frame is predicted independently and the predictions of the frames are summed), C.2 (8
frames, Adam 3e-4, batch 64, lambda 0.5) and D.1 (frame concatenation, ``fc``, against frame voting,
``fv``).
Choices where the paper is silent, taken from the authors' public code: 8 frames; one hidden layer
of 256 units per frame, with the same weights for all frames; batch normalisation after its ReLU;
400 steps, each on newly drawn recordings; rarer grades weigh more, in proportion
(``training/estimators/network_in_memory.py``). Our own: dropout before the output layer.
Differs: frames are the middles of equal parts of the recording (the code takes every 12th of 100
interpolated frames, up to number 84); lambda is the paper's (the code sets its term to 0).
D.1 averages the predictions and 5.2 sums them, which is the same after L1 normalisation.
Predictions are summed as logits, and the loss compares the sum with the class; D.1 may train on
each frame by itself (``vote`` gives the logits for that).
Letters: B batch, F frame, P landmark, C coordinate (x, y), V vote, D feature, K class.
"""

from torch import Tensor, nn
from torch.nn import functional

from pdray.models.estimators.landmark_settings import LandmarkMlpConfig
from pdray.models.layers.row_norm import norm_rows

NUM_COORDINATES = 2


class LandmarkMlp(nn.Module):
    """Hidden layer per frame, ReLU, norm, and a linear head on all frames together or on each."""

    def __init__(
        self,
        *,
        is_voting: bool,
        num_frames: int,
        num_points: int,
        num_hidden: int,
        dropout: float,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.is_voting = is_voting
        self.num_frames = num_frames
        self.num_points = num_points
        # torch's default initial weights, drawn from its global generator.
        self.hidden = nn.Linear(num_points * NUM_COORDINATES, num_hidden)
        num_features = num_hidden * (1 if is_voting else num_frames)
        self.norm = nn.BatchNorm1d(num_features)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(num_features, num_classes)

    def vote(self, x_BFPC: Tensor) -> Tensor:
        """Return logits (B, F, K) of each frame of (B, F, P, 2), or (B, 1, K) of all concatenated.

        Raises:
            ValueError: If the axes or the dtype are wrong; names the shape and the dtype.
        """
        got = f"got {tuple(x_BFPC.shape)} {x_BFPC.dtype}"
        wanted = (self.num_frames, self.num_points, NUM_COORDINATES)
        if x_BFPC.shape[1:] != wanted or not len(x_BFPC):
            sizes = ", ".join(map(str, wanted))
            raise ValueError(f"landmarks need the axes (B, F, P, C) = (B, {sizes}), {got}")
        if not x_BFPC.is_floating_point():
            raise ValueError(f"landmarks must be floating point numbers, {got}")
        h_BFD = functional.relu(self.hidden(x_BFPC.flatten(2)))
        h_BVD = h_BFD if self.is_voting else h_BFD.flatten(1)[:, None]
        y_BVD = norm_rows(self.norm, h_BVD.flatten(0, 1)).view(h_BVD.shape)
        logits_BVK: Tensor = self.head(self.dropout(y_BVD))
        return logits_BVK

    def forward(self, x_BFPC: Tensor) -> Tensor:
        """Return logits (B, K) of nose-centred landmarks (B, F, P, 2); raises as :meth:`vote`."""
        return self.vote(x_BFPC).sum(dim=1)


def build_landmark_mlp(config: LandmarkMlpConfig, num_classes: int) -> LandmarkMlp:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings.
        num_classes: Classes K, at least 2.
    """
    return LandmarkMlp(
        is_voting=config.frames == "fv",
        num_frames=config.num_frames,
        num_points=config.num_points,
        num_hidden=config.num_hidden,
        dropout=config.dropout,
        num_classes=num_classes,
    )
