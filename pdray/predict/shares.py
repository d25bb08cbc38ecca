"""Class probabilities of new recordings by the models that did not learn from their subjects."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pdray.address import joined_address
from pdray.command import Say
from pdray.data.cohort.manifest import Recording
from pdray.display import step
from pdray.predict.learning import training_rows
from pdray.predict.models import Model
from pdray.predict.new_recordings import New, add_to_store, none_readable
from pdray.predict.parts import Place, parts_folder, run_models
from pdray.predict.studied import Studied

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Shares:
    """Class probabilities of new recordings.

    Attributes:
        found: Recordings that can be read.
        failures: Reason by id of those that cannot.
        by_id: (M, K) probabilities: of each of the M models that did not learn from the
            subject. A recording that none can grade is not there.
    """

    found: Sequence[New]
    failures: Mapping[str, str]
    by_id: Mapping[str, Floats]


@contextmanager
def opened_place(
    output: Path, asked: str | None, studied: Studied, device: torch.device
) -> Iterator[Place]:
    """Join the cluster of the settings, if there is one, and keep finished parts beside a file.

    They are removed if nothing fails.

    Args:
        output: The file that will be written.
        asked: Setting ``resources.address``.
        studied: The study, whose folder and store every node must read.
        device: Device of a network in this process.

    Raises:
        ClusterError: If the cluster cannot be reached, or a node cannot read the study.
    """
    torch.set_num_threads(studied.threads)
    parts = parts_folder(output)
    if joined_address(asked) is None:
        yield Place(device, parts=parts)
    else:
        from pdray.cluster import check_shared, joined_cluster

        with joined_cluster(asked):
            check_shared([studied.study.folder, studied.store.root])
            yield Place(device, is_cluster=True, parts=parts)
    shutil.rmtree(parts, ignore_errors=True)


def compute_shares(
    studied: Studied,
    models: Sequence[Model],
    rows: Sequence[Recording],
    place: Place,
    say: Say,
    *,
    other_people: bool = False,
) -> Shares:
    """Decode new recordings, and run all models that did not learn from the subject of each.

    Args:
        studied: The study.
        models: From :func:`~pdray.predict.models.find_models`.
        rows: The recordings.
        place: Where models run.
        say: Prints a line.
        other_people: Whether an equal subject id is another person.

    Raises:
        PdrayError: If no recording can be read, weights cannot, or intensities are not of the
            network that measured those of the study.
    """
    if "intensities" in studied.config.sees:
        from pdray.data.face.intensity_checks import check_intensities

        check_intensities([*training_rows(studied), *rows])
    with step("decoding recordings") as now:
        progress = now.counting(say, "frames     {} recordings")
        found, failures = add_to_store(
            studied, rows, place, other_people=other_people, progress=progress
        )
        found, failures = _readable(studied, models[0], found, failures, place)
    if not found:
        raise none_readable(studied, failures)
    unseen = {
        model: [one.rated for one in found if one.subject not in model.learnt] for model in models
    }
    with step("predicting") as now:
        told = now.counting(say, "predicted  {} parts")
        tables = run_models(studied, "probabilities", [*unseen.items()], place, told)
    shares: dict[str, list[Floats]] = {}
    for some, table in zip(unseen.values(), tables, strict=True):
        for one, row in zip(some, table, strict=True):
            shares.setdefault(one.recording_id, []).append(row)
    return Shares(found, failures, {name: np.stack(some) for name, some in shares.items()})


def _readable(
    studied: Studied,
    model: Model,
    found: Sequence[New],
    failures: Mapping[str, str],
    place: Place,
) -> tuple[list[New], dict[str, str]]:
    """Leave out the recordings that the store has and the model cannot read; add the reasons."""
    asked = [(model, [one.rated for one in found])]
    is_cluster = place.is_cluster and studied.learns_at_once  # networks count frames alone
    where = replace(place, parts=None, is_cluster=is_cluster)
    (reasons,) = run_models(studied, "faults", asked, where)
    told = dict(zip((one.row.recording_id for one in found), reasons.tolist(), strict=True))
    kept = [one for one in found if not told[one.row.recording_id]]
    return kept, {**failures, **{name: reason for name, reason in told.items() if reason}}
