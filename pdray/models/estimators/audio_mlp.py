"""Multi-layer perceptron on one sound vector per recording: the audio baseline of YouTubePD.

Source: YouTubePD, section 5.2 (a 768-dimensional mean of a pretrained embedding over all of the
sound, then an MLP), C.2 (one hidden layer of 1,024, Adam 3e-4, batch 64, lambda 0.5) and D.1 (MFCC
in place of an embedding).
Added where the paper is silent: dropout before the output layer; inputs standardised to mean 0 and
standard deviation 1 of the training recordings (the caller does it), since the statistics of
spectra differ by orders of magnitude.
Letters: B batch, D feature, K class.
"""

from torch import Tensor, nn

from pdray.models.estimators.audio_mlp_settings import AudioMlpConfig


class AudioMlp(nn.Module):
    """Hidden layer, ReLU, linear head."""

    def __init__(
        self, *, num_inputs: int, num_hidden: int, dropout: float, num_classes: int
    ) -> None:
        super().__init__()
        self.num_inputs = num_inputs
        # torch's default initial weights, drawn from its global generator.
        self.hidden = nn.Linear(num_inputs, num_hidden)
        self.relu = nn.ReLU()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(num_hidden, num_classes)

    def forward(self, x_BD: Tensor) -> Tensor:
        """Return logits (B, K) of vectors (B, D).

        Raises:
            ValueError: If the axes or the dtype are wrong; names the shape and the dtype.
        """
        got = f"got {tuple(x_BD.shape)} {x_BD.dtype}"
        if x_BD.ndim != 2 or x_BD.shape[1] != self.num_inputs:
            raise ValueError(f"sound vectors need the axes (B, D) = (B, {self.num_inputs}), {got}")
        if not x_BD.is_floating_point():
            raise ValueError(f"sound vectors must be floating point numbers, {got}")
        logits_BK: Tensor = self.head(self.dropout(self.relu(self.hidden(x_BD))))
        return logits_BK


def build_audio_mlp(config: AudioMlpConfig, *, num_inputs: int, num_classes: int) -> AudioMlp:
    """Build the network; its weights are drawn from torch's global generator.

    Args:
        config: Settings.
        num_inputs: Numbers D per recording.
        num_classes: Classes K, at least 2.
    """
    return AudioMlp(
        num_inputs=num_inputs,
        num_hidden=config.num_hidden,
        dropout=config.dropout,
        num_classes=num_classes,
    )
