from fractions import Fraction

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdray.config import build
from pdray.data.media import audio
from pdray.data.media.audio import Waveform, log_mel, mfcc, read_waveform
from pdray.data.media.settings import AudioConfig
from pdray.errors import DecodeError, SettingsError

RATE = 16_000
LONG = 60.0  # max_seconds of most tests
EARLY = {"movflags": "faststart"}  # the index before the sound
TOP_MEL = 15 + 27 * np.log(8) / np.log(6.4)  # 8 kHz on Slaney's scale


def click(seconds=2.0, at=1.0, rate=48_000):
    """Quiet tone with 5 ms of a loud one, int16."""
    t = np.arange(round(seconds * rate)) / rate
    sound = 0.01 * np.sin(2 * np.pi * 200 * t)
    sound[round(at * rate) : round((at + 0.005) * rate)] = 0.9
    return (sound * 32767).astype(np.int16)


def sound_packets(stream, samples, rate):
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = rate, 0, Fraction(1, rate)
    coder = stream.codec_context.format.name
    resampler = av.AudioResampler(format=coder, layout="mono", rate=rate)
    for piece in [*resampler.resample(frame), *resampler.resample(None)]:
        yield from stream.encode(piece)
    yield from stream.encode(None)


def picture_packets(stream, seconds):
    noise = np.random.default_rng(0)
    for number in range(round(seconds * 25)):
        pixels = noise.integers(0, 256, (32, 32, 3), np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels)
        frame.pts, frame.time_base = number, Fraction(1, 25)
        yield from stream.encode(frame)
    yield from stream.encode(None)


@pytest.fixture
def mux(tmp_path):
    """Return a function that muxes sound without the packets ``lost``, and pictures if wanted."""

    def write(name, codec, *, picture_at=None, sound_at=0.0, samples=None, rate=48_000, **more):
        coder, lost = more.get("coder", "libx264"), more.get("lost", ())
        samples = click(rate=rate) if samples is None else samples
        path = tmp_path / name
        with av.open(str(path), "w", options=more.get("options", {})) as file:
            found = []
            if picture_at is not None:
                stream = file.add_stream(coder, rate=25)
                stream.width = stream.height = 32
                stream.pix_fmt, stream.codec_context.thread_count = "yuv420p", 1
                found += [(p, picture_at) for p in picture_packets(stream, 2)]
            stream = file.add_stream(codec, rate=rate, layout="mono")
            sound = enumerate(sound_packets(stream, samples, rate))
            found += [(p, sound_at) for number, p in sound if number not in lost]
            for packet, late in found:
                packet.pts += round(late / packet.time_base)
                packet.dts += round(late / packet.time_base)
            for packet, _ in sorted(found, key=lambda one: one[0].dts * one[0].time_base):
                file.mux(packet)
        return path

    return write


def read(path, **span):
    return read_waveform(path, max_seconds=LONG, **span)


def loud(waveform):
    """Return when the first and the last loud sample are heard [s]."""
    where = np.flatnonzero(np.abs(waveform.samples.astype(int)) > 10_000)
    return waveform.seconds + where[0] / RATE, waveform.seconds + where[-1] / RATE


@pytest.mark.parametrize(
    ("name", "codec", "coder", "exact"),
    [
        ("a.mp4", "aac", "libx264", 0.001),  # the edit list counts whole ms
        ("a.mov", "pcm_s16le", "libx264", 0.001),
        ("a.mkv", "aac", "libx264", 0.001),  # stamps are ms
        ("b.mkv", "libopus", "libx264", 0.001),
        ("a.ts", "aac", "libx264", 0.001),
        ("a.avi", "pcm_s16le", "mpeg4", 0.001),
        # AVI holds no presentation stamps: neither MP3's delay nor H.264's is known.
        ("b.avi", "mp3", "mpeg4", 0.025),
        ("c.avi", "pcm_s16le", "libx264", 0.041),
    ],
)
def test_a_click_is_heard_when_the_pictures_say(mux, name, codec, coder, exact):
    begun, ended = loud(read(mux(name, codec, picture_at=0.0, coder=coder)))
    assert begun == pytest.approx(1.0, abs=exact)
    assert ended == pytest.approx(1.005, abs=exact)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_that_starts_late_keeps_its_place(mux, name):
    waveform = read(mux(name, "aac", picture_at=0.0, sound_at=0.5))
    # Not filled with silence: the first sample is where the sound is (AAC's delay included).
    assert 0.47 < waveform.seconds <= 0.5
    assert loud(waveform)[0] == pytest.approx(1.5, abs=0.001)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_before_the_first_picture_is_cut(mux, name):
    path = mux(name, "aac", picture_at=0.5)
    waveform = read(path)
    with av.open(str(path)) as file:  # x264's delay makes it 0.48 s
        first = float(next(file.decode(video=0)).time)
    assert 0 <= waveform.seconds < 1 / RATE
    assert loud(waveform)[0] == pytest.approx(1.0 - first, abs=0.001)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.mp3", "a.m4a", "a.ogg", "a.mka"])
def test_zero_of_a_sound_file_is_its_first_sample(mux, name):
    codec = {"wav": "pcm_s16le", "flac": "flac", "mp3": "mp3", "m4a": "aac"}.get(
        name[2:], "libopus"
    )
    waveform = read(mux(name, codec))
    assert waveform.samples.dtype == np.int16
    assert waveform.seconds == 0.0
    assert loud(waveform)[0] == pytest.approx(1.0, abs=0.001)
    assert len(waveform.samples) == pytest.approx(2 * RATE, abs=0.01 * RATE)


def test_a_cover_picture_is_not_a_video(mux, tmp_path):
    path = tmp_path / "covered.mp3"
    with av.open(str(path), "w") as file:
        cover = file.add_stream("png", rate=25)
        cover.width = cover.height = 32
        cover.pix_fmt, cover.disposition = "rgb24", av.stream.Disposition.attached_pic
        stream = file.add_stream("mp3", rate=RATE, layout="mono")
        picture = list(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))))
        for packet in [*picture, *sound_packets(stream, click(rate=RATE), RATE)]:
            file.mux(packet)
    assert loud(read(path))[0] == pytest.approx(1.0, abs=0.001)


def test_samples_at_16_khz_pass_unchanged_and_others_are_band_limited(mux):
    tone = (8000 * np.sin(np.arange(RATE) / 3)).astype(np.int16)
    np.testing.assert_array_equal(
        read(mux("a.wav", "pcm_s16le", samples=tone, rate=RATE)).samples, tone
    )
    for rate in (44_100, 48_000):
        t = np.arange(rate) / rate
        both = 8000 * np.sin(2 * np.pi * 1000 * t) + 8000 * np.sin(2 * np.pi * 11_000 * t)
        found = read(mux("b.wav", "pcm_s16le", samples=both.astype(np.int16), rate=rate)).samples
        wanted = 8000 * np.sin(2 * np.pi * 1000 * np.arange(RATE) / RATE)
        assert len(found) == RATE
        # 11 kHz lies above half of 16 kHz: it is gone, not folded down.
        assert np.abs(found[200:-200] - wanted[200:-200]).max() < 8


def test_stereo_is_averaged(tmp_path):
    path = tmp_path / "stereo.wav"
    with av.open(str(path), "w") as file:
        stream = file.add_stream("pcm_s16le", rate=RATE, layout="stereo")
        both = np.stack([np.full(RATE, 3000), np.full(RATE, -1000)], 1).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(both.reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = RATE
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    assert set(read(path).samples.tolist()) == {1000}


@pytest.mark.parametrize(("name", "codec"), [("a.mkv", "aac"), ("a.mp4", "aac"), ("b.mkv", "flac")])
def test_a_span_holds_the_very_samples_of_the_whole(mux, name, codec):
    path = mux(name, codec, picture_at=0.0)
    whole = read(path)
    # 0.64 s is a border of AAC's packets, 1.11111 s is none and between two samples.
    parts = [
        read(path, end_seconds=0.64),
        read(path, start_seconds=0.64, end_seconds=1.11111),
        read(path, start_seconds=1.11111),
    ]
    assert [part.seconds for part in parts] == pytest.approx([0.0, 0.64, 1.11111], abs=1 / RATE)
    assert parts[2].seconds >= 1.11111
    np.testing.assert_array_equal(np.concatenate([p.samples for p in parts]), whole.samples)
    # Sound may end before the span does; what is not there is not made up.
    beyond = read(path, start_seconds=1.11111, end_seconds=30.0)
    np.testing.assert_array_equal(beyond.samples, parts[2].samples)


def test_a_span_without_sound_is_refused(mux):
    path = mux("a.mkv", "pcm_s16le", picture_at=0.0, sound_at=0.5)
    with pytest.raises(DecodeError, match=r"^has no sound from 0 s to 0\.4 s: its sound lasts "):
        read(path, end_seconds=0.4)
    with pytest.raises(DecodeError, match=r"from 3 s to inf s: .* from 0\.500 s to 2\.500 s$"):
        read(path, start_seconds=3.0)


def test_a_file_without_sound_says_so(numbered_video, tmp_path):
    with pytest.raises(DecodeError, match=r"^has no audio stream, only video$"):
        read(numbered_video)
    for name, content in [("empty.mp4", b""), ("text.mp4", b"these are words, no film" * 50)]:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DecodeError, match=r"^has sound that cannot be decoded: Invalid data"):
            read(tmp_path / name)
    with pytest.raises(DecodeError, match=r"^has sound that cannot be decoded: No such file") as e:
        read(tmp_path / "absent.mp4")
    assert "absent" not in str(e.value)


@pytest.mark.parametrize(("name", "picture_at"), [("a.mkv", 0.0), ("a.mkv", None), ("a.mp4", 0.0)])
def test_a_hole_is_neither_filled_nor_closed_up(mux, name, picture_at):
    # AAC packets of 1024 / 48000 s: 40 to 49 are 0.85 to 1.05 s.
    path = mux(name, "aac", picture_at=picture_at, lost=range(40, 50))
    with pytest.raises(DecodeError, match=r"^has sound that ends at 0\.8\d+ s and goes on at 1\.0"):
        read(path)
    # A span that does not contain the hole is read, and stands where it belongs.
    assert read(path, end_seconds=0.8).seconds < 0.001
    behind = read(path, start_seconds=1.5)
    assert behind.seconds == pytest.approx(1.5, abs=1 / RATE)
    assert behind.seconds + len(behind.samples) / RATE == pytest.approx(2.0, abs=0.03)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("name", ["a.mp4", "early.mp4", "a.mkv", "a.avi", "a.wav", "a.flac"])
def test_a_file_cut_short_is_refused(mux, name, part):
    codec = {"avi": "mp3", "wav": "pcm_s16le", "flac": "flac"}.get(name.split(".")[1], "aac")
    video = None if name in ("a.wav", "a.flac") else 0.0
    path = mux(name, codec, picture_at=video, options=EARLY if name == "early.mp4" else {})
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    with pytest.raises(DecodeError, match=r"cut|cannot be decoded|time stamp"):
        read(path)


def test_one_packet_less_than_the_index_lists_is_cut(mux):
    path = mux("a.m4a", "aac", options=EARLY)
    with av.open(str(path)) as file:
        last = max(packet.pos for packet in file.demux(audio=0) if packet.size)
    path.write_bytes(path.read_bytes()[:last])
    with pytest.raises(DecodeError, match=r"^is cut: holds \d+ of the \d+ audio packets in its"):
        read(path)


@pytest.mark.parametrize(
    ("codec", "num_bytes"), [("aac", 1000), ("mp3", 1000), ("flac", 1000), ("flac", 1)]
)
def test_damage_is_refused(mux, codec, num_bytes):
    path = mux({"aac": "a.m4a"}.get(codec, f"a.{codec}"), codec)
    content = bytearray(path.read_bytes())
    middle = slice(len(content) // 2, len(content) // 2 + num_bytes)
    content[middle] = bytes(255 - one for one in content[middle])
    path.write_bytes(content)
    with pytest.raises(DecodeError, match=r"damaged|cannot be decoded|time stamp|a hole"):
        read(path)


def test_a_length_that_is_only_guessed_refuses_nothing(mux):
    # From the silence at its start FFmpeg expects many times the length.
    samples = np.concatenate([np.zeros(48_000, np.int16), noise(48_000)])
    assert len(read(mux("a.aac", "aac", samples=samples)).samples) > 2 * RATE


def test_sound_that_changes_on_its_way_is_refused(mux):
    path = mux("a.aac", "aac", rate=RATE)
    path.write_bytes(path.read_bytes() + mux("b.aac", "aac").read_bytes())
    with pytest.raises(DecodeError, match=r"changes from 16000 Hz mono fltp to 48000 Hz mono fltp"):
        read(path)


def test_length_is_limited_to_the_span(mux):
    path = mux("a.wav", "pcm_s16le")
    with pytest.raises(DecodeError, match=r"more than limits\.max_seconds 1; name a shorter span"):
        read_waveform(path, max_seconds=1.0)
    part = read_waveform(path, max_seconds=1.0, start_seconds=0.9, end_seconds=1.9)
    assert len(part.samples) == RATE


def test_pictures_of_too_many_pixels_are_not_decoded_for_their_time(mux):
    path = mux("a.mp4", "aac", picture_at=0.0)
    with pytest.raises(DecodeError, match=r"32 x 32 = 1024 px, more than limits\.max_pixels 500"):
        read_waveform(path, max_seconds=LONG, max_pixels=500)


def slaney_hz(mel):
    mel = np.asarray(mel, float)
    return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp((mel - 15) * np.log(6.4) / 27))


def slow_log_mel(samples, config):
    window, hop = round(config.window_seconds * RATE), round(config.hop_seconds * RATE)
    size = 2 ** int(np.ceil(np.log2(window)))
    edges = slaney_hz(np.linspace(0, TOP_MEL, config.num_mels + 2))
    hz = np.arange(size // 2 + 1) * RATE / size
    bands = np.zeros((config.num_mels, len(hz)))
    for m, (low, middle, high) in enumerate(zip(edges, edges[1:], edges[2:], strict=False)):
        sides = np.minimum((hz - low) / (middle - low), (high - hz) / (high - middle))
        bands[m] = np.maximum(0, sides) * 2 / (high - low)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(window)) / size)
    rows, seconds, first = [], [], 0
    while first + window <= len(samples):
        part = samples[first : first + window].astype(float) / 32768 * hann
        rows.append(np.log(np.maximum(bands @ np.abs(turns @ part) ** 2, 1e-10)))
        seconds.append((first + window / 2) / RATE)
        first += hop
    return np.array(seconds), np.array(rows)


def slow_mfcc(spectra, count):
    num_mels = spectra.shape[1]
    m = np.arange(num_mels)
    turns = np.cos(np.pi * np.outer(np.arange(count), 2 * m + 1) / (2 * num_mels))
    turns *= np.sqrt(np.where(np.arange(count) == 0, 1, 2) / num_mels)[:, None]
    return spectra @ turns.T


def noise(num_samples, seed=0):
    return np.random.default_rng(seed).normal(0, 3000, num_samples).astype(np.int16)


@pytest.mark.parametrize(
    "config",
    [
        AudioConfig(),
        AudioConfig(window_seconds=0.0251, hop_seconds=0.0125, num_mels=20, num_mfcc=13),
        AudioConfig(window_seconds=0.032, num_mels=128),
    ],
)
def test_spectra_are_their_formulas(config):
    waveform = Waveform(noise(3210), seconds=1.25)
    wanted_seconds, wanted = slow_log_mel(waveform.samples, config)
    seconds, spectra = log_mel(waveform, config)
    assert spectra.dtype == np.float32
    assert spectra.shape == (len(wanted_seconds), config.num_mels)
    np.testing.assert_allclose(seconds, 1.25 + wanted_seconds, atol=1e-12)
    np.testing.assert_allclose(spectra, wanted, atol=1e-5)
    seconds, cepstra = mfcc(waveform, config)
    assert cepstra.shape == (len(wanted_seconds), config.num_mfcc)
    np.testing.assert_allclose(cepstra, slow_mfcc(wanted, config.num_mfcc), atol=1e-4)


def test_blocks_leave_no_seam(monkeypatch):
    waveform = Waveform(noise(9000), seconds=0.0)
    whole = log_mel(waveform, AudioConfig())
    monkeypatch.setattr(audio, "_BLOCK_ITEMS", 7)
    for one, other in zip(whole, log_mel(waveform, AudioConfig()), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("hz", [200, 1000, 5000])
def test_a_tone_is_loudest_in_the_band_around_it(hz):
    tone = (9000 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)).astype(np.int16)
    _, spectra = log_mel(Waveform(tone, 0.0), AudioConfig())
    edges = slaney_hz(np.linspace(0, TOP_MEL, 66))
    (loudest,) = set(spectra.argmax(axis=1).tolist())
    assert edges[loudest] < hz < edges[loudest + 2]


def test_a_click_is_loudest_in_the_item_at_its_time(mux):
    waveform = read(mux("a.mp4", "aac", picture_at=0.0))
    seconds, spectra = log_mel(waveform, AudioConfig())
    assert seconds[spectra.sum(axis=1).argmax()] == pytest.approx(1.0025, abs=0.006)
    assert seconds[0] == pytest.approx(0.0125)
    np.testing.assert_allclose(np.diff(seconds), 0.01)


def test_silence_is_the_floor():
    _, spectra = log_mel(Waveform(np.zeros(800, np.int16), 0.0), AudioConfig())
    np.testing.assert_allclose(spectra, np.log(1e-10), rtol=1e-6)


def test_sound_shorter_than_a_window_is_refused():
    for make in (log_mel, mfcc):
        with pytest.raises(DecodeError, match=r"0\.0249 s of sound, less than .* 0\.025$"):
            make(Waveform(noise(399), 0.0), AudioConfig())
        assert len(make(Waveform(noise(400), 0.0), AudioConfig())[0]) == 1


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(SettingsError, match=r"num_mfcc 40 is above num_mels 20"):
        build(AudioConfig, {"num_mels": 20})
    with pytest.raises(SettingsError, match=r"num_mels 300 makes bands of 20\.0 Hz.* at most 192 "):
        build(AudioConfig, {"num_mels": 300})


@given(st.integers(40, 512), st.sampled_from([0.008, 0.016, 0.025, 0.05, 0.1]))
def test_no_accepted_settings_leave_a_band_empty(num_mels, window_seconds):
    try:
        config = build(AudioConfig, {"num_mels": num_mels, "window_seconds": window_seconds})
    except SettingsError:
        return
    edges = slaney_hz(np.linspace(0, TOP_MEL, num_mels + 2))
    hz = np.arange(config.fft_size // 2 + 1) * RATE / config.fft_size
    assert all(
        ((hz > low) & (hz < high)).any() for low, high in zip(edges, edges[2:], strict=False)
    )


@pytest.mark.parametrize(("name", "codec"), [("a.wav", "pcm_s16le"), ("a.mka", "pcm_s16le")])
def test_the_last_tenth_of_a_second_is_not_lost_without_a_word(tmp_path, name, codec):
    path = tmp_path / name
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=16000, layout="mono")
        for number in range(20):
            piece = av.AudioFrame.from_ndarray(
                np.full((1, 1600), number, np.int16), format="s16", layout="mono"
            )
            piece.sample_rate, piece.pts, piece.time_base = 16000, 1600 * number, Fraction(1, 16000)
            file.mux(stream.encode(piece))
        file.mux(stream.encode())
    assert len(read_waveform(path, max_seconds=9.0).samples) == 32000
    content = path.read_bytes()
    for lacking in (1, 400, 2000):
        path.write_bytes(content[:-lacking])
        with pytest.raises(DecodeError, match="is cut"):
            read_waveform(path, max_seconds=9.0)
