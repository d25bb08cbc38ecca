"""Tests whether translators change SYNTHETIC faces as they should: all measures must agree.

    python -m benchmarks.changed_faces                      # seeds 620 and 630
    python -m benchmarks.changed_faces quick=true           # only a test run; ignore its numbers
    python -m benchmarks.changed_faces seed=400 methods=[cut] shuffled=false keep=faces \
        model.learning_rate=0.0005                          # one method with other settings

CycleGAN, CUT and HRFAE learn at ``synthesis.preset=demo`` from 60 people, and change pictures of 60
others, whom a judge and an identity network score that know neither
(:mod:`benchmarks.translation`). A method counts only if all measures agree: the judge calls more
pictures ill, they move towards the person's ill picture more than towards a healthy one, they still
show the right person, and inside the face they are nearer to the true picture than the source is.
Two controls must fail: the same training with shuffled classes, and, as a warning, the guide of
HRFAE as its own judge. A rival without a network adds to every picture the same change: the mean
ill portrait of those who are learnt from, less their mean healthy one.

No reported score was used for a choice: settings were chosen on cohorts of seeds below 600. Words
with a dot are settings of the fits. ``keep`` names a folder for what is drawn and trained for each
seed, to be used again.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import torch

from benchmarks.changed_people import People, people
from benchmarks.translation import PORTRAIT, QUICK, SIGNS, Limit, Size, learn
from pdray import plain_yaml
from pdray.config import build, merge, nest
from pdray.data.batches.frames import FrameReader
from pdray.data.batches.pairs import steps_per_epoch
from pdray.data.cohort.rated import RatedRecording
from pdray.evaluation.translation_rows import SOURCE
from pdray.evaluation.translation_scores import Measure, RowScores
from pdray.papers.translation_table import Printed, translation_text
from pdray.predict.translation_scoring import Judges, TranslationScoring
from pdray.predict.translators import Pictures, finish, load_method, translate
from pdray.training.settings import FitConfig
from pdray.training.translators.method import Method

SEEDS, QUICK_SEEDS = (620, 630), (400,)  # those of choices were below 600
METHODS, GUIDED = ("cyclegan", "cut", "hrfae"), "hrfae"
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
SHUFFLED = "{} shuffled"
MEAN = "mean change, no network"
QUICK_FIT = {"optim": {"epochs": 1}, "synthesis": {"frames": 1}, "model": {"num_blocks": 1}}
Made = TypeVar("Made")


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
        seeds: Of the cohorts.
        methods: Names of translators.
        shuffled: Whether the control with shuffled classes is trained.
        size: Numbers of people.
        signs: Strength of the signs of the grade.
        keep: Folder of what is kept; None: nothing is.
        given: Settings of the fits, nested.
    """

    seeds: tuple[int, ...]
    methods: tuple[str, ...]
    shuffled: bool
    size: Size
    signs: float
    keep: Path | None
    given: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """What a seed gave.

    Attributes:
        rows: Scores by row: the controls, the rival without a network, the methods, and these with
            shuffled classes.
        rising: Mean probability of ill by the judge at each strength of the edit of HRFAE.
        guided: Share that the guide calls ill, of the pictures that it guided; None without HRFAE.
        told: Sentences on each fit.
        seconds: CPU seconds of each part.
    """

    rows: dict[str, RowScores]
    rising: tuple[float, ...]
    guided: float | None
    told: tuple[str, ...]
    seconds: Mapping[str, float]


class Clock:
    """CPU seconds of parts of a run, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def timed(self, name: str, make: Callable[[], Made]) -> Made:
        """Return what a function returns, and add its CPU seconds to a part."""
        before = time.process_time()
        made = make()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.process_time() - before
        return made


def fit_settings(name: str, some: People, asked: Asked, *, is_shuffled: bool) -> FitConfig:
    """Return the settings of a translator."""
    tree: dict[str, Any] = {
        "modality": "portraits", "portraits": {"size": PORTRAIT}, "model": {"name": name},
        "synthesis": {"preset": "demo"},
    }  # fmt: skip
    if name == GUIDED:
        tree["synthesis"]["guide"] = str(some.guide(is_shuffled=is_shuffled))
    if asked.size is QUICK:
        merge(tree, QUICK_FIT)
    return build(FitConfig, merge(tree, asked.given))


def fit_told(label: str, config: FitConfig, some: People) -> str:
    """Return how long a translator learns, as a sentence."""
    num_ill = sum(one.target for one in some.learnt)
    per_epoch = steps_per_epoch(
        len(some.learnt) - num_ill,
        num_ill,
        frames=config.synthesis.frames,
        batch_size=config.optim.batch_size,
    )
    return (
        f"{label}: preset {config.synthesis.preset}, {config.optim.epochs} epochs of {per_epoch} "
        f"steps of {config.optim.batch_size} pictures of each side"
    )


def fit(config: FitConfig, some: People, *, is_shuffled: bool) -> Method:
    """Return a trained translator."""
    recordings = some.shuffled if is_shuffled else some.learnt
    return load_method(config, 2, learn(config, recordings, 2, seed=some.seed))


def measure(some: People, asked: Asked) -> Found:
    """Return the scores of a seed's people."""
    clock = Clock()
    pictures = clock.timed("people who are scored", lambda: some.pictures)
    judge = clock.timed("judge", lambda: some.judge)
    identity = clock.timed("identity network", lambda: some.identity)
    clock.timed("people who are learnt from", lambda: some.learnt)
    judges = Judges(judge, identity, identity, some.folder / "seen")
    scoring = clock.timed("scoring", lambda: TranslationScoring(pictures, judges))
    rows = clock.timed("scoring", scoring.controls)
    sources = pictures.pictures[scoring.sources]
    rows[MEAN] = clock.timed(
        "scoring", lambda: _score(scoring, with_mean_change(some.learnt, sources))
    )
    print(f"{MEAN}: {_row_told(rows[MEAN], rows[SOURCE])}", flush=True)
    found = Found(rows, (), None, (), clock.seconds)
    for name, is_shuffled in _runs(asked):
        label = SHUFFLED.format(name) if is_shuffled else name
        if name == GUIDED:
            clock.timed("guides", partial(some.guide, is_shuffled=is_shuffled))
        config = fit_settings(name, some, asked, is_shuffled=is_shuffled)
        method = clock.timed(label, partial(fit, config, some, is_shuffled=is_shuffled))
        changed = made_of(method, sources)
        rows[label] = clock.timed("scoring", partial(_score, scoring, changed))
        found = replace(found, told=(*found.told, fit_told(label, config, some)))
        print(f"{label}: {_row_told(rows[label], rows[SOURCE])}", flush=True)
        if name == GUIDED and not is_shuffled:
            guide = some.guide_as_judge.probabilities(changed)
            guided = float((guide[:, 1] > 0.5).mean())
            found = replace(found, rising=_rising(method, sources, judges), guided=guided)
    return found


def with_mean_change(learnt: Sequence[RatedRecording], sources: Pictures) -> Pictures:
    """Return pictures to which the difference of the mean ill and healthy portrait is added.

    Args:
        learnt: Recordings of the people whom a generator learns from.
        sources: (N, S, S, 3) uint8.
    """
    means = []
    for target in (1, 0):
        some = [one for one in learnt if one.target == target]
        reader = FrameReader(some, "portraits")
        places = [(place, n) for place in range(len(some)) for n in range(reader.length(place))]
        means.append(reader.read(places).mean(axis=0))
    changed: Pictures = (sources + (means[0] - means[1])).round().clip(0, 255).astype(np.uint8)
    return changed


def _runs(asked: Asked) -> Iterator[tuple[str, bool]]:
    for is_shuffled in (False, True)[: 1 + asked.shuffled]:
        for name in asked.methods:
            yield name, is_shuffled


def made_of(method: Method, sources: Pictures, strength: float = 1.0) -> Pictures:
    """Return what a method makes of pictures, as it is shown."""
    return finish(method, translate(method, sources, 1, strength=strength), sources)


def _score(scoring: TranslationScoring, changed: Pictures) -> RowScores:
    return scoring.score(changed, np.arange(len(changed)))


def _rising(method: Method, sources: Pictures, judges: Judges) -> tuple[float, ...]:
    nobody = [""] * len(sources)
    return tuple(
        float(judges.see(made_of(method, sources, one), nobody).ill.mean()) for one in STRENGTHS
    )


def limits(found: Found, methods: Sequence[str]) -> list[Limit]:
    """Return what the methods and their controls must show, and whether they do."""
    source, made = found.rows[SOURCE], []
    all_four = 0
    for name in methods:
        four = _four(name, found.rows[name], source)
        all_four += all(one.holds for one in four)
        made += [*four, _kernel(name, found.rows[name], source)]
    if len(methods) == len(METHODS):
        made.append(
            Limit("all four limits hold for at least two methods", str(all_four), all_four > 1)
        )
    if found.rising:
        is_rising = all(a < b for a, b in zip(found.rising, found.rising[1:], strict=False))
        shown = ", ".join(f"{one:.3f}" for one in found.rising)
        told = f"{GUIDED}: the judge's mean probability of ill rises with the strength"
        made.append(Limit(told, shown, is_rising))
    if found.guided is not None:
        called = _value(found.rows[GUIDED].called_ill)
        told = (
            f"{GUIDED}, a warning: the guide as judge calls more ill than the judge, {called:.3f}"
        )
        made.append(Limit(told, f"{found.guided:.3f}", found.guided > called))
    for name in methods:
        row = found.rows.get(SHUFFLED.format(name))
        if row is not None:
            told = f"{SHUFFLED.format(name)}: excess within +-0.1"
            excess = _value(row.excess)
            made.append(Limit(told, f"{excess:.3f}", abs(excess) <= 0.1))
    return made


def _four(name: str, row: RowScores, source: RowScores) -> list[Limit]:
    called, least = _value(row.called_ill), _value(source.called_ill) + 0.35
    excess, low = _value(row.excess), row.excess.low
    right, share = _value(row.right_person), _value(row.error) / _value(source.error)
    interval = "no interval" if low is None else f"its interval from {low:.3f}"
    return [
        Limit(f"{name}: CLS at least {least:.3f}, 0.35 above the source", f"{called:.3f}",
              called >= least),
        Limit(f"{name}: excess at least 0.2, its interval above 0", f"{excess:.3f}, {interval}",
              excess >= 0.2 and low is not None and low > 0),
        Limit(f"{name}: right person at least 0.9", f"{right:.3f}", right >= 0.9),
        Limit(f"{name}: error at most 0.9 of the source's", f"{share:.3f}", share <= 0.9),
    ]  # fmt: skip


def _kernel(name: str, row: RowScores, source: RowScores) -> Limit:
    own, theirs = _value(row.kernel_ill), _value(source.kernel_ill)
    told = f"{name}: kernel distance from ill faces below that of the source, {theirs:.5f}"
    return Limit(told, f"{own:.5f}", own < theirs)


def _row_told(row: RowScores, source: RowScores) -> str:
    return ", ".join(
        f"{told} {_value(getattr(row, name)):.3f} (source {_value(getattr(source, name)):.3f})"
        for told, name in (
            ("CLS", "called_ill"), ("excess", "excess"), ("right person", "right_person"),
            ("error", "error"), ("KD ill", "kernel_ill"),
        )
    )  # fmt: skip


def _value(measure: Measure) -> float:
    """Return a score; NaN, with which no limit holds, where it is absent."""
    return float("nan") if measure.value is None else measure.value


def read_words(words: Sequence[str]) -> tuple[Asked | None, str]:
    """Return what a command line asks for, or what is wrong with it."""
    given = dict(word.partition("=")[::2] for word in words)
    settings = {key: plain_yaml.load(text) for key, text in given.items() if "." in key}
    own = {key: text for key, text in given.items() if "." not in key}
    known = ("quick", "signs", "seed", "methods", "shuffled", "keep")
    if unknown := sorted(own.keys() - {*known}):
        return None, f"unknown {', '.join(unknown)}; use {', '.join(known)}, or section.key=value"
    size = QUICK if own.get("quick") == "true" else Size()
    usual = QUICK_SEEDS if size is QUICK else SEEDS
    methods = tuple(plain_yaml.load(own.get("methods", "null")) or METHODS)
    if wrong := [name for name in methods if name not in METHODS]:
        return None, f"methods: unknown {', '.join(wrong)}; choose from {', '.join(METHODS)}"
    return Asked(
        (int(own["seed"]),) if "seed" in own else usual, methods, own.get("shuffled") != "false",
        size, float(own.get("signs", SIGNS)), Path(own["keep"]) if "keep" in own else None,
        nest(settings),
    ), ""  # fmt: skip


def main(words: list[str]) -> int:
    """Print the rows of each cohort and whether each limit holds; return 1 if one is missed."""
    asked, wrong = read_words(words)
    if asked is None:
        print(f"error: {wrong}")
        return 2
    torch.set_num_threads(1)
    missed = 0
    for seed in asked.seeds:
        with nullcontext(asked.keep) if asked.keep else TemporaryDirectory() as folder:
            found = measure(people(seed, asked.signs, asked.size, Path(folder)), asked)
        printed = Printed(
            title=f"Changed faces, seed {seed}, static_signs={asked.signs:g}", paper={},
            not_built=(), network="identity", extent=found.told, synthetic=True,
        )  # fmt: skip
        print(translation_text(printed, found.rows), "\n")
        for one in limits(found, asked.methods):
            print(f"{'holds ' if one.holds else 'MISSED'}  {one.told}: {one.value}")
            missed += not one.holds
        for name, seconds in found.seconds.items():
            print(f"{seconds:.0f} CPU seconds  {name}")
        print(f"{sum(found.seconds.values()):.0f} CPU seconds in all\n", flush=True)
    return int(missed > 0 and asked.size is not QUICK)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
