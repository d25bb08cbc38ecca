"""Settings of the frame store: how pictures are kept, and all that an entry depends on."""

from typing import Any, Literal

from pydantic import Field

from pdray.config import Settings, dump
from pdray.data.media.flow import FlowConfig
from pdray.data.media.settings import AudioConfig, DecodeConfig, DecodeLimits
from pdray.data.modalities import MODALITIES, PICTURES, SOUND, Modality

CodecName = Literal["raw", "jpeg", "lz4"]


class StoreConfig(Settings):
    """How the frame store keeps pictures; tracks and sound are small and always raw."""

    codec: CodecName = Field(
        "raw",
        description="raw: exact, fastest; lz4: exact, about half the size; jpeg: 10 to 20 times "
        "smaller, above 38 dB, slower to read",
    )
    quality: int = Field(90, ge=75, le=100, description="of codec jpeg [75..100]")


class Recipe(Settings):
    """All settings that decide what an entry holds, and the limits of making it."""

    decode: DecodeConfig = DecodeConfig()
    limits: DecodeLimits = DecodeLimits()
    flow: FlowConfig = FlowConfig()
    audio: AudioConfig = AudioConfig()
    store: StoreConfig = StoreConfig()

    def codec(self, modality: Modality) -> StoreConfig:
        """Return how a modality's items are coded; only pictures are large enough to matter."""
        return self.store if modality in PICTURES else StoreConfig(codec="raw")

    def settings(self, modality: Modality) -> dict[str, Any]:
        """Return the settings that an entry of a modality depends on, as plain data."""
        codec = self.codec(modality)
        found: dict[str, Any] = {"modality": modality, "codec": codec.codec}
        if codec.codec == "jpeg":
            found["quality"] = codec.quality
        if modality not in SOUND:
            found["decode"] = dump(self.decode)
        spec, section = MODALITIES[modality], self.section(modality)
        if section is not None and spec.section is not None:
            values = dump(section)
            found[spec.section] = {key: values[key] for key in spec.keys or values}
        return found

    def section(self, modality: Modality) -> Settings | None:
        """Return the section that the steps of a modality take; None where they take none."""
        name = MODALITIES[modality].section
        section: Settings | None = None if name is None else getattr(self, name)
        return section
