"""Settings of decoding pictures, of optical flow and of taking spectra of sound."""

import math
from typing import Literal

from pydantic import Field, model_validator

from pdray.config import Settings
from pdray.data.media.limits import USUAL

SAMPLE_RATE = 16_000  # what speech embeddings (wav2vec 2.0, audio masked autoencoders) take [Hz]
# 8 kHz are 45.245 of Slaney's mel, each 66.7 Hz below 1 kHz; a band spans two steps.
_LINEAR_HZ = 2 * 45.245 * 200 / 3


class DecodeConfig(Settings):
    """The picture every recording is brought to, and the frames per second."""

    height: int = Field(112, ge=8, le=2160, description="height of a frame [px]")
    width: int = Field(112, ge=8, le=3840, description="width of a frame [px]")
    frame_rate: float | None = Field(
        None,
        gt=0,
        le=240,
        description="frames per second, the one on display at each time; null keeps those recorded "
        "[1/s]",
    )
    hdr: Literal["sdr", "stored"] = Field(
        "sdr",
        description="pictures of high dynamic range (HLG, PQ): sdr: brought to BT.709 and its "
        "white, so that brightness does not tell the phone; stored: taken for BT.709, as "
        "earlier versions did",
        json_schema_extra={"earlier": "stored"},
    )
    interlaced: Literal["deinterlace", "stored"] = Field(
        "deinterlace",
        description="frames flagged as interlaced: deinterlace: FFmpeg's bwdif, one picture for "
        "each frame; stored: with combs where something moves, as earlier versions did",
        json_schema_extra={"earlier": "stored"},
    )


class DecodeLimits(Settings):
    """What one recording may cost, so that no file exhausts a node."""

    max_pixels: int = Field(
        USUAL.max_pixels,
        ge=1,
        description="width x height of a stored frame; 8K, 7680 x 4320, has 33177600 [px]",
    )
    max_seconds: float = Field(
        USUAL.max_seconds,
        gt=0,
        description="length of a recording, or of its span where it has one [s]",
    )
    max_decode_seconds: float = Field(
        USUAL.max_decode_seconds, gt=0, description="wall time of decoding one recording [s]"
    )


DEFAULT_LIMITS = DecodeLimits()


class FlowConfig(Settings):
    """How flow is computed and stored."""

    method: Literal["tvl1", "dis"] = Field(
        "tvl1",
        description="tvl1: as the paper, about 0.7-1.1 s of CPU per pair at 256x256; dis: OpenCV's "
        "DIS with its preset MEDIUM, 110-160 times cheaper and another flow",
    )
    bound: float = Field(
        20.0, gt=0, description="flow is clipped to +-bound before it is stored [px a frame]"
    )
    boundary_bound: float = Field(
        5.0,
        gt=0,
        description="motion boundaries are clipped to +-bound before they are stored [px a frame "
        "and px]. Of TV-L1 on two clips of faces, 256x256, 5 clips 0.0002 and 0.03 % of the "
        "values and rounds 75 and 54 % to 0; 20 would round 96 and 82 % to 0, 2 would clip 0.3 % "
        "of the livelier clip",
    )


class AudioConfig(Settings):
    """How spectra are taken of 16 kHz sound."""

    window_seconds: float = Field(
        0.025, ge=0.001, le=1, description="length of the Hann window of an item [s]"
    )
    hop_seconds: float = Field(0.010, ge=0.001, le=1, description="from item to item [s]")
    num_mels: int = Field(64, ge=1, le=512, description="mel bands from 0 to 8000 Hz")
    num_mfcc: int = Field(
        40,
        ge=1,
        le=512,
        description="cepstral coefficients kept, from the 0th; 13 is usual for words, 20 is "
        "librosa's default, 40 common for voices",
    )

    @model_validator(mode="after")
    def _fits(self) -> "AudioConfig":
        if self.num_mfcc > self.num_mels:
            raise ValueError(
                f"num_mfcc {self.num_mfcc} is above num_mels {self.num_mels}: there are as many "
                "coefficients as bands"
            )
        narrowest = _LINEAR_HZ / (self.num_mels + 1)
        spacing = SAMPLE_RATE / self.fft_size
        if narrowest <= spacing:
            raise ValueError(
                f"num_mels {self.num_mels} makes bands of {narrowest:.1f} Hz, but spectra of "
                f"{self.window_seconds:g} s have a line every {spacing:.1f} Hz and would leave "
                f"bands empty: use at most {math.ceil(_LINEAR_HZ / spacing) - 2} bands or a "
                "longer window"
            )
        return self

    @property
    def window(self) -> int:
        """Samples of a window."""
        return round(self.window_seconds * SAMPLE_RATE)

    @property
    def hop(self) -> int:
        """Samples from item to item."""
        return round(self.hop_seconds * SAMPLE_RATE)

    @property
    def fft_size(self) -> int:
        """Length of the transform: the window and zeros up to a power of two."""
        return 1 << (self.window - 1).bit_length()
