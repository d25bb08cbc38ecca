"""Tables of the University of Rochester (ROC-HCI): finger tapping, smiles and speech.

Ids of its web recordings are sessions: one person who came twice may have two ids, which no row
shows. Ids that stand for two sessions of different people are found by facts that differ.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from pdray.data.cohort.csv_table import Row
from pdray.importers.features.found import (
    Cells,
    Found,
    cell,
    is_empty,
    numbers,
    read_rows,
    without_zeros,
)
from pdray.importers.features.settings import ImportConfig

SMILE, SPEECH = "features.smile", "features.speech"
_FACTS = frozenset(
    ["", "unnamed: 0", "clip_id", "id", "subject_id", "participant_id", "filename", "split",
     "in_three_task_cohort", "pd", "pd_word", "diagnosis", "protocol", "gender", "sex", "age",
     "race", "ethnicity", "hand", "rating", "site", "difficult_any", "dob", "time_mdsupdrs"]
)  # fmt: skip
_RATER = re.compile(r"(non)?expert\d+|rating\d+")
_HEALTHY, _ILL, _UNCERTAIN = ("no", "unlikely"), ("yes",), ("possible", "probable")
_YEARS = 2  # between two ages of one person in one table
_SPLITS = {"train": "train", "dev": "train", "test": "test"}
_SMILES = ("smile.csv", "facial_dataset.csv", "facial_expression_smile/facial_dataset.csv",
           "data_smile.csv", "facial_expression_smile/data_smile.csv")  # fmt: skip
_SPEECHES = ("speech.csv", "classical_fox_features.csv",
             "quick_brown_fox/classical_fox_features.csv")  # fmt: skip


def read_tapping(config: ImportConfig) -> Found:
    """Read the table of finger tapping: 116 features of a hand, five raters."""
    rows = read_rows(config.folder, ["clips.csv"], ("clip_id", "subject_id", "hand", "rating"))
    raters = ("expert1", "expert2", "expert3", "nonexpert1", "nonexpert2")
    found = [
        {
            "recording_id": cell(row, "clip_id"),
            "subject_id": cell(row, "subject_id"),
            "item": "finger_tapping",
            "grade": cell(row, "rating"),
            "side": cell(row, "hand"),
            "diagnosis": {"1": "pd", "0": "healthy"}.get(cell(row, "pd"), ""),
            "sex": cell(row, "gender"),
            "age": cell(row, "age"),
            "site": cell(row, "site"),
            **{f"rater_{number}": cell(row, name) for number, name in enumerate(raters, start=1)},
        }
        for row in rows
    ]
    described, texts = numbers(rows, _feature_columns(rows))
    return Found(
        rows=found,
        tables={
            "features": {
                row["recording_id"]: one for row, one in zip(found, described, strict=True)
            }
        },
        data={"items": ["finger_tapping"], "grade_cuts": [1, 2, 3, 4]},
        notes=[
            "the grade is the median of rater_1 to rater_3, who are experts; rater_4 and rater_5 "
            "are not",
            *_unused(texts),
        ],
    )


def read_smile(config: ImportConfig) -> Found:
    """Read UFNet's or PARK's table of smiles."""
    rows = read_rows(config.folder, _SMILES, ("subject_id|id|participant_id", "pd"))
    columns = [name for name in rows[0].cells if "smile" in name.lower()]
    return _of_task(config, rows, columns, "expression_happiness", SMILE)


def read_speech(config: ImportConfig) -> Found:
    """Read UFNet's table of a spoken pangram."""
    rows = read_rows(config.folder, _SPEECHES, ("subject_id|id|participant_id", "pd"))
    return _of_task(config, rows, _feature_columns(rows), "speech", SPEECH)


def read_both(config: ImportConfig) -> Found:
    """Read smiles and speech, and join the recordings of each person in their order.

    No row says which were recorded together. The first smile of a person stands beside the first
    speech, and so on; what is left over stands alone.
    """
    smile, speech = read_smile(config), read_speech(config)
    people: dict[str, tuple[list[Cells], list[Cells]]] = {}
    for side, found in enumerate((smile, speech)):
        for row in found.rows:
            people.setdefault(row["subject_id"], ([], []))[side].append(row)
    tables: dict[str, dict[str, Cells]] = {SMILE: {}, SPEECH: {}}
    rows: list[Cells] = []
    for subject, sides in people.items():
        for number in range(max(map(len, sides))):
            pair = [side[number] for side in sides if number < len(side)]
            joined = {name: text for one in reversed(pair) for name, text in one.items() if text}
            name = f"{subject}_{number + 1}"
            for one in pair:
                for modality, table in (*smile.tables.items(), *speech.tables.items()):
                    if one["recording_id"] in table:
                        tables[modality][name] = table[one["recording_id"]]
            rows.append(joined | {"recording_id": name, "item": "smile_and_speech"})
    both = sum(all(sides) for sides in people.values())
    made = Found(
        rows=rows,
        tables=tables,
        data={"items": ["smile_and_speech"], "scale": "0..4", "target": "diagnosis"},
        left_out=smile.left_out | speech.left_out,
        notes=[
            f"{both} of {len(people)} people have both; their recordings are paired in the order "
            "of the tables, as no row says which were made together",
            *dict.fromkeys((*smile.notes, *speech.notes)),
        ],
    )
    return _without_mixed(made)


def _feature_columns(rows: Sequence[Row]) -> list[str]:
    return [
        name
        for name in rows[0].cells
        if name.lower() not in _FACTS and not _RATER.fullmatch(name.lower())
    ]


def _of_task(
    config: ImportConfig, rows: Sequence[Row], columns: Sequence[str], item: str, modality: str
) -> Found:
    described, texts = numbers(rows, columns)
    notes = _unused(texts)
    if modality == SMILE:
        described, faceless = without_zeros(described)
        if faceless:
            notes.append(
                f"{faceless} of {len(rows)} recordings of {SMILE} have zeros where no face was "
                "found; these cells are left empty"
            )
    words = any(cell(row, "pd").lower() in (*_HEALTHY, *_ILL) for row in rows)
    found, tables, left_out = [], {}, {}
    for number, (row, features) in enumerate(zip(rows, described, strict=True), start=1):
        # File names hold times and codes of people, so recordings without an id are numbered.
        name = cell(row, "clip_id") or f"{modality.rpartition('.')[2]}_{number:04d}"
        if is_empty(features):
            left_out[name] = f"every feature of {modality} is absent"
            continue
        tables[name] = features
        sex = cell(row, "gender", "sex").lower()
        found.append(
            {
                "recording_id": name,
                "subject_id": cell(row, "subject_id", "id", "participant_id"),
                "item": item,
                "diagnosis": _diagnosis(row, config.uncertain, words=words),
                "sex": sex if sex in ("male", "female", "nonbinary") else "",
                "age": cell(row, "age"),
                "recording_protocol": cell(row, "protocol"),
                "split": _SPLITS.get(cell(row, "split"), ""),
                "x_three_tasks": cell(row, "in_three_task_cohort"),
            }
        )
    counts = Counter(one["diagnosis"] for one in found)
    if counts[""]:
        notes.append(
            f"{counts['']} of {len(found)} recordings of {modality} have no diagnosis and take no "
            "part in a study of it"
        )
    if any(one["split"] for one in found):
        notes.append("the authors' dev people are in the training side; test people are apart")
    made = Found(
        rows=found,
        tables={modality: tables},
        data={"items": [item], "target": "diagnosis"},
        left_out=left_out,
        notes=notes,
    )
    return _without_mixed(made)


def _diagnosis(row: Row, uncertain: str, *, words: bool) -> str:
    """Return what a row says of the disease; empty where it says nothing.

    Where a table has words, its number is the authors' label, which takes a missing word for ill.
    """
    told = cell(row, "pd_word", "pd").lower()
    if told in _UNCERTAIN:
        return f"{told} pd" if uncertain == "ill" else ""
    numbers_too = not words and not cell(row, "pd_word")
    if told in _ILL or (numbers_too and told in ("1", "1.0")):
        return "pd"
    if told in _HEALTHY or (numbers_too and told in ("0", "0.0")):
        return "healthy"
    return ""


def _without_mixed(found: Found) -> Found:
    """Leave out subjects whose facts cannot be those of one person."""
    people: dict[str, list[Cells]] = {}
    for row in found.rows:
        people.setdefault(row["subject_id"], []).append(row)
    mixed = {subject: why for subject, rows in people.items() if (why := _mixed(rows))}
    for row in found.rows:
        if row["subject_id"] in mixed:
            found.left_out[row["recording_id"]] = mixed[row["subject_id"]]
    found.rows = [row for row in found.rows if row["subject_id"] not in mixed]
    return found


def _mixed(rows: Sequence[Cells]) -> str:
    ages = [float(text) for row in rows if (text := row.get("age"))]
    if len(_known(row.get("sex", "") for row in rows)) > 1:
        return "its subject has two sexes, so the id stands for two people"
    if len(_known(_side(row.get("diagnosis", "")) for row in rows)) > 1:
        return "its subject is ill and healthy, so the id may stand for two people"
    if ages and max(ages) - min(ages) > _YEARS:
        return f"its subject has ages more than {_YEARS} years apart, so the id may stand for two"
    return ""


def _known(texts: Iterable[str]) -> set[str]:
    return {text for text in texts if text}


def _side(diagnosis: str) -> str:
    return diagnosis if diagnosis in ("", "healthy") else "ill"


def _unused(texts: Sequence[str]) -> list[str]:
    return [f"columns of text are not used: {', '.join(texts)}"] * bool(texts)
