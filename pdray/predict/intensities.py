"""Measures how much of each posed expression the videos of a visit show, by a trained network.

It reads the recordings of the posed expressions of a manifest. The cosines of each video with the
phrases of the network, and all that they depend on, become a file of intensities per visit
(:mod:`pdray.data.face.intensities`), which a new manifest names. A person that the network learnt
from is refused, by id or by the content of a file. A video that is absent, or cannot be read, is
absent in the file, not zero.

    <output>                              manifest with one row per visit, item ``expressions``
    <output without .csv>.intensities/    files of intensities
    <output without .csv>.table.csv       log intensities, one row per video
    <output without .csv>.lacks.csv       videos that are absent, and the reasons
    <output without .csv>.report.txt      what was measured, as text
"""

import shutil
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.command import Say
from pdray.config import require_writable
from pdray.data.cohort.digests import SOURCES, Digests
from pdray.data.cohort.spelling import look_alike_form
from pdray.data.face.intensities import text_digest
from pdray.data.store.frame_store import FrameStore
from pdray.display import step
from pdray.errors import StudyError
from pdray.models.networks.expression_clip import ExpressionClip
from pdray.predict.intensity_files import Video, measured_visits, write_measured
from pdray.predict.intensity_settings import ExtractIntensitiesConfig
from pdray.predict.learnt import Learnt, contents_of, find_learnt, refuse_learnt
from pdray.predict.models import Model, find_models, read_network
from pdray.predict.new_recordings import New, add_to_store, none_readable
from pdray.predict.parts import Place, run_models
from pdray.predict.phrase_classes import class_expressions
from pdray.predict.posed_visits import PosedVisit, find_visits
from pdray.predict.studied import Studied, open_study
from pdray.training.frozen.keep import keep_frozen, read_vector
from pdray.training.frozen.vectors import FrozenFeatures

_CPU = torch.device("cpu")
Floats = NDArray[np.float64]


def extract_intensities(
    config: ExtractIntensitiesConfig, say: Say, *, device: torch.device = _CPU
) -> str:
    """Measure the visits of a manifest and write files of intensities and their manifest.

    Frames are decoded into a private folder beside the output, which is removed at the end; after
    an interruption it serves the next run.

    Args:
        config: Checked settings.
        say: Prints a line of progress.
        device: Device of the network.

    Returns:
        What was done, as text.

    Raises:
        PdrayError: If the study, its network or the manifest cannot be used, a visit is of a
            person that the network learnt from, no video can be read, or a file cannot be written.
    """
    require_writable(config.output.parent, key="output")
    studied = open_study(config.study)
    classes = class_expressions(studied, config.expressions)
    (model,) = find_models(studied, config.model)
    expressions = _chosen(classes, config)
    visits, columns = find_visits(config.manifest, expressions, config.repeats)
    frames = config.output.with_name(f".{config.output.name}.frames")
    learnt = find_learnt(studied, model)
    digests = Digests(frames / SOURCES, writes=False)
    with step("comparing with whom the network learnt from"):
        contents = contents_of(visits, digests)
        refuse_learnt(visits, learnt, contents, other_people=config.other_people)
    frames.mkdir(mode=0o700, exist_ok=True)
    digests.keep()
    store = FrameStore(frames, studied.store.recipe)
    place = Place(device)
    found, failures = _decode(replace(studied, store=store), model, visits, (place, say))
    network = read_network(studied, model).to(device)
    assert isinstance(network, ExpressionClip)
    frozen = FrozenFeatures(network, studied.config)
    places = [classes.index(one) for one in expressions]
    with step("measuring") as now:
        progress = now.counting(say, "measured   {} recordings")
        videos = {}
        for number, one in enumerate(found, start=1):
            name = one.row.recording_id
            vector = read_vector(keep_frozen(frozen, one.rated))
            cosines = _cosines(network, vector, device)[places]
            videos[name] = Video(cosines, vector, one.seconds, contents[name])
            progress(number, len(found))
    shared = _shared(network, learnt, (expressions, places), config) | {
        "num_frames": studied.config.snippet.num_frames, "weights": frozen.decides["weights"],
    }  # fmt: skip
    measured = measured_visits(visits, videos, failures, shared)
    is_synthetic = studied.is_synthetic or any(one.row.is_synthetic for one in found)
    words = write_measured(measured, columns, config, is_synthetic=is_synthetic)
    shutil.rmtree(frames, ignore_errors=True)
    return words


def _chosen(classes: Sequence[str], config: ExtractIntensitiesConfig) -> tuple[str, ...]:
    chosen = config.items or tuple(classes)
    unknown = [one for one in chosen if one not in classes]
    if unknown:
        raise StudyError(
            f"items: the network of {config.study.name} has no phrase of {', '.join(unknown)}; "
            f"choose of {', '.join(classes)}"
        )
    return chosen


def _decode(
    studied: Studied, model: Model, visits: Sequence[PosedVisit], how: tuple[Place, Say]
) -> tuple[list[New], dict[str, str]]:
    """Return the recordings that the network can read, and the reasons by id of the others."""
    place, say = how
    rows = [one for visit in visits for one in visit.recordings]
    with step("decoding recordings") as now:
        progress = now.counting(say, "frames     {} recordings")
        found, failures = add_to_store(studied, rows, place, other_people=True, progress=progress)
    (reasons,) = run_models(studied, "faults", [(model, [one.rated for one in found])], place)
    told = dict(zip((one.row.recording_id for one in found), reasons.tolist(), strict=True))
    failures |= {name: why for name, why in told.items() if why}
    kept = [one for one in found if not told[one.row.recording_id]]
    if not kept:
        raise none_readable(studied, failures)
    return kept, failures


def _cosines(network: ExpressionClip, vector: Floats, device: torch.device) -> Floats:
    """Return the (K,) cosines of the features (E,) of a recording with all phrases."""
    with torch.inference_mode():
        found_1K = network.cosines(torch.from_numpy(vector)[None].to(device))  # noqa: N806  # axes
    return found_1K[0].cpu().numpy().astype(np.float64).clip(-1, 1)


def _shared(
    network: ExpressionClip,
    learnt: Learnt,
    chosen: tuple[Sequence[str], Sequence[int]],
    config: ExtractIntensitiesConfig,
) -> dict[str, Any]:
    """Return the fields of intensities that all visits share."""
    expressions, places = chosen
    subjects = {text_digest(look_alike_form(one)) for one in learnt.subjects}
    return {
        "items": tuple(f"expression_{one}" for one in expressions),
        "classes": tuple(expressions),
        "phrases": tuple(network.text.phrases[k] for k in places),
        "tau": network.tau,
        "learnt_subjects": tuple(sorted(subjects)),
        "learnt_contents": tuple(sorted(learnt.files)),
        "other_people": config.other_people,
    }
