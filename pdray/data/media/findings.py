"""Facts of a decoded recording that a study must say: HDR, interlaced frames, other sizes."""

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # those that read entries meet no frame
    from av.video.frame import VideoFrame

    from pdray.data.media.tone import Transfer


@dataclass
class Findings:
    """Facts of one recording, as far as it has been decoded.

    Attributes:
        transfer: Transfer function of the first HDR frame; None where all are SDR.
        num_interlaced: Frames that are flagged as interlaced.
        sizes: (width, height) of the stored frames [px], each once, in order.
        is_end_told: Whether the container declares where the file ends, so that a cut is noticed.
        unaligned: Times of the frames without a portrait [s], by the reason; see ``portraits.py``.
    """

    transfer: "Transfer | None" = None
    num_interlaced: int = 0
    sizes: list[tuple[int, int]] = field(default_factory=list)
    is_end_told: bool = True
    unaligned: dict[str, list[float]] = field(default_factory=dict)

    def add(self, picture: "VideoFrame") -> None:
        """Take in a stored frame."""
        from pdray.data.media.tone import TRANSFERS

        if self.transfer is None:
            self.transfer = TRANSFERS.get(picture.color_trc)
        self.num_interlaced += picture.interlaced_frame
        size = picture.width, picture.height
        if not self.sizes or (self.sizes[-1] != size and size not in self.sizes):
            self.sizes.append(size)

    def plain(self) -> dict[str, Any]:
        """Return the facts as JSON holds them; :meth:`of` reads them back."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Findings":
        """Return what :meth:`plain` gave."""
        return cls(**{**plain, "sizes": [(width, height) for width, height in plain["sizes"]]})
