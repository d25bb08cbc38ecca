"""The sound of a recording: mono 16 kHz samples, log-mel spectra and MFCC.

Second 0 is the first frame of the file's video stream, as for pictures; where a file has no video
stream (the manifest's ``audio`` column), it is the first sample. Sound that starts before second 0
is cut there, sound that starts later starts later: silence is never put in.

What makes sound unreadable, beside what cannot be parsed or decoded without an error:
  - time stamps that leave the running count of samples by more than 0.04 s, one frame of 25 Hz,
    before the end of the span: a hole cannot be told from silence once it is filled, and closing
    it up would shift everything behind it (a hole that lies wholly before the span is harmless);
  - a file that ends before its header or its index says, or is shorter than its container declares
    (``container.py``: WAV and AVI, Matroska and WebM, ASF, FLV, MXF, fragments of MP4).
What cannot be seen: an end that is lacking where nothing declares it (MP3, AAC without a
container, Ogg, MPEG-TS), and wrong samples where a coding has no checks (PCM).

In AVI, which holds no presentation stamps, sound may be out of place by 0.04 s or what the coder
of the pictures delays.

Messages carry no path and no name: whoever knows the recording's id puts it in front.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import av
import librosa
import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame

from pdray.data.media.settings import DEFAULT_LIMITS, SAMPLE_RATE, AudioConfig
from pdray.data.media.source import (
    check_pixels,
    check_size,
    open_file,
    tagged_seconds,
    video_stream,
)
from pdray.data.media.timeline import Span, check_seconds
from pdray.errors import DecodeError

Samples = npt.NDArray[np.int16]
Spectra = tuple[npt.NDArray[np.float64], npt.NDArray[np.float32]]

POWER_FLOOR = 1e-10  # below the rounding noise of 16 bits in a mel band, about 4e-10

_FULL_SCALE = 32768.0
_BLOCK_ITEMS = 1024  # spectra of an hour at once would take gigabytes
_HOLE_SECONDS = 0.04
_FILTER_SECONDS = 0.02  # the resampler looks this far ahead or less
_END_SLACK_SECONDS = 0.2  # a coder's delay and padding: two AAC frames at 16 kHz are 0.128 s
_ESTIMATED = {"mp3", "aac"}  # without a container: the length is guessed from the bit rate


@dataclass(frozen=True)
class Waveform:
    """Mono sound at 16 kHz.

    Attributes:
        samples: (N,) int16, N at least 1; full scale is 32768.
        seconds: Time of the first sample; sample i is ``i / 16000`` later.
    """

    samples: Samples
    seconds: float


def read_waveform(
    source: Path,
    *,
    max_seconds: float,
    max_pixels: int = DEFAULT_LIMITS.max_pixels,
    start_seconds: float | None = None,
    end_seconds: float | None = None,
) -> Waveform:
    """Read the best audio stream of a file, mixed to mono and resampled to 16 kHz.

    Stereo is averaged, more channels are mixed as swresample does. A span holds the very samples
    that the whole has there.

    Args:
        source: A video or an audio file.
        max_seconds: The longest sound, or part of it in the span [s].
        max_pixels: Of the video's first frame, which is decoded for its time.
        start_seconds: Samples before it are left out; None is second 0.
        end_seconds: Samples at or after it are left out; None is the end. Sound may end before.

    Returns:
        The samples of the span that the file holds: fewer than the span is long where the sound
        starts later or ends earlier.

    Raises:
        DecodeError: If there is no audio stream, no sound in the span, or the file is damaged,
            cut short or has a hole (as far as the module's list goes).
    """
    span = Span.between(max(start_seconds or 0.0, 0.0), end_seconds)
    try:
        with open_file(source, max_pixels) as file:
            zero = _first_picture(file, max_pixels)
        with open_file(source, max_pixels) as file:
            run = _gather(_pieces(file, _audio_stream(file)), zero, span, max_seconds)
    except (av.FFmpegError, OSError) as error:
        # FFmpeg's own text holds the path or an internal function; strerror holds neither.
        reason = error.strerror or type(error).__name__
        raise DecodeError(f"has sound that cannot be decoded: {reason}") from error
    waveform = run.cut(span.end)
    if not len(waveform.samples):
        there = f"its sound lasts from {run.seconds:.3f} s to {run.ends:.3f} s"
        raise DecodeError(f"has no sound from {span.start:g} s to {span.end:g} s: {there}")
    return waveform


def log_mel(waveform: Waveform, config: AudioConfig) -> Spectra:
    """Return the natural logarithm of the power in mel bands.

    ``ln(max(1e-10, sum_f M[m, f] |X[n, f]|^2))``, X the Fourier transform of the samples over
    32768 under a periodic Hann window, zeros added up to a power of two, M the triangles of
    Slaney's mel scale with area 1 (librosa's defaults). No sample outside the sound is made up:
    the first window starts at the first sample, the last one ends at or before the last.

    Args:
        waveform: At least one window long.
        config: Window, hop and bands.

    Returns:
        (N,) float64 time of the middle of each window [s] and (N, num_mels) float32, -23.03
        (the floor) and up.

    Raises:
        DecodeError: If the sound is shorter than a window.
    """
    seconds, spectra = _log_mel(waveform, config)
    return seconds, spectra.astype(np.float32)


def mfcc(waveform: Waveform, config: AudioConfig) -> Spectra:
    """Return mel-frequency cepstral coefficients.

    The first ``num_mfcc`` coefficients of the orthonormal DCT-II of :func:`log_mel` over its
    bands, in nats (librosa's default would take decibels: a constant factor).

    Takes and raises what :func:`log_mel` does.

    Returns:
        (N,) float64 time of the middle of each window [s] and (N, num_mfcc) float32.
    """
    seconds, spectra = _log_mel(waveform, config)
    coefficients = librosa.feature.mfcc(S=spectra.T, n_mfcc=config.num_mfcc, norm="ortho").T
    return seconds, np.ascontiguousarray(coefficients, np.float32)


def _log_mel(
    waveform: Waveform, config: AudioConfig
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    window, hop = config.window, config.hop
    num_samples = len(waveform.samples)
    if num_samples < window:
        raise DecodeError(
            f"has {num_samples / SAMPLE_RATE:.4f} s of sound, less than audio.window_seconds "
            f"{config.window_seconds:g}"
        )
    num_items = 1 + (num_samples - window) // hop
    blocks = []
    for first in range(0, num_items, _BLOCK_ITEMS):
        last = min(first + _BLOCK_ITEMS, num_items) - 1
        samples = waveform.samples[first * hop : last * hop + window]
        blocks.append(_mel_power(samples, config))
    seconds = waveform.seconds + (np.arange(num_items) * hop + window / 2) / SAMPLE_RATE
    return seconds, np.log(np.maximum(np.concatenate(blocks), POWER_FLOOR))


def _mel_power(samples: Samples, config: AudioConfig) -> npt.NDArray[np.float64]:
    """Return (N, num_mels); the last window ends with the last sample."""
    # librosa centres a short window in its transform; the zeros only make room around it.
    before = (config.fft_size - config.window) // 2
    around = (before, config.fft_size - config.window - before)
    power: npt.NDArray[np.float64] = librosa.feature.melspectrogram(
        y=np.pad(samples / _FULL_SCALE, around),
        sr=SAMPLE_RATE,
        n_fft=config.fft_size,
        win_length=config.window,
        hop_length=config.hop,
        center=False,
        n_mels=config.num_mels,
        dtype=np.float64,
    )
    return power.T


class _Piece(NamedTuple):
    seconds: float  # of its first sample, on the container's clock
    frame: AudioFrame

    @property
    def length(self) -> float:
        return self.frame.samples / self.frame.sample_rate

    @property
    def sound(self) -> str:
        frame = self.frame
        return f"{frame.sample_rate} Hz {frame.layout.name} {frame.format.name}"


class _Run:
    """Sound without a hole on its way through the resampler, from ``piece`` at ``seconds`` on.

    Samples before ``start`` are dropped.
    """

    def __init__(self, piece: _Piece, seconds: float, start: float) -> None:
        self.seconds = self.ends = seconds
        self._first = self._to_drop = max(0, _sample(start - seconds))
        self._sound = piece.sound
        self._chunks = [np.zeros(0, np.int16)]
        self._resampler = AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE)

    def add(self, piece: _Piece) -> None:
        if piece.sound != self._sound:
            raise DecodeError(
                f"has sound that changes from {self._sound} to {piece.sound} at {self.ends:.3f} s"
            )
        # Counted, not taken from the stamp: Matroska rounds stamps to milliseconds.
        self.ends += piece.length
        self._take(self._resampler.resample(piece.frame))

    def cut(self, end: float) -> Waveform:
        """Return the samples from the start to before ``end``; nothing may be added after."""
        self._take(self._resampler.resample(None))
        last = None if math.isinf(end) else max(0, _sample(end - self.seconds) - self._first)
        samples = np.concatenate(self._chunks)[:last]
        return Waveform(samples, self.seconds + self._first / SAMPLE_RATE)

    def _take(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            samples = np.asarray(frame.to_ndarray(), np.int16)[0]
            self._chunks.append(samples[self._to_drop :])
            self._to_drop = max(0, self._to_drop - len(samples))


def _gather(pieces: Iterator[_Piece], zero: float | None, span: Span, max_seconds: float) -> _Run:
    run: _Run | None = None
    for piece in pieces:
        zero = piece.seconds if zero is None else zero
        now = piece.seconds - zero
        if run is not None and now >= span.end + _FILTER_SECONDS:
            break
        if run is not None and abs(now - run.ends) > _HOLE_SECONDS and now > span.start:
            ended = f"has sound that ends at {run.ends:.3f} s and goes on at {now:.3f} s"
            raise DecodeError(f"{ended}: a hole, or time stamps that are wrong")
        if run is None or abs(now - run.ends) > _HOLE_SECONDS:
            run = _Run(piece, now, span.start)
        run.add(piece)
        check_seconds(min(run.ends, span.end) - span.start, max_seconds)
    if run is None:
        raise DecodeError("has an audio stream without a single sample")
    return run


def _sample(seconds: float) -> int:
    """Return the first sample at or after a time, counted from the anchor."""
    # Rounded, so that 0.68 s is sample 10880 and not the one after it.
    return math.ceil(round(seconds * SAMPLE_RATE, 4))


def _first_picture(file: InputContainer, max_pixels: int) -> float | None:
    """Return when the video stream's first frame is shown; None where there is no video."""
    # A cover picture is not a video.
    if all(one.disposition & Disposition.attached_pic for one in file.streams.video):
        return None
    stream = video_stream(file, max_pixels)
    check_pixels(stream.codec_context.width, stream.codec_context.height, max_pixels)
    for packet in file.demux(stream):
        for frame in packet.decode():
            return _seconds(frame)
    raise DecodeError("has a video stream without a single frame")


def _audio_stream(file: InputContainer) -> AudioStream:
    stream = file.streams.best("audio")
    if not isinstance(stream, AudioStream):
        kinds = ", ".join(sorted({one.type for one in file.streams}))
        raise DecodeError(f"has no audio stream, only {kinds or 'an empty container'}")
    stream.codec_context.thread_count = 1
    stream.codec_context.options = {"err_detect": "explode"}
    return stream


def _pieces(file: InputContainer, stream: AudioStream) -> Iterator[_Piece]:
    """Yield decoded sound; at the file's end check that none is lacking."""
    ends = 0.0
    for packet in _packets(file, stream):
        for frame in packet.decode():
            if frame.is_corrupt:
                raise DecodeError(f"has damaged sound after {ends:.3f} s")
            piece = _Piece(_seconds(frame), frame)
            ends = piece.seconds + piece.length
            yield piece
    check_size(file)
    declared = None if file.format.name in _ESTIMATED else _declared_seconds(file, stream)
    if declared is not None and declared - ends > _END_SLACK_SECONDS:
        end = f"its sound ends at {ends:.3f} s, its header says {declared:.3f} s"
        raise DecodeError(f"is cut: {end}")


def _packets(file: InputContainer, stream: AudioStream) -> Iterator["Packet[AudioStream]"]:
    number = 0
    for packet in file.demux(stream):
        if packet.is_corrupt:
            raise DecodeError(f"is cut or damaged inside audio packet {number}")
        number += packet.size > 0
        yield packet
    listed = len(stream.index_entries)
    # Other formats keep an index of some packets only, or none.
    if "mp4" in file.format.name and number < listed:
        raise DecodeError(f"is cut: holds {number} of the {listed} audio packets in its index")


def _declared_seconds(file: InputContainer, stream: AudioStream) -> float | None:
    """Return when the header says that the sound ends, or None where it does not say."""
    # Of an AVI that is cut, FFmpeg's duration is what is left; its header's count remains.
    length = stream.frames if file.format.name == "avi" else stream.duration
    if length and stream.time_base:
        return float(((stream.start_time or 0) + length) * stream.time_base)
    return tagged_seconds(stream)


def _seconds(frame: AudioFrame | VideoFrame) -> float:
    stamp = frame.pts if frame.pts is not None else frame.dts
    if stamp is None or frame.time_base is None:
        raise DecodeError("has a frame or a piece of sound without a time stamp")
    return float(stamp * frame.time_base)
