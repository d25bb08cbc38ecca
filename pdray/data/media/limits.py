"""Limits on what one recording may cost, as they are where no setting says otherwise."""

from typing import NamedTuple


class Limits(NamedTuple):
    """The fields of :class:`pdray.data.media.settings.DecodeLimits`, without pydantic.

    Attributes:
        max_pixels: Width x height of a stored frame [px].
        max_seconds: Length of a recording or of its span [s].
        max_decode_seconds: Wall time of decoding one recording [s].
    """

    max_pixels: int = 36_000_000
    max_seconds: float = 3600.0
    max_decode_seconds: float = 3600.0


USUAL = Limits()
