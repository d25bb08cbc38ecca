"""The part of a video that a recording is: a span of time and a rectangle of the picture."""

from typing import NamedTuple

from pdray.errors import DecodeError


class Box(NamedTuple):
    """A rectangle of whole pixels.

    Attributes:
        left: First column [px].
        top: First row [px].
        width: Columns, at least 1 [px].
        height: Rows, at least 1 [px].
    """

    left: int
    top: int
    width: int
    height: int

    def check_inside(self, width: int, height: int) -> None:
        """Refuse a rectangle that reaches out of a recording's picture.

        Args:
            width: Of the picture as it is shown [px].
            height: Of it [px].

        Raises:
            DecodeError: Names both.
        """
        if self.left + self.width > width or self.top + self.height > height:
            raise DecodeError(
                f"its crop {' '.join(map(str, self))} (left top width height) reaches out of the "
                f"picture, which is shown with {width} x {height} px; correct it in the manifest"
            )


class Part(NamedTuple):
    """What a row of a manifest takes of its video.

    Attributes:
        start_seconds: Frames before this time are left out; None is the beginning.
        end_seconds: Frames at or after this time are left out; None is the end. May lie at most
            0.1 s past the end.
        crop: Rectangle of the picture as it is shown, turned as the file asks, before it is
            scaled; None is all of it.
    """

    start_seconds: float | None = None
    end_seconds: float | None = None
    crop: Box | None = None


WHOLE = Part()
