"""The linear baseline of the learning benchmark: logistic regression on a spectrum of movement.

Its input is the log spectrum of the mean |frame difference| of a whole recording, without any
shape. A network that scores higher uses more than the rhythm of the movement.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pdray.data.cohort.rated import FoldSides, RatedRecording
from pdray.data.store.entry import Entry
from pdray.evaluation.predictions import Origin, by_recording, predictions_table

# Mean power in bands of 0.5 Hz, floored well under what a still hand shows.
BAND_HZ = 0.5
HIGHEST_HZ = 12.0
POWER_FLOOR = 1e-4  # [grey levels^2]
SPECTRUM_FRAMES = 256  # differences, zero-padded
INVERSE_PENALTY = 1.0


def linear_control(
    recordings: Sequence[RatedRecording], sides: Sequence[FoldSides], *, fps: int
) -> pd.DataFrame:
    """Score logistic regression on the spectrum, fold by fold; return one row per recording."""
    entries = [Entry(recording.stored["rgb"]) for recording in recordings if recording.stored]
    clips = (entry.read(np.arange(len(entry))) for entry in entries)
    spectra = np.stack([log_spectrum(clip, fps=fps) for clip in clips])
    classes = np.array([recording.target for recording in recordings])
    tables = []
    for outer_fold, side in enumerate(sides):
        learnt, held = list(side.training), list(side.evaluation)
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=5000)
        )
        probability = model.fit(spectra[learnt], classes[learnt]).predict_proba(spectra[held])
        rows = {
            name: [getattr(recordings[i], name) for i in held]
            for name in ("recording_id", "subject_id", "item", "grade", "target")
        }
        logits = np.log(probability.clip(1e-12))
        rows["snippet"] = [0] * len(held)
        tables.append(by_recording(predictions_table(origin(0, outer_fold), rows, logits)))
    return pd.concat(tables, ignore_index=True)


def log_spectrum(frames: NDArray[np.uint8], *, fps: int) -> NDArray[np.float64]:
    """Return the log power of the mean |frame difference| in bands of ``BAND_HZ``.

    Args:
        frames: (N, H, W, 3) of a whole recording, N at least 3.
        fps: Frames a second.

    Returns:
        (num_bands,) float64, natural log of grey levels squared.
    """
    activity = np.abs(np.diff(frames.astype(np.float32), axis=0)).mean(axis=(1, 2, 3))
    activity = activity.astype(np.float64) - activity.mean()
    power = np.abs(np.fft.rfft(activity, SPECTRUM_FRAMES)) ** 2 / len(activity)
    frequency_hz = np.fft.rfftfreq(SPECTRUM_FRAMES, 1 / fps)
    edges_hz = np.arange(0, HIGHEST_HZ + BAND_HZ, BAND_HZ)
    band = np.digitize(frequency_hz, edges_hz) - 1
    means = [power[band == number].mean() for number in range(len(edges_hz) - 1)]
    logs: NDArray[np.float64] = np.log(np.asarray(means) + POWER_FLOOR)
    return logs


def origin(seed: int, outer_fold: int) -> Origin:
    """Return the key columns of the predictions of one held-out fold."""
    return Origin(
        study="learning", trial=0, fold=-1, epoch=0, seed=seed, outer_fold=outer_fold, split="test"
    )
