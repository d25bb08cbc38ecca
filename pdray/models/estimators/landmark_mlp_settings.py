"""Settings and registry entry of the network on landmarks."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings


class LandmarkMlpConfig(ModelSettings):
    """Settings of the network on landmarks."""

    name: Literal["landmark_mlp"] = Field("landmark_mlp", description="architecture")
    frames: Literal["fc", "fv"] = Field(
        "fc", description="fc: frames concatenated; fv: each frame votes, the votes are summed"
    )
    num_frames: int = Field(8, ge=1, le=1024, description="frames of a recording; 000: 8 or 10")
    num_points: int = Field(106, ge=1, description="landmarks of a frame")
    num_hidden: int = Field(256, ge=1, le=65536, description="hidden units of a frame")
    dropout: float = Field(0.0, ge=0, lt=1, description="probability before the output layer")
    unit: Literal["pixels", "eyes"] = Field(
        "pixels",
        description="what coordinates are measured in: 256 pixels, or the distance between the "
        "eyes",
    )
    learning_rate: float = Field(3e-4, gt=0, description="of Adam; 000: 3e-4")
    batch_size: int = Field(64, ge=2, description="recordings of a step; 000: 64 [recordings]")
    num_steps: int = Field(400, ge=1, description="steps of Adam")
    hierarchy_lambda: float = Field(
        0.5, ge=0, le=1, description="weight of ill or not in the loss; 000: 0.5"
    )


ENTRY = ModelEntry(
    settings=LandmarkMlpConfig,
    description="multi-layer perceptron on landmarks of frames",
    sees=("landmarks",),
    sections=("optim.epochs=1",),
    network=None,
    loop="once",
)
