"""Settings of the frame store: the codec, and all settings that an entry depends on."""

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import Field

from pdray.config import Settings, build, dump, merge, nest
from pdray.data.face.settings import PortraitConfig
from pdray.data.media.settings import AudioConfig, DecodeConfig, DecodeLimits, FlowConfig
from pdray.data.modalities import MODALITIES, PICTURES, TRACKS, Modality
from pdray.earlier import earlier_values, without_earlier

CodecName = Literal["raw", "jpeg", "lz4"]


def picture_size(
    modality: Modality, decode: DecodeConfig, portraits: PortraitConfig
) -> tuple[int, int]:
    """Return (height, width) of the stored pictures of a modality [px]."""
    if MODALITIES[modality].placed_by is not None:
        return portraits.size, portraits.size
    return decode.height, decode.width


def picture_sizes(
    modalities: Sequence[Modality], decode: DecodeConfig, portraits: PortraitConfig
) -> str:
    """Return modalities and the size of their pictures in words."""
    sizes: dict[tuple[int, int], list[str]] = {}
    for one in modalities:
        sizes.setdefault(picture_size(one, decode, portraits), []).append(one)
    return ", ".join(
        f"{', '.join(names)} at {width}x{height}" for (height, width), names in sizes.items()
    )


class StoreConfig(Settings):
    """Settings of how pictures are stored; tracks and sound are small and always raw."""

    codec: CodecName = Field(
        "raw",
        description="raw: exact, fastest, 261 kB per 340x256 frame; lz4: exact, measured 180 kB; "
        "jpeg: above 38 dB, measured 15 to 17 kB, slowest to read",
    )
    quality: int = Field(90, ge=75, le=100, description="quality of codec jpeg [75..100]")


class Recipe(Settings):
    """Settings that decide the content of an entry, and limits on making it."""

    decode: DecodeConfig = DecodeConfig()
    limits: DecodeLimits = DecodeLimits()
    flow: FlowConfig = FlowConfig()
    audio: AudioConfig = AudioConfig()
    portraits: PortraitConfig = PortraitConfig()
    store: StoreConfig = StoreConfig()

    def codec(self, modality: Modality) -> StoreConfig:
        """Return the codec of a modality; only pictures are large enough to be compressed."""
        return self.store if modality in PICTURES else StoreConfig(codec="raw")

    def settings(self, modality: Modality) -> dict[str, Any]:
        """Return the settings that an entry of a modality depends on, as plain data."""
        codec = self.codec(modality)
        found: dict[str, Any] = {"modality": modality, "codec": codec.codec}
        if codec.codec == "jpeg":
            found["quality"] = codec.quality
        if modality in (*PICTURES, *TRACKS):
            found["decode"] = without_earlier(self.decode)
        spec, section = MODALITIES[modality], self.section(modality)
        if spec.placed_by is not None:  # of full frames
            found["decode"] = {
                key: one for key, one in found["decode"].items() if key not in ("height", "width")
            }
        if section is not None and spec.section is not None:
            values = dump(section)
            found[spec.section] = {key: values[key] for key in spec.keys or values}
        return found

    def earlier(self) -> "Recipe":
        """Return these settings as earlier versions, which knew fewer of them, meant them."""
        return build(Recipe, merge(dump(self), nest(earlier_values(Recipe))))

    def section(self, modality: Modality) -> Settings | None:
        """Return the settings section that the steps of a modality take; None if they take none."""
        name = MODALITIES[modality].section
        section: Settings | None = None if name is None else getattr(self, name)
        return section
