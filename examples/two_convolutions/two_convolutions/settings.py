"""Settings and entry of a network of two convolutions; no torch, so that help stays quick."""

from typing import Literal

from pydantic import Field

from pdray.models.entry import ModelEntry, ModelSettings


class TwoConvolutionsConfig(ModelSettings):
    name: Literal["two_convolutions"] = Field("two_convolutions", description="architecture")
    num_features: int = Field(8, ge=1, description="channels of each convolution [count]")


ENTRY = ModelEntry(
    settings=TwoConvolutionsConfig,
    description="two convolutions over space and time",
    builder="two_convolutions.network:TwoConvolutions",
)
