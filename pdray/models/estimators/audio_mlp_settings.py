"""Settings and registry entry of the network on sound, and settings of sound embeddings."""

from pathlib import Path
from typing import Literal

from pydantic import Field

from pdray.config import Settings
from pdray.models.entry import ModelEntry, ModelSettings


class EmbeddingConfig(Settings):
    """Settings of the pretrained network that turns a waveform into an embedding."""

    folder: Path | None = Field(
        None, description="local folder of a transformers model; nothing is ever downloaded"
    )
    piece_seconds: float = Field(
        20.0, ge=1, le=120, description="longest piece of sound given to wav2vec 2.0 at once [s]"
    )


class AudioMlpConfig(ModelSettings):
    """Settings of the network on sound."""

    name: Literal["audio_mlp"] = Field("audio_mlp", description="name of the model")
    num_hidden: int = Field(
        1024, ge=1, le=65536, description="units of the hidden layer; YouTubePD: 1024"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout probability before the output layer"
    )
    learning_rate: float = Field(3e-4, gt=0, description="learning rate of Adam; YouTubePD: 3e-4")
    batch_size: int = Field(
        64, ge=1, description="recordings per training step; YouTubePD: 64 [recordings]"
    )
    num_epochs: int = Field(100, ge=1, description="passes over the training recordings [epochs]")
    hierarchy_lambda: float = Field(
        0.5, ge=0, le=1, description="weight of ill or healthy in the loss; YouTubePD: 0.5"
    )


ENTRY = ModelEntry(
    settings=AudioMlpConfig,
    description="multi-layer perceptron on statistics or an embedding of the sound",
    sees=("mfcc", "log_mel", "waveform"),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
    learner="pdray.training.estimators.sound:PARTS",
)
