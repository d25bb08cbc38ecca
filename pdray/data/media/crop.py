"""Frames cut to a rectangle of the shown picture, before anything is scaled.

FFmpeg's ``crop`` copies nothing: it moves the beginning of each plane, so that the frame that comes
out is the one that a file of this rectangle alone would give, bit for bit. Where colours are stored
at half the size (4:2:0), this holds for even edges; an odd edge begins with half of a colour's
pixels.
"""

from fractions import Fraction

from av.filter import Graph
from av.video.frame import VideoFrame

from pdray.data.media.part import Box


class Cutter:
    """Cuts frames; holds FFmpeg's filter for frames of one size and format."""

    def __init__(self) -> None:
        self._form: tuple[int, int, str, Box] | None = None
        self._graph = Graph()

    def cut(self, picture: VideoFrame, stored: Box) -> VideoFrame:
        """Return a rectangle of a frame, which shares its memory.

        Args:
            picture: A decoded frame.
            stored: The rectangle as the frame is stored, inside it.
        """
        form = (picture.width, picture.height, picture.format.name, stored)
        if form != self._form:
            self._graph, self._form = _graph(picture, stored), form
        self._graph.vpush(picture)
        return self._graph.vpull()


def _graph(picture: VideoFrame, stored: Box) -> Graph:
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=picture.width,
        height=picture.height,
        format=picture.format,
        time_base=picture.time_base or Fraction(1),  # a still picture has none
    )
    left, top, width, height = stored
    crop = graph.add("crop", f"{width}:{height}:{left}:{top}:exact=1")
    sink = graph.add("buffersink")
    source.link_to(crop)
    crop.link_to(sink)
    graph.configure()
    return graph
