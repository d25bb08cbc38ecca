"""Settings of a cohort: which recordings a job uses, what it predicts, how subjects are split."""

import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from pdray.config import Settings, nearest

# Expressions that a person is asked for, with the words of DFEW (Jiang et al. 2020).
EXPRESSIONS = ("neutral", "happiness", "surprise", "anger", "fear", "disgust", "sadness")
POSED = tuple(f"expression_{name}" for name in EXPRESSIONS)
VISIT = "expressions"  # all posed expressions of one visit, described by their intensities
PROXY = (
    "grades of posed expressions rate the clip; where they are those of MDS-UPDRS item 3.2, which "
    "is rated at rest and while talking, they are a proxy"
)
# Item -> highest grade. MDS-UPDRS part III items (3.1 to 3.18) are rated 0-4, the interviews of
# YouTubePD 0-5. The grade of a posed expression rates that clip; item 3.2 is facial_expression.
ITEMS: dict[str, int] = {
    "speech": 4,
    "facial_expression": 4,
    "finger_tapping": 4,
    "hand_opening": 4,
    "pronation": 4,
    "toe_tapping": 4,
    "leg_agility": 4,
    "arising": 4,
    "gait": 4,
    "freezing": 4,
    "postural_stability": 4,
    "postural_tremor": 4,
    "kinetic_tremor": 4,
    "rest_tremor": 4,
    "tremor_constancy": 4,
    "face_interview": 5,
    **dict.fromkeys((*POSED, VISIT), 4),
}
# What a public video shows, for pre-training; its grade is the index of its class, from 0, and the
# number of classes is the manifest's own. It never shares a study with what is graded.
ACTION = "action"
KNOWN_ITEMS = (*ITEMS, ACTION)
_MISSPELT = 0.9  # similarity from which a word is a known item with a typing error

SYNTHETIC_SITE = "synthetic"  # the site of rendered recordings
SYNTHETIC = "SYNTHETIC data"
SYNTHETIC_MARK = f"{SYNTHETIC}: a rendered cohort, not patients"
Target = Literal["grade", "diagnosis"]
LABELS = ("healthy", "ill")  # the classes of a diagnosis
Subjects = Literal["required", "none"]  # none: public videos do not say who is in them
PUBLIC = (ACTION, "face_interview")


class DataConfig(Settings):
    """Which recordings a job uses and what it predicts."""

    manifest: Path = Field(description="CSV or Parquet file, one row per recording")
    scale: str | None = Field(
        None,
        pattern=r"^0\.\.[1-9][0-9]?$",
        description="grades of your own items: 0..4",
    )
    items: tuple[str, ...] | None = Field(None, description="items to use; null uses every item")
    subjects: Subjects = Field(
        "required",
        description="required: each row names its subject; none: a recording of item action, or "
        "face_interview, without a subject is a subject of its own",
    )
    different_subjects: tuple[Annotated[tuple[str, ...], Field(min_length=2)], ...] = Field(
        (),
        description="groups of subject ids that look alike and are different people: "
        '[["P1","P01"]]',
    )
    shared_files: tuple[Path, ...] = Field(
        (),
        description="files of several people, as the manifest names them, who stay on one side of "
        "every split",
    )
    allow_outside: bool = Field(
        False,
        description="whether the manifest may name files outside its own folder",
        json_schema_extra={"earlier": True},
    )
    grade_cuts: tuple[int, ...] = Field(
        (2,), description="first grade of each class but the lowest: [2] is {0,1} against {2,3,4}"
    )
    target: Target = Field(
        "grade",
        description="what is learnt: grade: the class of the grade; diagnosis: ill or healthy, by "
        "the column diagnosis, with grade_cuts [1]",
    )
    made: Literal["none", "training"] = Field(
        "none",
        description="made recordings (column made_by): training: each fold learns from those that "
        "carry nobody but subjects of its training side; none: they take no part",
    )
    made_share: float = Field(
        1.0,
        gt=0,
        allow_inf_nan=False,
        description="most made recordings of a class, for each real one that a fold learns from",
    )
    marks: Path | None = Field(None, description="table of marked regions, as importers write it")
    max_decode_failures: int = Field(
        0, ge=0, description="unreadable recordings that a job may leave out [recordings]"
    )

    @field_validator("items")
    @classmethod
    def _items_are_known(
        cls, items: tuple[str, ...] | None, info: ValidationInfo
    ) -> tuple[str, ...] | None:
        scale = info.data.get("scale")
        faults = [fault for item in items or () if (fault := item_fault(item, scale))]
        if items == ():
            faults.append("no item named; write null to use every item")
        if ACTION in (items or ()) and items != (ACTION,):
            faults.append(f"{ACTION} beside others: the class of an action is not a grade")
        if faults:
            raise ValueError("; ".join(faults))
        return items

    @field_validator("subjects")
    @classmethod
    def _people_have_subjects(cls, subjects: Subjects, info: ValidationInfo) -> Subjects:
        if subjects == "none" and info.data.get("items") not in [(item,) for item in PUBLIC]:
            raise ValueError(
                f"got 'none': only items [{'] or ['.join(PUBLIC)}] go without subjects; elsewhere "
                "nothing else keeps a person on one side of a fold"
            )
        return subjects

    @field_validator("grade_cuts")
    @classmethod
    def _cuts_rise(cls, cuts: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        is_action = info.data.get("items") == (ACTION,)
        # Also of a study of known items only, whose cuts may be those of a longer scale.
        of_scale = highest_grade("", info.data["scale"]) if info.data.get("scale") else 0
        highest = math.inf if is_action else max(*ITEMS.values(), of_scale)
        rising = list(cuts) == sorted(set(cuts))
        if not cuts or not rising or cuts[0] < 1 or cuts[-1] > highest:
            right = "classes from 1" if is_action else f"grades between 1 and {highest:g}"
            raise ValueError(f"got {list(cuts)}: expected rising {right}")
        return cuts

    @model_validator(mode="after")
    def _target_fits(self) -> Self:
        if self.target == "diagnosis" and self.items == (ACTION,):
            raise ValueError(f"target diagnosis has no meaning for item {ACTION}; remove it")
        if self.target == "diagnosis" and "grade_cuts" not in self.model_fields_set:
            # The default is of grades. Frozen for those who use the settings, not while they are
            # made; another object cannot be returned from here.
            self.__dict__["grade_cuts"] = (1,)
        if self.target == "diagnosis" and self.grade_cuts != (1,):
            raise ValueError(
                f"grade_cuts {list(self.grade_cuts)} cut grades, but target is diagnosis, whose "
                "classes are healthy and ill; write grade_cuts=[1] or leave it out"
            )
        return self


class NewDataConfig(Settings):
    """Recordings that a finished study has not seen."""

    manifest: Path | None = Field(
        None, description="manifest of the new recordings; jobs/evaluate.py needs its grades"
    )
    different_subjects: tuple[tuple[str, ...], ...] = Field(
        (), description="groups of its subject ids that look alike and are different people"
    )
    shared_files: tuple[Path, ...] = Field(
        (), description="files of several people, as it names them"
    )
    allow_outside: bool = Field(
        False, description="whether it may name files outside its own folder"
    )


class FoldsConfig(Settings):
    """How subjects are split."""

    num_folds: int = Field(3, ge=2, description="inner folds, for the search [folds]")
    num_outer: int = Field(5, ge=2, description="outer folds; one is the test set [folds]")
    outer_fold: int = Field(0, ge=0, description="which outer fold is the test set, from 0")
    seed: int = Field(0, ge=0, description="seed of the shuffle before both splits")
    from_split: bool = Field(
        False,
        description="the manifest's column split says who is held out: test, or val where there is "
        "no test; a search cross-validates inside train, a comparison trains on it",
    )
    of_recordings: bool = Field(
        False,
        description="with data.subjects=none: split recordings at random; one person may then be "
        "on both sides",
    )
    alike: str | None = Field(
        None,
        pattern=r"^features(\.[a-z][a-z0-9_]*)?$",
        description="with data.subjects=none: keep recordings whose features are alike on one side "
        "of a split, such as features.voice; null: no",
    )
    person: int | None = Field(
        None,
        ge=0,
        lt=3,
        description="hold out one ill subject, this one of three that the seed draws, and a third "
        "of the healthy ones, as YouTubePD, Table 5; null: hold out folds",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        asked = {"from_split": self.from_split, "of_recordings": self.of_recordings}
        asked |= {"person": self.person is not None, "alike": self.alike is not None}
        found = [name for name, is_asked in asked.items() if is_asked]
        if len(found) > 1:
            raise ValueError(f"{' and '.join(found)} are two ways to split; set one of them")
        return self

    @model_validator(mode="after")
    def _outer_fold_exists(self) -> Self:
        if self.outer_fold >= self.num_outer:
            raise ValueError(
                f"outer_fold {self.outer_fold} must be less than num_outer {self.num_outer}"
            )
        return self


def subject_faults(data: DataConfig, folds: FoldsConfig) -> list[str]:
    """Refuse a random split of recordings without subject ids, unless the user accepts it."""
    unnamed = data.subjects == "none"
    asked = [name for name in ("of_recordings", "alike") if getattr(folds, name)]
    if asked and not unnamed:
        return [
            f"folds.{asked[0]}: is only for data without subject ids; leave it out, so that "
            "subjects are split, or set data.subjects=none"
        ]
    chosen = folds.from_split or asked
    if unnamed and data.items != (ACTION,) and not chosen:
        return [
            "data.subjects: got 'none' with a random split, so the same person may be in training "
            "and test; use the split of the data set (folds.from_split=true), add subject ids, "
            "keep recordings together that are alike (folds.alike=features.NAME), or accept it "
            "with folds.of_recordings=true"
        ]
    return []


def target_of(settings: Mapping[str, Any]) -> Target:
    """Return ``data.target`` of nested settings; studies of earlier versions learnt grades."""
    found: Target = settings.get("data", {}).get("target", "grade")
    return found


def event_name(target: Target) -> str:
    """Return what class 1 of two is called in sentences."""
    return "being ill" if target == "diagnosis" else "class 1"


def highest_grade(item: str, scale: str | None) -> float:
    """Return the highest grade of an item; infinity for the class of an action, or without a scale.

    Args:
        item: Of the manifest.
        scale: Of items that are not known, as ``data.scale``.
    """
    if item in ITEMS:
        return ITEMS[item]
    return math.inf if item == ACTION or scale is None else float(scale.removeprefix("0.."))


def item_fault(item: str, scale: str | None) -> str | None:
    """Return why a word is no item, and which it may be; None where it is one.

    Args:
        item: Of the manifest, or of a setting.
        scale: Of items that are not known, as ``data.scale``; None refuses them.
    """
    if item in KNOWN_ITEMS:
        return None
    from pdray.data.cohort.spelling import normal_form  # known items need it not

    form = re.sub("[ -]", "_", normal_form(item))
    if form in KNOWN_ITEMS:
        return f"item {item!r} is unknown: write {form!r}"
    if scale is None:
        hint = nearest(form, KNOWN_ITEMS)
        return (
            f"item {item!r} is unknown: {hint}valid items: {', '.join(KNOWN_ITEMS)}; if it is an "
            "item of your own, give its scale, such as data.scale=0..4"
        )
    if near := get_close_matches(form, KNOWN_ITEMS, n=1, cutoff=_MISSPELT):
        return (
            f"item {item!r} is unknown: did you mean {near[0]!r}? If it is an item of your own, "
            "give it another name"
        )
    if not re.fullmatch(r"\w[\w.-]*", item):
        return f"item {item!r} is no word; write it with letters, digits, '_', '-' and '.' alone"
    return None
