"""Optical flow between the frames of a recording, and the motion boundaries of a flow field.

Source: the motion boundary paper, which takes TV-L1 flow and Eq. 3.
Its silences, filled here: derivatives are numpy's gradient (central differences, one-sided at
the borders), and N frames give N - 1 fields, each at the time of the earlier frame of its pair.

Units: a field holds (u, v), how far what is shown at a pixel moves until the next frame, u along
the width and v along the height [px a frame], positive to the right and downwards. The rate of
frames is the caller's: twice the rate halves the flow.

Stored as two-stream practice does (Simonyan and Zisserman 2014: clipped to +-bound, linear to 8
bits) but on 255 codes instead of 256, see :func:`quantise`.

Mirroring: a mirrored recording has the mirrored flow with the sign of u flipped. Its *boundaries*
are not the mirrored boundaries with any sign flipped, as Eq. 3 sums a derivative that changes
sign and one that does not: compute them from the mirrored flow.
"""

import importlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from pdray.errors import DecodeError, SettingsError

if TYPE_CHECKING:  # an exported model has this file, and no pydantic
    from pdray.data.media.settings import FlowConfig

Field2 = npt.NDArray[np.float32]
Frame = tuple[float, npt.NDArray[np.uint8]]
Flow = tuple[float, Field2]
Method = Literal["tvl1", "dis"]

ZERO_CODE = 128
_LEVELS = 127  # codes on either side of zero

# Zach et al. 2007 as OpenCV contrib sets it; written out, since a store outlives a release.
_TVL1 = {
    "tau": 0.25,  # time step
    "lambda_": 0.15,  # weight of the data term: smaller is smoother
    "theta": 0.3,  # tightness
    "nscales": 5,
    "warps": 5,
    "epsilon": 0.01,
    "innnerIterations": 30,  # three n: OpenCV's own spelling
    "outerIterations": 10,
    "scaleStep": 0.8,
    "gamma": 0.0,
    "medianFiltering": 5,
    "useInitialFlow": False,
}
_INSTALL = "in the checkout: pip install -c constraints.txt -e '.[flow]'"
_MIN_DIS_SIDE = 16  # on less OpenCV 5.0's DIS gives NaN or ends the process, with no exception


def quantise(values: npt.NDArray[np.floating], bound: float) -> npt.NDArray[np.uint8]:
    """Clip to +-bound and round to 8 bits.

    The usual ``255 * (v + bound) / (2 * bound)`` has no code for 0: a still picture comes back as
    a small motion to one side, and its mirror image as one to the other. Here 0 is exactly 128
    and ``256 - code`` is exactly the opposite value; the price is one code of 256 (0 is unused)
    and a step of bound / 127 instead of bound / 127.5.

    Args:
        values: Any shape, finite, in the unit of ``bound``.
        bound: Above 0.

    Returns:
        uint8 of the same shape, 1 (-bound) to 255 (bound). Halves round to even, the same way on
        both sides of 0.

    Raises:
        ValueError: If a value is not finite; there is no code for "absent".
    """
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinity, which have no code")
    codes: npt.NDArray[np.uint8] = (
        np.rint(np.clip(values / bound, -1.0, 1.0) * _LEVELS) + ZERO_CODE
    ).astype(np.uint8)
    return codes


def flow_codes(fields: Iterable[Flow], config: "FlowConfig") -> Iterator[Frame]:
    """Yield the codes of flow fields, as :func:`motion` yields these."""
    for seconds, flow in fields:
        yield seconds, quantise(flow, config.bound)


def boundary_codes(fields: Iterable[Flow], config: "FlowConfig") -> Iterator[Frame]:
    """Yield the codes of the motion boundaries of flow fields, as :func:`motion` yields these."""
    for seconds, flow in fields:
        yield seconds, quantise(motion_boundaries(flow), config.boundary_bound)


def motion_boundaries(flow: Field2) -> Field2:
    """Return where the motion changes from pixel to pixel.

    Eq. 3 of the motion boundary paper: ``B_u = du/dx + du/dy`` and ``B_v = dv/dx + dv/dy``, signed,
    x along the width. Flow grows with the size of the picture, its derivative does not.

    Args:
        flow: (H, W, 2) float32 (u, v) [px a frame], H and W at least 2.

    Returns:
        (H, W, 2) float32 (B_u, B_v) [px a frame and px].
    """
    down, right = np.gradient(flow, axis=(0, 1))
    return np.asarray(right + down, np.float32)


def motion(frames: Iterable[Frame], config: "FlowConfig") -> Iterator[tuple[float, Field2]]:
    """Compute the flow between each pair of consecutive frames.

    Every field depends on its two frames and nothing else. The same frames give the same bits on
    one kind of processor, whatever the number of threads; OpenCV's vector code may round
    otherwise on another kind.

    Args:
        frames: (seconds, (H, W, 3) uint8 RGB) in display order, of one size; two are held at a
            time.
        config: The method.

    Returns:
        A generator of (seconds of the pair's first frame, (H, W, 2) float32), one fewer than
        there are frames. It raises DecodeError for fewer than two frames and SettingsError for
        frames smaller than DIS can take.

    Raises:
        SettingsError: At once, if OpenCV contrib is not installed.
    """
    return _fields(frames, config.method, _calculator(config.method))


def _fields(
    frames: Iterable[Frame], method: Method, calculate: Callable[[Any, Any], Field2]
) -> Iterator[tuple[float, Field2]]:
    before: tuple[float, npt.NDArray[np.uint8]] | None = None
    number = 0
    for seconds, picture in frames:
        number += 1
        if method == "dis" and min(picture.shape[:2]) < _MIN_DIS_SIDE:
            height, width = picture.shape[:2]
            raise SettingsError(
                f"flow.method dis needs frames of at least {_MIN_DIS_SIDE} px a side, "
                f"got {width}x{height}: use larger frames or tvl1"
            )
        grey = _grey(picture)
        if before is not None:
            flow = calculate(before[1], grey)
            if not np.isfinite(flow).all():
                raise DecodeError(f"has no finite optical flow at {before[0]:.3f} s ({method})")
            yield before[0], flow
        before = (seconds, grey)
    if number < 2:
        held = "one frame" if number else "no frame"
        raise DecodeError(f"has {held}: optical flow needs two or more")


def _grey(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return luma by ITU-R BT.601, ``0.299 R + 0.587 G + 0.114 B`` rounded, as OpenCV weighs."""
    cv2 = _opencv()
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


def _calculator(method: Method) -> Callable[[Any, Any], Field2]:
    cv2 = _opencv()
    engine = (
        cv2.optflow.DualTVL1OpticalFlow_create(**_TVL1)
        if method == "tvl1"
        else cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    )

    def calculate(first: Any, second: Any) -> Field2:
        # Recordings run in parallel, not pixels. OpenCV knows one number of threads a process,
        # which is not ours to keep: it is given back before anything else runs.
        num_threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            # A flow passed in would be taken as the first guess: None keeps the pairs apart.
            return np.asarray(engine.calc(first, second, None), np.float32)
        finally:
            cv2.setNumThreads(num_threads)

    return calculate


def _opencv() -> Any:
    try:
        opencv = importlib.import_module("cv2")
    except ImportError as error:
        raise SettingsError(f"optical flow needs OpenCV; {_INSTALL}") from error
    if not hasattr(opencv, "optflow"):
        raise SettingsError(
            f"optical flow needs OpenCV's contrib modules, which this OpenCV lacks; {_INSTALL}"
        )
    return opencv
