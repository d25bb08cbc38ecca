"""Letters on pictures, of one width each."""

from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

LETTER_WIDTH = 0.602
"""Width of a letter over its size, of DejaVu Sans Mono, which comes with matplotlib."""
_DPI = 100
_POINTS = 72 / _DPI  # of a pixel


def lettered(text: str, *, height: int, width: int, size: float) -> NDArray[np.uint8]:
    """Return white letters on black, in the middle.

    Args:
        text: One or more lines.
        height: Of the picture [px].
        width: Of the picture [px].
        size: Of the letters [px].

    Returns:
        (height, width, 3) uint8 RGB.
    """
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="black")
    figure.text(0.5, 0.5, text, color="white", fontsize=size * _POINTS, ha="center", va="center",
                family="DejaVu Sans Mono", parse_math=False)  # fmt: skip
    canvas: Any = FigureCanvasAgg(figure)  # matplotlib does not declare its methods' types
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[:, :, :3].copy()
