"""Predictions table: one row per scored snippet; every number of a report comes from it.

A table is a pandas DataFrame with the columns of :data:`COLUMNS`, facts of the manifest if it has
them (:data:`FACTS` as text and ``rater_1``, ... as float64; empty where unknown),
:data:`WITHHELD_BELOW` (float64) if the model withholds predictions, then ``logit_0..K-1`` and
``probability_0..K-1`` (float64). Training writes it as Parquet, and evaluation reads it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from pdray.atomic import replacing
from pdray.data.cohort.rated import FACTS
from pdray.errors import StudyError, refuse
from pdray.evaluation.statistics.scaled import softmax

KEY = (
    "study",
    "trial",
    "outer_fold",
    "fold",
    "repeat",
    "seed",
    "epoch",
    "recording_id",
    "snippet",
)
TEXTS = ("study", "split", "recording_id", "subject_id", "item")
COUNTS = ("trial", "outer_fold", "fold", "repeat", "seed", "epoch", "snippet", "grade", "target")
ROW_COLUMNS = ("recording_id", "snippet", "subject_id", "item", "grade", "target")
COLUMNS = (*KEY[:7], "split", *ROW_COLUMNS)

TRANSLATIONS = "translations.parquet"
"""Table that a translator, which predicts no class, leaves in the place of predictions."""

RATER = re.compile(r"rater_[1-9][0-9]*")
WITHHELD_BELOW = "withheld_below"
"""Column of a model that withholds predictions: the highest class probability of a row below which
its prediction is withheld."""

RECORDING_KEY = ("study", "trial", "outer_fold", "fold", "seed", "epoch", "recording_id")
_FACTS = ("split", "subject_id", "item", "grade", "target")

# A softmax in float64 sums to 1 within 1e-15; other programs may write tables from float32.
_SUM_TOLERANCE = 1e-5


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Origin of the rows of a table: the part of the key that all of them share.

    Attributes:
        study: Name of the study.
        trial: Number of the trial.
        outer_fold: Number of the held-out test set, from 0.
        fold: Inner fold, from 0; -1 for a refit on all development subjects.
        repeat: Repetition of the same evaluation, from 0.
        seed: Seed of the training.
        epoch: Epoch of the weights, from 0.
        split: "val" for validation subjects, "test" for test subjects.
    """

    study: str
    trial: int
    fold: int
    epoch: int
    seed: int = 0
    outer_fold: int = 0
    repeat: int = 0
    split: Literal["val", "test"] = "val"


def predictions_table(
    origin: Origin,
    rows: Mapping[str, Sequence[Any]],
    logits: NDArray[np.floating[Any]],
    probability: NDArray[np.floating[Any]] | None = None,
) -> pd.DataFrame:
    """Build and check a table.

    Args:
        origin: Part of the key that all rows share.
        rows: N entries each of ``recording_id``, ``snippet``, ``subject_id``, ``item``, ``grade``
            (the rater's) and ``target`` (class 0..K-1), and of any optional facts.
        logits: (N, K) float, any finite number.
        probability: (N, K) float in 0..1, each row sums to 1; None: the softmax of the logits.

    Returns:
        N rows with :data:`COLUMNS`, the optional facts, logits and probabilities.

    Raises:
        StudyError: If :func:`check_predictions` finds a fault.
    """
    values = np.asarray(logits, dtype=np.float64)
    if probability is None:
        probability = softmax(values)
    columns: dict[str, Any] = {**asdict(origin), **{name: rows[name] for name in ROW_COLUMNS}}
    table = pd.DataFrame({name: columns[name] for name in COLUMNS}, index=range(len(values)))
    table = table.astype({**dict.fromkeys(TEXTS, "str"), **dict.fromkeys(COUNTS, "int64")})
    for name in optional_facts(rows):
        table[name] = pd.Series(list(rows[name]), dtype="str" if name in FACTS else "float64")
    numbers = {f"logit_{k}": values[:, k] for k in range(values.shape[1])}
    for k in range(values.shape[1]):
        numbers[f"probability_{k}"] = np.asarray(probability, dtype=np.float64)[:, k]
    table = pd.concat([table, pd.DataFrame(numbers)], axis=1)
    check_predictions(table)
    return table


def optional_facts(columns: Iterable[object]) -> list[str]:
    """Return the optional facts among the names of columns: texts, raters by number, threshold."""
    names = [str(name) for name in columns]
    raters = [name for name in names if RATER.fullmatch(name)]
    texts = [name for name in FACTS if name in names]
    raters.sort(key=lambda name: int(name.removeprefix("rater_")))
    return texts + raters + [name for name in names if name == WITHHELD_BELOW]


def num_classes(table: pd.DataFrame) -> int:
    """Return K, the number of ``probability_`` columns."""
    return sum(str(name).startswith("probability_") for name in table.columns)


def targets(table: pd.DataFrame) -> NDArray[np.int64]:
    """Return the (N,) int64 true classes."""
    return table["target"].to_numpy(dtype=np.int64)


def probabilities(table: pd.DataFrame) -> NDArray[np.float64]:
    """Return the (N, K) float64 class probabilities."""
    names = [f"probability_{k}" for k in range(num_classes(table))]
    return table[names].to_numpy(dtype=np.float64)


def by_recording(table: pd.DataFrame) -> pd.DataFrame:
    """Average the class probabilities of a recording over its snippets and repeats.

    Args:
        table: A predictions table.

    Returns:
        One row per (study, trial, outer fold, fold, seed, epoch, recording), sorted by them, with
        split, subject, item, grade, target, the optional facts, ``num_snippets`` and
        ``probability_0..K-1``. Logits are left out, since the mean probabilities do not follow from
        mean logits. An optional fact that only some rows of a recording have (an earlier version
        wrote the others) is that of the recording.

    Raises:
        StudyError: If two rows of a recording differ in a fact, such as the grade.
    """
    groups = table.groupby(list(RECORDING_KEY), sort=True)
    known = [*_FACTS, *optional_facts(table.columns)]
    kinds = groups[list(_FACTS)].nunique(dropna=False).join(groups[known[len(_FACTS) :]].nunique())
    torn = kinds.gt(1).any(axis=1)
    if torn.any():
        first = dict(zip(RECORDING_KEY, torn[torn].index[0], strict=True))
        facts = [name for name in known if kinds.loc[torn, name].iloc[0] > 1]
        raise StudyError(f"the predictions of {first} differ in {', '.join(facts)}")
    means = groups[[f"probability_{k}" for k in range(num_classes(table))]].mean()
    facts_of = groups[known].first()
    counts = groups.size().rename("num_snippets")
    return pd.concat([facts_of, counts, means], axis=1).reset_index()


def check_predictions(table: pd.DataFrame) -> None:
    """Refuse a table that is not a predictions table.

    Args:
        table: Result of :func:`predictions_table`, or the content of a Parquet file.

    Raises:
        StudyError: If there are missing columns, empty cells, repeated keys, numbers that are not
            finite, probabilities that do not sum to 1, or targets outside 0..K-1; lists all faults.
    """
    headline = "predictions table"
    classes = num_classes(table)
    wanted = (
        *COLUMNS,
        *(f"{kind}_{k}" for kind in ("logit", "probability") for k in range(classes)),
    )
    absent = [f"column '{name}' is missing" for name in wanted if name not in table.columns]
    if classes < 2:
        absent.append(f"there are {classes} probability columns, expected 2 or more")
    absent += [
        f"column '{name}' has {table[name].dtype} values, expected numbers: "
        + ("a probability" if name == WITHHELD_BELOW else "grades by a rater")
        for name in optional_facts(table.columns)
        if name not in FACTS and not pd.api.types.is_numeric_dtype(table[name])
    ]
    refuse(absent, StudyError, headline)
    refuse(_row_faults(table, classes), StudyError, headline)


def _row_faults(table: pd.DataFrame, classes: int) -> list[str]:
    faults = [
        f"column '{name}' has {int(table[name].isna().sum())} empty cells"
        for name in COLUMNS
        if table[name].isna().any()
    ]
    twice = table.duplicated(list(KEY))
    if twice.any():
        first = table.loc[twice, ["fold", "epoch", "recording_id", "snippet"]].iloc[0].to_dict()
        faults.append(f"{int(twice.sum())} rows repeat the key of another, the first is {first}")
    numbers = table[[f"{kind}_{k}" for kind in ("logit", "probability") for k in range(classes)]]
    wild = ~np.isfinite(numbers.to_numpy(dtype=np.float64)).all(axis=1)
    if wild.any():
        named = table.loc[wild, "recording_id"].iloc[0]
        faults.append(
            f"{int(wild.sum())} rows have numbers that are not finite, the first is recording "
            f"{named}"
        )
    shares = probabilities(table)
    off = ~wild & ((np.abs(shares.sum(axis=1) - 1) > _SUM_TOLERANCE) | (shares < 0).any(axis=1))
    if off.any():
        named, row = table.loc[off, "recording_id"].iloc[0], shares[off][0].tolist()
        faults.append(
            f"the probabilities of {int(off.sum())} rows do not sum to 1, the first is recording "
            f"{named}: {row}"
        )
    outside = ~table["target"].isin(range(classes))
    if outside.any():
        named, target = table.loc[outside, ["recording_id", "target"]].iloc[0]
        faults.append(f"recording {named}: target {target} is outside 0..{classes - 1}")
    return faults


def write_predictions(table: pd.DataFrame, path: Path) -> None:
    """Check a table and write it as Parquet, whole or not at all."""
    check_predictions(table)
    with replacing(path) as temporary:
        table.to_parquet(temporary, index=False)


def read_predictions(path: Path | str) -> pd.DataFrame:
    """Read and check a predictions table.

    Args:
        path: ``predictions.parquet`` of a trial or of a study's winner.

    Returns:
        One row per scored snippet: study, trial, fold, epoch, recording, subject, item, grade,
        ``target`` (class 0..K-1), ``logit_0..K-1`` and ``probability_0..K-1``.

    Raises:
        StudyError: If the file is missing, is not Parquet or is not a predictions table.

    Example:
        >>> table = pdray.read_predictions("output/studies/demo/winner/predictions.parquet")
        >>> table.columns[-4:].tolist()
        ['logit_0', 'logit_1', 'probability_0', 'probability_1']
    """
    try:
        table = pd.read_parquet(path)
    except (OSError, pa.ArrowException) as error:
        if Path(path).with_name(TRANSLATIONS).is_file():
            raise StudyError(
                f"predictions {path}: there are none, since the model changes pictures and "
                f"predicts no class; what it did is in {TRANSLATIONS} beside it"
            ) from error
        raise StudyError(f"predictions {path}: cannot be read: {error}") from error
    try:
        check_predictions(table)
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from error
    return table
