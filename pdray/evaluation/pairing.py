"""Brings the predictions of several models to the same rows, or says why they cannot be compared.

A row is one recording; of repeated folds, one recording in one repetition. A *group* is a set of
rows that one network of each model predicted: only rows of one group can be ranked together.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pdray.errors import StudyError, refuse
from pdray.evaluation.predictions import by_recording, num_classes, probabilities

NETWORK = ("seed", "outer_fold", "fold", "trial", "epoch")
"""Columns by which networks of one model are told apart."""
_ROW = ["repetition", "recording_id"]
_FACTS = {"subject_id": "another subject", "target": "another class"}
_HEADLINE = "the predictions cannot be compared"


@dataclass(frozen=True)
class Predicted:
    """One model that is compared.

    Attributes:
        name: Its name in the report.
        table: Its predictions table, of held-out rows.
        manifest: Digest of the manifest; None if unknown.
        cuts: How grades became classes, as text; None if unknown.
        synthetic: Whether its recordings are SYNTHETIC.
    """

    name: str
    table: pd.DataFrame
    manifest: str | None = None
    cuts: str | None = None
    synthetic: bool = False


@dataclass(frozen=True)
class Paired:
    """Predictions of several models on the same rows.

    Attributes:
        rows: N rows, sorted by repetition and recording: ``repetition``, ``recording_id``,
            ``subject_id``, ``item``, ``target`` and ``group`` (int, from 0).
        shares: (N, K) class probabilities of each model, by name.
        same_folds: Whether one network of every model predicted the same rows, so that the
            networks of a group had the same training subjects.
        notes: What was cut or differs, in sentences.
        digest: First 12 digits of the SHA-256 digest of the rows and groups.
    """

    rows: pd.DataFrame
    shares: Mapping[str, NDArray[np.float64]]
    same_folds: bool
    notes: tuple[str, ...]
    digest: str

    @property
    def num_groups(self) -> int:
        """Number of groups; 1 of a single held-out set."""
        return int(self.rows["group"].nunique())

    @property
    def people(self) -> str:
        """How many recordings of how many subjects there are, in words."""
        again = int(self.rows["repetition"].max()) + 1
        times = f", scored {again} times each at most," if again > 1 else ""
        return (
            f"{self.rows['recording_id'].nunique()} recordings{times} of "
            f"{self.rows['subject_id'].nunique()} subjects"
        )

    def table(self, name: str) -> pd.DataFrame:
        """Return the rows of one model as a table of scores: one row per unit, with its group."""
        shares = self.shares[name]
        columns = {f"probability_{k}": shares[:, k] for k in range(shares.shape[1])}
        network = {"fold": self.rows["group"], "seed": self.rows["repetition"]}
        return self.rows.assign(**network, **columns)


def pair(models: Sequence[Predicted], *, common_rows: bool = False) -> Paired:
    """Bring models to the same rows.

    Args:
        models: At least two, with different names.
        common_rows: Whether models that were scored on other rows or folds, or with another
            manifest, are cut to the rows that all have; what was cut stands in the notes.

    Raises:
        StudyError: If they differ in their classes or subjects, or (without ``common_rows``) in
            their rows, folds or manifests; lists every pair that does, with the counts.
    """
    tables = {one.name: _by_row(one) for one in models}
    faults = [fault for a, b in combinations(models, 2) for fault in _contradictions(a, b, tables)]
    refuse(faults, StudyError, _HEADLINE)
    others = [fault for a, b in combinations(models, 2) for fault in _differences(a, b, tables)]
    if not common_rows:
        refuse([f"{one}; {_ways_out(one)}" for one in others], StudyError, _HEADLINE)
    kept = set.intersection(*(set(table.index) for table in tables.values()))
    notes = [f"cut to the {len(kept)} rows that all models have: {one}" for one in others]
    index = sorted(kept)
    tables = {name: table.loc[index] for name, table in tables.items()}
    rows, same_folds = _grouped(tables)
    if not same_folds:
        notes.append(
            "the models were trained on different subjects, so a difference may come from those"
        )
    shares = {name: probabilities(table) for name, table in tables.items()}
    return Paired(rows, shares, same_folds, tuple(notes), _digest(rows))


def _by_row(model: Predicted) -> pd.DataFrame:
    """Return one row per repetition and recording, with the network that predicted it."""
    table = by_recording(model.table).sort_values([*NETWORK, "recording_id"])
    table["repetition"] = table.groupby("recording_id").cumcount()
    table["network"] = table.groupby(list(NETWORK)).ngroup()
    return table.set_index(_ROW).sort_index()


def _contradictions(a: Predicted, b: Predicted, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return what makes a comparison of two models impossible."""
    first, second = tables[a.name], tables[b.name]
    between = f"{a.name} and {b.name}"
    classes = num_classes(first), num_classes(second)
    if classes[0] != classes[1]:
        return [
            f"{between} predict {classes[0]} and {classes[1]} classes; compare models of the same "
            "data.grade_cuts"
        ]
    if a.cuts is not None and b.cuts is not None and a.cuts != b.cuts:
        return [
            f"{between} have data.grade_cuts {a.cuts} and {b.cuts}, so their classes differ in "
            "meaning; compare models of the same data.grade_cuts"
        ]
    common = first.index.intersection(second.index)
    if common.empty:
        return [
            f"{between} have no held-out recording in common ({_people(first)} and "
            f"{_people(second)}): they are of different cohorts or test sets; compare models that "
            "were scored on the same recordings"
        ]
    faults = []
    for fact, words in _FACTS.items():
        differ = (first.loc[common, fact] != second.loc[common, fact]).to_numpy()
        if differ.any():
            at = common[differ][0]
            faults.append(
                f"{between} name {words} for {int(differ.sum())} of {len(common)} recordings, such "
                f"as {at[1]}: {first.loc[at, fact]} and {second.loc[at, fact]}; compare models of "
                "one manifest with the same data.grade_cuts"
            )
    return faults


def _differences(a: Predicted, b: Predicted, tables: Mapping[str, pd.DataFrame]) -> list[str]:
    """Return in which rows, folds or manifests two models differ."""
    first, second = tables[a.name], tables[b.name]
    faults = []
    if a.manifest is not None and b.manifest is not None and a.manifest != b.manifest:
        faults.append(
            f"{a.name} and {b.name} have different manifests (digests {a.manifest[:12]} and "
            f"{b.manifest[:12]})"
        )
    common = first.index.intersection(second.index)
    only = len(first) - len(common), len(second) - len(common)
    if any(only):
        faults.append(
            f"{a.name} and {b.name} were scored on different rows: {len(common)} in both, "
            f"{only[0]} only in {a.name}, {only[1]} only in {b.name}"
        )
    elif not _same_partition(first["network"], second["network"]):
        faults.append(
            f"{a.name} and {b.name} have different folds: the same {len(common)} rows lie in "
            f"{first['network'].nunique()} and {second['network'].nunique()} folds of other members"
        )
    return faults


def _ways_out(fault: str) -> str:
    if "different folds" in fault:
        return (
            "run both with the same folds.*, or set compare.common_rows=true to compare models "
            "that were trained on different subjects"
        )
    return (
        "run both on one manifest with the same folds.*, or set compare.common_rows=true to "
        "compare on the common rows"
    )


def _people(table: pd.DataFrame) -> str:
    return f"{len(table)} recordings of {table['subject_id'].nunique()} subjects"


def _same_partition(first: pd.Series, second: pd.Series) -> bool:
    """Return whether two series divide the same index alike, whatever their values are called."""
    together = pd.DataFrame({"first": first, "second": second}).drop_duplicates()
    return len(together) == first.nunique() == second.nunique()


def _grouped(tables: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, bool]:
    """Return the common rows with their group, and whether the models have the same folds."""
    networks = pd.DataFrame({name: table["network"] for name, table in tables.items()})
    first = next(iter(tables.values()))
    rows = first[["subject_id", "item", "target"]].reset_index()
    rows["group"] = pd.factorize(pd.MultiIndex.from_frame(networks))[0]
    return rows, all(rows["group"].nunique() == networks[name].nunique() for name in networks)


def _digest(rows: pd.DataFrame) -> str:
    text = rows[[*_ROW, "subject_id", "target", "group"]].to_csv(index=False, header=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
