"""The methods of a study in sentences, to paste into a paper; every number is from its log.

Each function returns one or more sentences; empty if the log does not have what they need.
"""

import textwrap
from collections import Counter
from typing import Any

from pdray.config import value_at
from pdray.data.cohort.settings import (
    LABELS,
    POSED,
    PROXY,
    SYNTHETIC_MARK,
    highest_grade,
    target_of,
)
from pdray.evaluation.evaluate import METHODS
from pdray.evaluation.settings import DecisionConfig
from pdray.evaluation.statistics.intervals import TRUTHS
from pdray.models import MODELS
from pdray.report.case import UNKNOWN, Reported
from pdray.report.parts import ANALYSED, LEFT_OUT, LISTED, SCORED, TRAINING, Parts, parts_of
from pdray.report.small_cells import HIDDEN

_WIDTH = 80
_CHOSEN = ("rule", "calibration", "threshold")
_SCHEME = {
    "nested": "All people were tested, each once: the whole search ran in each of {outer} outer "
    "folds, on the people outside it, with {inner} inner folds.",
    "repeated": "All people were tested {repeats} times, by {repeats} assignments to {outer} outer "
    "folds: the whole search ran in each of them, on the people outside it, with {inner} inner "
    "folds.",
    "leave_one_subject_out": "All people were tested, each once: the whole search ran once for "
    "each person, on all the others, with {inner} inner folds.",
    "holdout": "One of {outer} outer folds was the test set; the search ran on the other people, "
    "with {inner} inner folds, and the test set was scored once, by its winner.",
    "person": "One ill person and a third of the healthy ones were the test set; the search ran on "
    "the other people, with {inner} inner folds, and the test set was scored once, by its winner.",
    "split": "The data's own split named the test set; the search ran on the other people, with "
    "{inner} inner folds, and the test set was scored once, by its winner.",
}
_LOSS = {
    "class_balanced_focal": "a focal loss whose weights balance the classes (exponent {gamma:g})",
    "focal": "a focal loss (exponent {gamma:g})",
    "cross_entropy": "cross-entropy",
    "coral": "the CORAL loss of ordered classes",
    "cumulative_link": "a cumulative link loss of ordered classes",
}
_THRESHOLD = {
    "highest": "the class of highest probability was predicted",
    "mcc": "the threshold of highest MCC was chosen on inner predictions",
    "balanced_accuracy": "the threshold of highest balanced accuracy was chosen on inner "
    "predictions",
    "specificity": "the lowest threshold with a specificity of at least {specificity:g} was chosen "
    "on inner predictions",
}


def methods_text(case: Reported) -> str:
    """Return the paragraph, in lines of at most 80 letters."""
    parts = parts_of(case)
    sentences = [
        f"{SYNTHETIC_MARK}." if case.is_synthetic else "",
        people(case, parts),
        outcome(case),
        partition(case, parts),
        model(case),
        search(case),
        decision(case),
        intervals(case),
        chance(case),
        software(case),
    ]
    return textwrap.fill(" ".join(filter(None, sentences)), _WIDTH, break_on_hyphens=False) + "\n"


def people(case: Reported, parts: Parts | None) -> str:
    """Say how many people and recordings were analysed, and what was left out."""
    if parts is None:
        if "subjects" not in case.tags or "recordings" not in case.tags:
            return ""
        who, what = case.tags["subjects"], case.tags["recordings"]
        return f"{what} recordings of {who} people were analysed."
    shown = parts.shown[ANALYSED]
    whose = f" of {shown.people} people" if case.names_people else ", which name no people,"
    told = f"{shown.recordings} recordings{whose} were analysed"
    if shown.recordings == HIDDEN:
        told = f"{shown.people} people were analysed"
    if LEFT_OUT in parts.rows:
        lost, listed = parts.shown[LEFT_OUT], parts.shown[LISTED]
        why = ", ".join(parts.reasons())
        if HIDDEN in (lost.recordings, listed.recordings):  # they are of few people
            told += f"; others were left out ({why})"
        else:
            told += f"; {lost.recordings} of {listed.recordings} listed were left out ({why})"
    return f"{told}."


def items(case: Reported) -> str:
    """Return the items of the study, such as "finger tapping"; empty if they are unknown."""
    rows = case.cohort if case.cohort is not None else case.units
    if "item" not in rows:
        return ""
    names = rows[rows["part"] != "left out"]["item"] if "part" in rows else rows["item"]
    return ", ".join(sorted(str(one).replace("_", " ") for one in names.unique()))


def outcome(case: Reported) -> str:
    """Say what is predicted, and which grades make a class."""
    cuts, names = value_at(case.settings, "data.grade_cuts"), items(case)
    if not isinstance(cuts, list | tuple) or not names:
        return ""
    if target_of(case.settings) == "diagnosis":
        return f"The outcome was the diagnosis of the subject ({names}), in 2 classes: " + (
            f"{', '.join(f'class {k} ({name})' for k, name in enumerate(LABELS))}."
        )
    scale = value_at(case.settings, "data.scale")
    highest = max(
        highest_grade(one.replace(" ", "_"), None if scale is None else str(scale))
        for one in names.split(", ")
    )
    ends = [0, *cuts]
    lasts = [cut - 1 for cut in cuts]
    grades = [
        f"class {k} ({_range(first, last)})"
        for k, (first, last) in enumerate(zip(ends, [*lasts, highest], strict=True))
    ]
    is_posed = any(one.replace(" ", "_") in POSED for one in names.split(", "))
    return f"The outcome was the grade of each recording ({names}), in {len(ends)} classes: " + (
        f"{', '.join(grades)}.{f' {PROXY[0].upper()}{PROXY[1:]}.' * is_posed}"
    )


def partition(case: Reported, parts: Parts | None) -> str:
    """Say who was tested and who was learnt from."""
    if (one := case.external) is not None:
        return (
            f"External validation: {one.models} of the study {case.name}, learnt from "
            f"{one.recordings} recordings of {one.people} people, graded these recordings as they "
            "are. Nobody who took part in the study was scored, and nothing was fitted or chosen "
            "on these recordings."
        )
    if case.protocol == UNKNOWN:
        return ""
    numbers = {
        "outer": value_at(case.settings, "folds.num_outer"),
        "inner": value_at(case.settings, "folds.num_folds"),
        "repeats": value_at(case.settings, "search.repeats"),
    }
    if numbers["inner"] is None or numbers["outer"] is None:
        return ""
    scheme = case.protocol
    if scheme == "holdout" and value_at(case.settings, "folds.person") is not None:
        scheme = "person"
    told = [_SCHEME[scheme].format(**numbers)]
    if parts is not None and TRAINING in parts.rows:
        scored, learnt = parts.shown[SCORED], parts.shown[TRAINING]
        of = [f" of {one.people} people" if case.names_people else "" for one in (scored, learnt)]
        told.append(
            f"{scored.recordings} recordings{of[0]} were scored, and "
            f"{learnt.recordings}{of[1]} learnt from."
        )
    seed = value_at(case.settings, "folds.seed")
    drawn = "Folds were drawn over people, so that nobody was on both sides"
    if not case.names_people:
        drawn = "The recordings name no people, so that a person may be on both sides of a fold"
    told.append(f"{drawn} (seed {seed})." if seed is not None else f"{drawn}.")
    return " ".join(told)


def model(case: Reported) -> str:
    """Say what the model is, what it reads and by which loss it learnt."""
    name = value_at(case.settings, "model.name")
    if name is None:
        return ""
    entry = MODELS.get(str(name))
    what = f"{name} ({entry.description})" if entry is not None else str(name)
    return " ".join(filter(None, [f"The model was {what}.", pictures(case), loss(case)]))


def learns_in_steps(case: Reported) -> bool:
    """Return whether the model is a network, which learns from batches of snippets."""
    entry = MODELS.get(str(value_at(case.settings, "model.name")))
    return entry is not None and entry.loop == "steps"


def uses(case: Reported, section: str) -> bool:
    """Return whether a section of the settings, such as "loss", is of use to the model."""
    entry = MODELS.get(str(value_at(case.settings, "model.name")))
    return entry is not None and section in entry.sections


def pictures(case: Reported) -> str:
    """Say what a network reads of a recording; empty of a model that reads no snippets."""
    if not uses(case, "snippet"):
        return ""
    height, width = (chosen(case, f"decode.{side}") for side in ("height", "width"))
    frames, modality = chosen(case, "snippet.num_frames"), chosen(case, "modality")
    if None in (height, width, frames, modality):
        return ""
    return f"It read snippets of {frames} frames ({modality}) of {height} x {width} pixels."


def loss(case: Reported) -> str:
    """Say by which loss a network learnt; empty of another model."""
    kind = chosen(case, "loss.kind")
    if kind is None or not uses(case, "loss"):
        return ""
    words = _LOSS.get(str(kind), f"the loss {kind}")
    spread = chosen(case, "loss.label_smoothing")
    if spread:
        words += f" with {spread:g} of each label spread evenly over the classes"
    return f"It learnt by {words.format(gamma=chosen(case, 'loss.gamma') or 0)}."


def search(case: Reported) -> str:
    """Say how settings were searched, and how the winner was trained."""
    if not case.trials or case.external is not None:
        return ""
    states = Counter(str(one["state"]) for one in case.trials)
    ended = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
    keys = sorted({key for one in case.trials for key in one["params"]})
    metric = case.metric
    where = "the search on all people, which made the final model" if is_nested(case) else ""
    if not keys:
        told = "No setting was searched."
    else:
        end = f" Of {len(case.trials)} trials ({where or 'the search'}: {ended}), trial {case.best}"
        told = (
            f"Settings were searched {_proposed(case)} ({', '.join(keys)}); "
            f"trials were compared by the mean {metric} over the inner folds.{end} won."
        )
    epochs = ""
    if case.chosen_epoch is not None and learns_in_steps(case):
        epochs = f" for {case.chosen_epoch + 1} epoch{'s' * (case.chosen_epoch > 0)}"
    return f"{told} The final model was trained on all people of its training side{epochs}."


def _proposed(case: Reported) -> str:
    """Return how trials were proposed."""
    at_random = value_at(case.settings, "search.startup_trials")
    estimated = "with tree-structured Parzen estimators"
    if not isinstance(at_random, int):
        return estimated
    if len(case.trials) <= at_random:
        return "at random"
    return f"{estimated}, after {at_random} random trials"


def decision(case: Reported) -> str:
    """Say how snippets make a recording's probabilities, and these a class."""
    section = value_at(case.settings, "decision")
    if not isinstance(section, dict):
        return "Probabilities of snippets were averaged per recording."
    rule, cut = str(section.get("rule", "mean")), str(section.get("threshold", "highest"))
    joined = {"mean": "averaged", "best": "joined by the rule of highest MCC"}
    told = f"Probabilities of snippets were {joined.get(rule, f'joined by {rule}')} per recording; "
    told += _THRESHOLD[cut].format(specificity=section.get("specificity", 0.0)) + "."
    calibration = section.get("calibration", "none")
    if calibration != "none":
        told += f" Probabilities were calibrated ({calibration}) on inner predictions."
    if decides(case) and not is_nested(case):
        told += " The score itself is that of averaged probabilities and the most probable class."
    return told


def decides(case: Reported) -> bool:
    """Return whether the settings choose a decision in place of the usual one."""
    usual = DecisionConfig()
    asked = {name: value_at(case.settings, f"decision.{name}") for name in _CHOSEN}
    return any(one not in (None, getattr(usual, name)) for name, one in asked.items())


def intervals(case: Reported) -> str:
    """Say how intervals were made, and what they cover."""
    method, found = value_at(case.settings, "evaluation.interval"), headline(case)
    if method not in METHODS:
        return ""
    # The intervals of a procedure are made in one way, whatever the settings.
    is_procedure = found is not None and found["table"] == "procedure"
    words = METHODS["transformed" if is_procedure else str(method)]
    covered = "" if found is None or not found["truth"] else f" ({TRUTHS[found['truth']]})"
    return f"{words[0].upper()}{words[1:]}{covered}."


def chance(case: Reported) -> str:
    """Give the p against chance, if the study was repeated with exchanged grades."""
    if not case.chance or case.chance.get("p") is None:
        return ""
    return (
        f"The whole study was repeated {len(case.chance['permuted'])} times with grades exchanged "
        f"between people; p against chance was {case.chance['p']:.3g}."
    )


def software(case: Reported) -> str:
    """Name code, versions and seed."""
    versions = {
        name.removeprefix("version."): text
        for name, text in case.tags.items()
        if name.startswith("version.") and text != "not installed"
    }
    if not versions:
        return ""
    others = ", ".join(f"{name} {text}" for name, text in versions.items() if name != "pdray")
    told = f"Software: pdray {versions.get('pdray', UNKNOWN)}"
    told += f" (source {case.tags['source']})" if "source" in case.tags else ""
    told += f" with {others}" if others else ""
    return f"{told}; seed of the study: {case.tags['seed']}." if "seed" in case.tags else f"{told}."


def headline(case: Reported) -> dict[Any, Any] | None:
    """Return the number by which the study is known, with its interval; None if there is none."""
    if not len(case.numbers):
        return None
    rows = case.numbers[(case.numbers["metric"] == case.metric) & (case.numbers["group"] == "")]
    for table in ("procedure", "scores"):
        found = rows[(rows["table"] == table) & (rows["level"] == "recording")]
        if len(found):
            return dict(found.iloc[0])
    return None


def chosen(case: Reported, key: str) -> object:
    """Return a setting of the winner; None if the log does not have it."""
    params = {int(one["number"]): one["params"] for one in case.trials}.get(case.best, {})
    return params.get(key, value_at(case.settings, key))


def is_nested(case: Reported) -> bool:
    """Return whether everybody is tested, by searches in outer folds."""
    return case.protocol in ("nested", "repeated", "leave_one_subject_out")


def _range(first: float, last: float) -> str:
    if last == first:
        return f"grade {first:g}"
    return (
        f"grades {first:g} and above" if last == float("inf") else f"grades {first:g} to {last:g}"
    )
