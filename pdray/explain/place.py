"""A study's test recordings among the features of its network: table, picture and a sentence."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pdray.atomic import write_text
from pdray.data.batches.settings import StreamConfig
from pdray.explain.embedding import embed, embedding_picture, separation, separation_sentence
from pdray.explain.held_out import HeldOut
from pdray.training.estimators.probe import describe_probe
from pdray.training.frozen.features import extract_features, region_vector
from pdray.training.settings import FitConfig


def no_maps(config: FitConfig) -> tuple[str, str, str]:
    """Say why a winner has no maps, for a line of progress, a fault and the report."""
    if config.entry.keeps_weights:
        name = config.model.name
        reads = "is given regions beside pictures" if config.beside else "declares no maps"
        why = f"{name} {reads}"
        return why, f"there are no maps: {why}", f"features that the head of {name} reads; no maps"
    model, name, weights = (
        config.model.name,
        config.network.name,
        str(config.pretrained or "random weights"),
    )
    return (
        f"the {name} under the {model} is frozen ({weights})",
        f"a {model} has no maps: its {name} is frozen and knows nothing of the classes",
        f"features of the frozen {name} ({weights}); a {model} has no maps",
    )


def place(held: HeldOut, folder: Path, device: torch.device) -> str:
    """Write ``embedding.csv`` and ``embedding.png``; return how far the classes are apart.

    Args:
        held: The study; all its test recordings are placed, whatever is mapped.
        folder: Where the files go.
        device: Where a network that has maps computes.
    """
    recordings = [held.rated(row, *held.config.beside) for row in held.rows]
    entry = held.config.entry
    if entry.keeps_weights and not entry.beside:
        # Here, whatever the study was read with: no cluster is started for this.
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
             "item": one.item, "target": one.target, "synthetic": held.synthetic}
            for one in recordings
        ]
    )  # fmt: skip
    sentence = separation_sentence(separation(features, facts), facts)
    embedding = embed(features)
    places = {"pca": embedding.pca, "tsne": embedding.tsne}
    columns = {
        f"{kind}_{axis + 1}": plane[:, axis]
        for kind, plane in places.items()
        if plane is not None
        for axis in (0, 1)
    }
    write_text(folder / "embedding.csv", facts.assign(**columns).to_csv(index=False))
    picture = folder / "embedding.png"
    embedding_picture(embedding, facts, picture, title=sentence, synthetic=held.synthetic)
    return sentence
