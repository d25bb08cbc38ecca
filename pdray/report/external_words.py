"""Further sentences of a report whose recordings are from elsewhere: an external validation.

Each function yields nothing of a report on the recordings of the study itself.
"""

from collections.abc import Iterator

from pdray.checks.finding import counted
from pdray.report.words import Results, interval_words, metric_name, number


def apart_words(results: Results) -> Iterator[str]:
    """Yield sentences on how people of the study were kept out, and on strange recordings."""
    external = results["external"]
    if external is None:
        return
    if external["other_people"]:
        yield (
            "Nobody who took part in the study is scored, as far as a file that it read tells: "
            "equal ids were said to be of other people."
        )
    else:
        yield (
            "Nobody who took part in the study is scored: an id that is equal or looks alike and a "
            "file that the study read are of the same person."
        )
    if external["unlike"]:
        yield f"Recordings that differ from those of the study: {external['unlike']}."


def before_words(results: Results) -> Iterator[str]:
    """Yield how often the study scored some of these people before."""
    external = results["external"]
    if external is not None and (times := external["before"]):
        yield (
            f"This study scored some of these people {counted(times, 'time')} before: "
            "whoever reports the best of several scores reports luck."
        )


def development_words(results: Results) -> Iterator[str]:
    """Yield the score of the study itself."""
    external = results["external"]
    if external is None:
        return
    score = external["score"]
    if score is None:
        yield "The study itself tested nobody, so it has no score to compare with."
        return
    whose = "its procedure" if score["table"] == "procedure" else "its refit"
    yield (
        f"In the study itself, {whose} on {counted(score['num_subjects'], 'person', 'people')}: "
        f"{metric_name(score['metric'])} {number(score['value'])}; {interval_words(score)}. Both "
        "data sets differ in people, cameras and raters, so a difference says nothing of the model "
        "alone."
    )


def calibration_words(results: Results) -> Iterator[str]:
    """Yield sentences on calibration in the large: how frequent each class is, and should be."""
    if results["external"] is None:
        return
    rows = [one for one in results["numbers"] if one["table"] == "large"]
    for group in dict.fromkeys(one["group"] for one in rows):
        found = {one["metric"]: one for one in rows if one["group"] == group}
        gap, seen = found["observed_minus_expected"], number(found["observed"]["value"])
        yield (
            f"{group[0].upper()}{group[1:]}: {seen} of the recordings are of it, the model expects "
            f"{number(found['expected']['value'])}; difference {number(gap['value'])}, "
            f"{interval_words(gap)}."
        )
    for one in results["numbers"]:
        if one["table"] == "calibration" and one["metric"] in ("intercept", "slope"):
            right = "0" if one["metric"] == "intercept" else "1"
            told = one["undefined"] or f"{number(one['value'])}, {interval_words(one)}"
            yield f"Calibration {one['metric']} of {one['group']} ({right} is right): {told}."


def misuse_words(results: Results) -> Iterator[str]:
    """Yield what these people must not be used for."""
    if results["external"] is not None:
        yield (
            "To choose a model, a threshold or a calibration: people on whom something was chosen "
            "are no external validation of it."
        )
