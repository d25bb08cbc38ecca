"""Shows test recordings by the features of the network: a table, a plot and sentences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from pdray.atomic import write_text
from pdray.data.batches.settings import StreamConfig
from pdray.data.cohort.manifest import Recording
from pdray.errors import PdrayError
from pdray.explain.embedding import embed, embedding_picture, separation, separation_sentence
from pdray.explain.held_out import HeldOut
from pdray.explain.severity import SEVERITIES, Readout, read_out
from pdray.tracking.numbering import without_ids
from pdray.tracking.scorings import note_study
from pdray.training.estimators.probe import describe_probe
from pdray.training.frozen.features import extract_features, region_vector
from pdray.training.settings import FitConfig


def no_maps(config: FitConfig) -> tuple[str, str]:
    """Return why a winner has no maps, and which features are shown instead."""
    name = config.model.name
    if config.entry.keeps_weights:
        reads = "needs regions as a second input" if config.beside else "declares no maps"
        return f"{name} {reads}", f"input features of the last layer of {name}"
    network = f"frozen {config.network.name} ({config.pretrained or 'random weights'})"
    why = f"the {network} of the {name} was not trained on these classes"
    return why, f"features of the {network}"


def place(held: HeldOut, folder: Path, device: torch.device) -> str:
    """Write ``embedding.csv`` and ``embedding.png``; return how features relate to severity.

    Args:
        held: The study; all its test recordings are shown, even if only some are mapped.
        folder: Folder of the files.
        device: Device of a network that has maps.

    Returns:
        The separation of the classes, and one line for each known severity.
    """
    features, facts = _features(held, held.rows, device)
    readouts, words = _readouts(held, features, facts, device)
    sentence = separation_sentence(separation(features, facts), facts)
    embedding = embed(features)
    places = {"pca": embedding.pca, "tsne": embedding.tsne}
    columns = {
        f"{kind}_{axis + 1}": plane[:, axis]
        for kind, plane in places.items()
        if plane is not None
        for axis in (0, 1)
    }
    columns |= {f"readout_{one.field}": one.values for one in readouts}
    table = facts.assign(**columns).dropna(axis=1, how="all")
    write_text(folder / "embedding.csv", table.to_csv(index=False))
    picture = folder / "embedding.png"
    told = without_ids(facts, held.studied.study)  # its legend tells subjects apart
    embedding_picture(
        embedding, told, picture, readouts=readouts, title=sentence, synthetic=held.synthetic
    )
    return "\n".join([sentence, *words])


def _readouts(
    held: HeldOut, features: NDArray[np.float32], facts: pd.DataFrame, device: torch.device
) -> tuple[list[Readout], list[str]]:
    """Return the severities that can be predicted, and a sentence for each known one."""
    known = [field for field in SEVERITIES if facts[field].notna().any()]
    try:
        learnt = _features(held, held.learnt, device)
        note_study(held.studied.output, held.studied.study, job="explain", model="winner")
    except (PdrayError, OSError) as error:  # still show the test recordings
        return [], [f"severity was not predicted: {error}"]
    found = {field: read_out(field, learnt, (features, facts)) for field in known}
    readouts = [one for one in found.values() if isinstance(one, Readout)]
    lacking = {
        field: f"{SEVERITIES[field]} was not predicted: {one}" for field, one in found.items()
    }
    return readouts, [
        one.sentence if isinstance(one, Readout) else lacking[field] for field, one in found.items()
    ]


def _features(
    held: HeldOut, rows: Sequence[Recording], device: torch.device
) -> tuple[NDArray[np.float32], pd.DataFrame]:
    """Return (N, D) features of recordings, and N rows of facts about them."""
    recordings = [held.rated(row, *held.config.beside) for row in rows]
    entry = held.config.entry
    if entry.keeps_weights and not entry.beside:
        # Read in this process, however the study read: no cluster is started for this.
        config = held.config.model_copy(update={"stream": StreamConfig(reader="local")})
        features = extract_features(held.network, recordings, config, device=device).vectors
    elif entry.beside:
        network: Any = held.network
        features = np.stack([region_vector(network, one, held.config) for one in recordings])
    else:
        frozen = [describe_probe(one, held.config) for one in recordings]
        features = np.stack(frozen).astype(np.float32)
    facts = pd.DataFrame(
        [
            {"recording_id": one.recording_id, "subject_id": one.subject_id,
             "item": one.item, "target": one.target, "synthetic": held.synthetic,
             **{field: getattr(row, field, None) for field in SEVERITIES}}
            for one, row in zip(recordings, rows, strict=True)
        ]
    )  # fmt: skip
    return features, facts
