"""Interlaced frames become whole pictures by FFmpeg's ``bwdif``, one for each stored frame.

An interlaced frame holds two moments in turn, line by line, so that whatever moves has combs. The
filter keeps the lines of the first field and fills the others from their neighbours in space and
time (W3FDIF's and yadif's ways joined). Frames that are not flagged as interlaced stay as they are,
bit for bit, and a recording without any never meets the filter.
"""

from collections.abc import Iterable, Iterator

from av.filter import Graph
from av.video.frame import VideoFrame

from pdray.data.media.timeline import Timed

_FILTER = "mode=send_frame:parity=auto:deint=interlaced"


def deinterlaced(frames: Iterable[Timed[VideoFrame]]) -> Iterator[Timed[VideoFrame]]:
    """Yield frames in order, those flagged as interlaced without combs.

    Args:
        frames: In display order; from the first interlaced one on, one is held back.

    Yields:
        As many, with the same times.
    """
    weaver: _Weaver | None = None
    for frame in frames:
        picture = frame.picture
        if weaver is not None and weaver.form != _form(picture):
            yield from weaver.end()
            weaver = None
        if weaver is None and picture.interlaced_frame:
            weaver = _Weaver(picture)
        if weaver is None:
            yield frame
        else:
            yield from weaver.take(frame)
    if weaver is not None:
        yield from weaver.end()


def _form(picture: VideoFrame) -> tuple[int, int, str]:
    return picture.width, picture.height, picture.format.name


class _Weaver:
    """The filter for frames of one size and pixel format."""

    def __init__(self, picture: VideoFrame) -> None:
        self.form = _form(picture)
        self._waiting: list[Timed[VideoFrame]] = []
        width, height, _ = self.form
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=width, height=height, format=picture.format, time_base=picture.time_base
        )
        bwdif = self._graph.add("bwdif", _FILTER)
        sink = self._graph.add("buffersink")
        source.link_to(bwdif)
        bwdif.link_to(sink)
        self._graph.configure()

    def take(self, frame: Timed[VideoFrame]) -> Iterator[Timed[VideoFrame]]:
        self._waiting.append(frame)
        self._graph.vpush(frame.picture)
        yield from self._ready()

    def end(self) -> Iterator[Timed[VideoFrame]]:
        self._graph.vpush(None)
        yield from self._ready()

    def _ready(self) -> Iterator[Timed[VideoFrame]]:
        while self._waiting:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            yield self._waiting.pop(0)._replace(picture=picture)
