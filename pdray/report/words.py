"""The sentences of a report, from the numbers of ``results.json`` alone."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pdray.data.cohort.settings import SYNTHETIC_MARK
from pdray.evaluation.metrics import METRICS
from pdray.evaluation.statistics.intervals import TRUTHS
from pdray.report.flow import CASE_CONTROL
from pdray.report.small_cells import HIDDEN

Results = Mapping[str, Any]

METRIC_NAMES = {
    "mcc": "MCC", "auroc": "AUROC", "auprc": "AUPRC", "f1": "F1", "f1_weighted": "weighted F1",
    "f1_macro": "macro F1", "mae": "mean absolute error", "mse": "mean squared error",
    "brier": "Brier score", "kappa": "weighted kappa", "within_one": "share within one class",
    "balanced_accuracy": "balanced accuracy",
}  # fmt: skip
SCALES = {
    "mcc": "0 is what guessing gives, 1 is perfect, below 0 is worse than guessing",
    "kappa": "0 is what guessing gives, 1 is perfect, below 0 is worse than guessing",
    "auroc": "0.5 is what guessing gives, 1 is perfect",
    "balanced_accuracy": "1 divided by the number of classes is what guessing gives, 1 is perfect",
}
"""How to read a score; of the others, the baselines tell what guessing gives."""
MEANINGS = {
    "mcc": "The Matthews correlation compares the model's classes with the raters' classes. All "
    "four kinds of answers count, so that always naming the commoner class gains nothing.",
    "kappa": "Weighted kappa is the agreement of the model with the raters beyond chance. A "
    "disagreement counts by the square of its distance in classes.",
    "auroc": "AUROC is the probability that the model rates a recording of the higher class above "
    "one of the lower class. It says nothing about where to set the threshold.",
    "accuracy": "Accuracy is the share of recordings with the right class. It is high without any "
    "skill where one class is common.",
    "balanced_accuracy": "Balanced accuracy is the mean over the classes of the share that is "
    "recognised.",
    "mae": "The mean absolute error is the mean distance in classes between the model and the "
    "raters.",
    "brier": "The Brier score is the mean squared error of the probabilities.",
}
PROTOCOLS = {
    "holdout": "One group of people was set aside before anything was learnt (holdout). The search "
    "compared settings on the other people only; the best settings were trained on all of them, "
    "and this one model was scored once on the people who had been set aside.",
    "split": "The owner of the data fixed who is tested (split). The search compared settings on "
    "the other people only, and the best model was scored once on those who are tested.",
    "nested": "Nested cross-validation: the people were divided into {num_outer} groups. For each "
    "group, a whole search took place on the other people, and its winner was scored on the group. "
    "So everybody was tested once, by a model that had not learnt from that person.",
    "repeated": "Repeated nested cross-validation: {repeats} times, the people were divided anew "
    "into {num_outer} groups, and for each group a whole search took place on the other people. "
    "Scores are means over the repeats.",
    "leave_one_subject_out": "Each person in turn was set aside: a whole search took place on the "
    "others, and its winner was scored on this person.",
    "external": "External validation: {models} of the study {name}, learnt from {recordings} "
    "recordings of {people} people, graded recordings from elsewhere, as they are. Nothing was "
    "fitted or chosen on these recordings.",
    "unknown": "This study is of an earlier version of pdray, which did not note its protocol.",
}


def metric_name(metric: str) -> str:
    """Return the printed name of a score."""
    return METRIC_NAMES.get(metric, metric)


def number(value: float | None) -> str:
    """Return a number with three decimals; None, which is not finite, is undefined."""
    return "undefined" if value is None else f"{value:.3f}"


def title(results: Results) -> str:
    """Return the title of the page."""
    name = results["study"]["name"]
    if results["external"]:
        return f"External validation of the study {name}"
    return f"Report of the study {name}"


def first_sentence(results: Results) -> str:
    """Return the result in one sentence."""
    text = _first_sentence(results)
    return f"{text[0].upper()}{text[1:]}"


def _first_sentence(results: Results) -> str:
    score, study = results["score"], results["study"]
    mark = "SYNTHETIC data: " if study["is_synthetic"] else ""
    if score is None:
        return f"{mark}nobody was tested, so this study has no score that may be reported."
    unit = _counted(score["num_recordings"], "recording", "recordings")
    people = f"{_counted(score['num_subjects'], 'person', 'people')} ({unit})"
    whom = "whom the model had not learnt from"
    if results["external"]:
        whom = "from elsewhere, of whom none took part in the study"
    if not results["has_subjects"]:
        people, whom = (
            unit,
            "that name no people, so that a person may also be among those learnt from",
        )
    name = metric_name(study["metric"])
    if score["undefined"]:
        return f"{mark}on {people} {whom}, {name} has no value: {score['undefined']}."
    how = SCALES.get(study["metric"], "")
    told = f" ({how})" if how else ""
    return (
        f"{mark}on {people} {whom}, the model's {name} was "
        f"{number(score['value'])}{told}; {interval_words(score)}."
    )


def interval_words(score: Mapping[str, Any]) -> str:
    """Return the interval of a number in words, or why it has none."""
    if score["reason"]:
        return f"there is no interval: {score['reason']}"
    low, high = score["low"], score["high"]
    if low is None and high is None:
        return "there is no interval"
    if score["sides"] == "lower":
        return f"the 95% interval is {number(low)} or more"
    if score["sides"] == "upper":
        return f"the 95% interval is {number(high)} or less"
    return f"the 95% interval is {number(low)} to {number(high)}"


def belief(results: Results) -> str:
    """Return how many checks warn, in one sentence."""
    checks = results["checks"]
    if not checks:
        return (
            "No checks were run: this study is of an earlier version. Nothing was done to find "
            "leaks or confounders."
        )
    states = [one["state"] for one in checks]
    warnings, open_ = states.count("warning"), states.count("unknown")
    told = f"{len(checks)} checks looked for reasons not to believe this score: {warnings} "
    told += "warns" if warnings == 1 else "warn"
    if open_:
        told += f", {open_} could not decide"
    muted = states.count("muted")
    if muted:
        told += f", {muted} {'was' if muted == 1 else 'were'} switched off by the settings"
    end = "Answer each warning before you believe or publish the score." if warnings else (
        "A check that passes has found nothing; it does not prove that there is nothing."
    )  # fmt: skip
    return f"{told}. {end}"


def cohort_words(results: Results) -> Iterator[str]:
    """Yield sentences on who took part."""
    study, cohort, score = results["study"], results["cohort"], results["score"]
    if study["is_synthetic"]:
        yield f"The recordings are {SYNTHETIC_MARK}."
    items = study["items"]
    if items:
        yield f"Rated: {', '.join(map(_spaced, items))}."
    if cohort is None:
        tested = "" if score is None else f" {score['num_subjects']} people were tested."
        yield (
            "This study has no table of its recordings (earlier versions kept none, and it goes "
            f"with the folder private): who was left out is not known.{tested}"
        )
        return
    listed = _told(cohort["listed"])
    start = f"Of {listed} in the manifest, " if listed else ""
    yield (
        f"{start}{_told(cohort['analysed']) or 'the others'} were analysed; "
        f"{_told(cohort['scored'])} were tested."
    )
    if not results["has_subjects"]:
        yield "They name no people, so each counts as one person in this report."
    gone = {key.removeprefix("left out: "): one for key, one in cohort.items()
            if key.startswith("left out: ")}  # fmt: skip
    if gone:
        told = "; ".join(
            f"{reason} ({_told(one) or 'a hidden number'})" for reason, one in gone.items()
        )
        yield f"Left out: {told}."
    else:
        yield "No recording was left out."


def protocol_words(results: Results) -> Iterator[str]:
    """Yield sentences on who was tested by what."""
    study, search, external = results["study"], results["search"], results["external"]
    if external is not None:
        yield PROTOCOLS["external"].format(name=study["name"], **external)
        return
    facts = {**study["folds"], "repeats": study["repeats"]}
    yield PROTOCOLS.get(study["protocol"], PROTOCOLS["unknown"]).format(**facts)
    states = ", ".join(f"{count} {state}" for state, count in search["states"].items())
    outer = "The last search, on all people, " if results["procedure"] else "The search "
    if search["trials"]:
        yield (
            f"{outer}tried {_counted(search['trials'], 'setting', 'settings')} of the model "
            f"{study['model']} ({states}); trial {search['winner']} won with a "
            f"{metric_name(study['metric'])} of {number(search['validation'])} on people whom its "
            "folds held out. The winner was chosen by this number, so it is too good and no result."
        )
    if search["space"]:
        yield f"Searched: {', '.join(search['space'])}."
    if search["chosen_epoch"] is not None:
        yield (
            f"Training ended after epoch {search['chosen_epoch']}, the one with the best mean "
            "score over the folds."
        )
    if results["has_subjects"]:
        yield "All recordings of a person are on one side of every split."
    else:
        yield "The recordings name no people, so a person may be on both sides of a split."


def meaning_words(results: Results) -> Iterator[str]:
    """Yield sentences on what the score is."""
    study = results["study"]
    metric = study["metric"]
    yield MEANINGS.get(metric, f"{metric_name(metric)}: {METRICS[metric].meaning}.")
    better = "higher" if study["greater_is_better"] else "lower"
    how = SCALES.get(metric)
    yield f"{better.capitalize()} is better{f'; {how}' if how else ''}."
    classes = results["classes"]
    if classes:
        is_graded = study.get("target", "grade") == "grade"
        told = "; ".join(
            f"{one['name']}: grade{'s' * (len(one['grades']) > 1)} "
            f"{', '.join(map(str, one['grades'])) or 'none'}"
            if is_graded
            else one["name"]
            for one in classes
        )
        yield f"What is to be told apart: {told}."
    if results["procedure"]:
        yield (
            "It is the number of the procedure (a search, then the training of its winner), not of "
            "the one model that is kept: that model has learnt from everybody, so that nobody is "
            "left to test it."
        )
    elif results["external"]:
        yield f"It is the number of {results['external']['models']}, on these people."
    elif results["score"] is not None:
        yield "It is the number of the one model that is kept."


def uncertainty_words(results: Results) -> Iterator[str]:
    """Yield sentences on the interval."""
    score, study = results["score"], results["study"]
    if score is None:
        yield "There is no score, so there is no interval."
        return
    yield f"{interval_words(score)[0].upper()}{interval_words(score)[1:]}."
    if score["truth"]:
        yield f"It covers the score {TRUTHS[score['truth']]}."
    method = (
        "jackknife over people and Student's t, on a scale on which the score is nearly normal"
        if score["is_procedure"] or study["interval"] == "transformed"
        else "percentiles of resampled people, which are too narrow for few people"
    )
    if not score["reason"]:
        yield f"Method: {method}."
        yield (
            "People, not recordings, are the unit."
            if results["has_subjects"]
            else "Each recording counts as a person: where a person has several, the interval is "
            "too narrow."
        )
    spread = results["procedure"]
    if spread.get("sd") is not None:
        yield (
            f"Single outer folds differ: from {number(spread['lowest'])} to "
            f"{number(spread['highest'])}, standard deviation {number(spread['sd'])}."
        )
    another = "a further" if results["external"] else "another"
    yield (
        f"The interval does not cover what {another} clinic, camera or rater would change, and not "
        "the choice of this study among others."
    )


def baseline_words(results: Results) -> Iterator[str]:
    """Yield sentences on what guessing gives."""
    score, metric = results["score"], metric_name(results["study"]["metric"])
    if score is None:
        yield "There is no score to compare."
        return
    for name, value in results["baselines"].items():
        yield f"{name[0].upper()}{name[1:]}, without any recording: {metric} {number(value)}."
    if not results["baselines"]:
        yield "The baselines are not known: this study kept no predictions of its search."
    constant = next((one for one in results["numbers"] if one["table"] == "constant"
                     and one["metric"] == score["metric"] and not one["group"]), None)  # fmt: skip
    if constant:
        yield f"Always the same class, the best one: {metric} {number(constant['value'])}."
    chance = results["chance"]
    if chance and chance["p"] is not None:
        yield (
            f"The whole study {len(chance['permuted'])} times with grades exchanged between "
            f"people: p against chance {number(chance['p'])}."
        )
    gap = results["procedure"].get("optimism")
    if gap is not None:
        side = "better" if gap >= 0 else "worse"
        yield (
            f"Optimism: the searches rated their own winners {number(abs(gap))} {side} than these "
            "people did."
        )


def error_words(results: Results) -> Iterator[str]:
    """Yield sentences on what the model gets wrong."""
    table = results["confusion"]
    if not table:
        yield "Nobody was tested, so errors are not known."
        return
    names = [one["name"] for one in results["classes"]]
    total = sum(map(sum, table))
    right = sum(row[k] for k, row in enumerate(table))
    unit = _unit(results)
    yield f"{right} of {total} {unit} got the right class."
    if results["study"]["decides"]:
        yield "Here each recording has its most probable class, without the chosen decision."
    wrong = [
        (count, true, called)
        for true, row in enumerate(table)
        for called, count in enumerate(row)
        if true != called and count
    ]
    if not wrong:
        yield "No recording was put into a wrong class."
        return
    count, true, called = max(wrong, key=lambda one: (one[0], one[0] / sum(table[one[1]])))
    yield (
        f"The most common error: {count} of {sum(table[true])} {unit} of {names[true]} were "
        f"called {names[called]}."
    )
    far = sum(count for count, true, called in wrong if abs(true - called) > 1)
    if len(table) > 2:
        yield f"{far} of {total - right} errors are by more than one class."


def _unit(results: Results) -> str:
    """Return what is counted: a recording that several repeats scored counts several times."""
    score = results["score"]
    repeated = score is not None and score["num_scorings"] > score["num_recordings"]
    return "scorings of recordings" if repeated else "scored recordings"


def misuse_words(results: Results) -> Iterator[str]:
    """Yield what the result must not be used for."""
    study = results["study"]
    if study["is_synthetic"]:
        yield f"To say anything about patients: this is {SYNTHETIC_MARK}."
    yield (
        "To diagnose, grade or treat a person: pdray is for research and is not a medical device. "
        "The score is of a group; no interval is given for one person."
    )
    yield (
        "To grade people, tasks, cameras or clinics that differ from those of this cohort: nothing "
        "here tests that."
    )
    if results["is_case_control"]:
        yield f"To state how well ill people are found in a clinic. {CASE_CONTROL}"
    if results["procedure"]:
        yield "As the score of the model file: it is the score of the procedure that made it."
    warnings = [one["code"] for one in results["checks"] if one["state"] == "warning"]
    if warnings:
        yield f"As evidence before these warnings are answered: {', '.join(warnings)}."
    yield (
        "To compare with the score of another cohort or split: compare models on the same people, "
        "with the job compare."
    )


def important_numbers(results: Results) -> list[Mapping[str, Any]]:
    """Return the numbers of all scored recordings: those of the procedure, or else the scores."""
    for table in ("procedure", "scores"):
        found = [one for one in results["numbers"] if one["table"] == table and not one["group"]]
        if found:
            return found
    return []


def group_numbers(results: Results) -> list[Mapping[str, Any]]:
    """Return the study's score, or the first one there is, of each group of recordings."""
    rows = [one for one in results["numbers"] if one["table"] == "groups"]
    metrics = {one["metric"] for one in rows}
    metric = results["study"]["metric"]
    if metric not in metrics and rows:
        metric = rows[0]["metric"]
    return [one for one in rows if one["metric"] == metric]


def sorted_checks(results: Results) -> Sequence[Mapping[str, Any]]:
    """Return the checks, warnings first."""
    order = ("warning", "unknown", "muted", "passed")
    checks: list[Mapping[str, Any]] = results["checks"]
    return sorted(checks, key=lambda one: (order.index(one["state"]), one["code"]))


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def _told(shown: Mapping[str, str]) -> str:
    """Return a count in words, as far as it may be told; empty: it may not."""
    people = "" if shown["people"] == HIDDEN else f"{shown['people']} people"
    if shown["recordings"] == HIDDEN:
        return people
    return f"{shown['recordings']} recordings{people and f' of {people}'}"


def _spaced(word: str) -> str:
    return word.replace("_", " ")
