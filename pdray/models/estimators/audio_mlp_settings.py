"""Settings and registry entry of the network on sound, and of what hears a waveform."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pdray.config import Settings
from pdray.models.entry import ModelEntry, ModelSettings


class EmbeddingConfig(Settings):
    """Which pretrained network hears the sound, and how."""

    folder: Path | None = Field(
        None, description="local folder of a transformers model; nothing is ever downloaded"
    )
    piece_seconds: float = Field(
        20.0, ge=1, le=120, description="longest piece that wav2vec 2.0 hears at once [s]"
    )


class AudioMlpConfig(ModelSettings):
    """Settings of the network on sound."""

    name: Literal["audio_mlp"] = Field("audio_mlp", description="architecture")
    num_hidden: int = Field(
        1024, ge=1, le=65536, description="units of the hidden layer; YouTubePD: 1024"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="probability before the output layer")
    learning_rate: float = Field(3e-4, gt=0, description="of Adam; YouTubePD: 3e-4")
    batch_size: int = Field(
        64, ge=1, description="recordings of a step; YouTubePD: 64 [recordings]"
    )
    num_epochs: int = Field(100, ge=1, description="times over the training side [epochs]")
    hierarchy_lambda: float = Field(
        0.5, ge=0, le=1, description="weight of ill or not in the loss; YouTubePD: 0.5"
    )


ENTRY = ModelEntry(
    settings=AudioMlpConfig,
    description="perceptron on statistics of sound, or on a pretrained embedding of it",
    sees=("mfcc", "log_mel", "waveform"),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.sound:PARTS",
)
