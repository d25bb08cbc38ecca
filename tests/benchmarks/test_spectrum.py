import numpy as np

from benchmarks.spectrum import log_spectrum


def test_the_spectrum_peaks_at_twice_the_rate_of_the_movement() -> None:
    t = np.arange(100) / 25
    level = 100 + 50 * np.sin(2 * np.pi * 1.6 * t)
    frames = np.broadcast_to(level[:, None, None, None], (100, 4, 4, 3)).astype(np.uint8)
    spectrum = log_spectrum(frames, fps=25)
    assert len(spectrum) == 24
    assert int(spectrum.argmax()) * 0.5 == 3.0
