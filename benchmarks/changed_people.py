"""People and networks of :mod:`benchmarks.changed_faces`, drawn and trained once for each seed.

The people who are scored, the judge and the identity network are those of
:mod:`benchmarks.translation`. The generator learns from people of their own, in 3 visits when
healthy and 3 when ill. The guide of HRFAE learns from these people too; it has another architecture
and another seed than the judge, whose people it never sees. For a control there is a second guide,
which learns from the same pictures with classes that are shuffled among the visits.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import pdray
from benchmarks.translation import (
    ILL_FROM,
    PER_VISIT,
    PORTRAIT,
    SETTINGS,
    Size,
    cohort,
    demo,
    ill_grade,
    judged,
    known,
    learn,
    settings_of,
    stored,
    visit,
)
from pdray.atomic import replacing
from pdray.config import build, dump
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.data.cohort.rated import RatedRecording
from pdray.predict.picture_networks import PictureNetwork, picture_network
from pdray.predict.translation_scoring import CohortPictures
from pdray.tracking.run_log import StudyLog
from pdray.training.frozen.features import load_network
from pdray.training.settings import FitConfig

GUIDE: Mapping[str, Any] = {  # not the judge's ResNet
    **SETTINGS,
    "model": {"name": "x3d", "width_factor": 1.0, "depth_factor": 1.0, "num_features": 256,
              "dropout": 0.2},
}  # fmt: skip
GUIDE_SEED = 1  # the judge's is 0
_PACKAGE = Path(pdray.__file__).parent
_DRAWING = ("data/face", "demo")  # folders of the package that decide the pictures


@dataclass(frozen=True)
class People:
    """People of one seed, and the networks that look at them; each is made at its first use.

    Attributes:
        seed: Of all drawings.
        signs: Strength of the signs of the grade in single pictures.
        size: Numbers of people.
        folder: Where everything is kept.
    """

    seed: int
    signs: float
    size: Size
    folder: Path

    @cached_property
    def pictures(self) -> CohortPictures:
        """Pictures of the people who are scored, and ill ones of those who are learnt from."""
        path = self.folder / "cohort.npz"
        if not path.exists():
            drawn = cohort(self.seed, self.signs, self.size)
            arrays: dict[str, Any] = {one.name: getattr(drawn, one.name) for one in fields(drawn)}
            with replacing(path) as whole, whole.open("wb") as file:
                np.savez(file, **arrays)
        with np.load(path) as kept:
            found: dict[str, Any] = {name: kept[name] for name in kept.files}
        for name in ("subjects", "recordings"):
            found[name] = tuple(map(str, found[name]))
        return CohortPictures(**found)

    @cached_property
    def learnt(self) -> tuple[RatedRecording, ...]:
        """Visits of the people whom the generator and its guide learn from.

        The first ill one of each person is among the pictures of the cohort as well.
        """
        config, visits = demo(self.seed, self.signs), self.size.visits
        folder = self._sub("learnt")
        return tuple(
            stored(visit(subject, number, grade), config, int(grade > 0), folder)
            for subject in range(self.size.scored, self.size.scored + self.size.learnt)
            for number in range(2 * visits)
            for grade in [ill_grade(self.seed, subject, number) if number < visits else 0]
        )

    @cached_property
    def shuffled(self) -> tuple[RatedRecording, ...]:
        """Return the same visits with their classes shuffled."""
        classes = np.random.default_rng(self.seed).permutation([one.target for one in self.learnt])
        pairs = zip(self.learnt, classes, strict=True)
        return tuple(replace(one, target=int(target)) for one, target in pairs)

    @cached_property
    def judge(self) -> PictureNetwork:
        """Network that tells ill from healthy."""
        config = settings_of(self.size.judge_epochs)
        asked = judged, self.seed + 1, "judged"
        weights = self._kept("judge", lambda: learn(config, self._draw(*asked), 2))
        return _network("judge", config, 2, weights)

    @cached_property
    def identity(self) -> PictureNetwork:
        """Network that tells people apart."""
        config, count = settings_of(self.size.known_epochs), self.size.known
        asked = known, self.seed + 2, "known"
        weights = self._kept("identity", lambda: learn(config, self._draw(*asked), count))
        return _network("identity", config, count, weights)

    def guide(self, *, is_shuffled: bool = False) -> Path:
        """Return the folder of the guide's study; with ``is_shuffled`` that of the control."""
        name, recordings = "guide", self.learnt
        if is_shuffled:
            name, recordings = "shuffled_guide", self.shuffled
        own = hashlib.sha256(repr(GUIDE).encode()).hexdigest()[:8]
        study, config = StudyLog(self.folder / f"{name}-{own}"), guide_settings(self.size)
        if not study.is_complete():
            weights = learn(config, recordings, 2, seed=GUIDE_SEED)
            _leave(study, config, recordings, weights)
        return study.folder

    @cached_property
    def guide_as_judge(self) -> PictureNetwork:
        """Return the guide, to show what a judge says that guided the method."""
        path = StudyLog(self.guide()).winner.model_path
        weights = torch.load(path, weights_only=True)
        return _network("guide", guide_settings(self.size), 2, weights)

    def _draw(self, group: Callable[..., list[RatedRecording]], seed: int, name: str) -> Any:
        return group(seed, self.signs, self.size, self._sub(name))

    def _sub(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _kept(self, name: str, train: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        """Return weights that were kept, or train and keep them."""
        path = self.folder / f"{name}.pt"
        if not path.exists():
            weights = train()
            with replacing(path) as whole:
                torch.save(weights, whole)
        kept: Mapping[str, Tensor] = torch.load(path, weights_only=True)
        return kept


def people(seed: int, signs: float, size: Size, folder: Path) -> People:
    """Return the people of a seed, whose folder below ``folder`` is named by what decides them."""
    decide = demo(seed, signs), size, SETTINGS, PORTRAIT, PER_VISIT, ILL_FROM
    digest = hashlib.sha256(repr(decide).encode())
    for path in sorted(path for name in _DRAWING for path in (_PACKAGE / name).rglob("*.py")):
        digest.update(path.read_bytes())
    own = folder / f"{seed}-{digest.hexdigest()[:12]}"
    own.mkdir(parents=True, exist_ok=True)
    return People(seed, signs, size, own)


def guide_settings(size: Size) -> FitConfig:
    """Return the settings of a guide."""
    return build(FitConfig, {**GUIDE, "optim": {**GUIDE["optim"], "epochs": size.judge_epochs}})


def _network(
    name: str, config: FitConfig, num_classes: int, weights: Mapping[str, Tensor]
) -> PictureNetwork:
    network = load_network(config, num_classes, weights)
    return picture_network(name, network, config, size=PORTRAIT)


def _leave(
    study: StudyLog,
    config: FitConfig,
    recordings: Sequence[RatedRecording],
    weights: Mapping[str, Tensor],
) -> None:
    """Leave what a finished study leaves, as far as a translator reads it of its guide."""
    settings = {**dump(config), "data": {"grade_cuts": [ILL_FROM]}}
    study.start(name=study.folder.name, settings=settings, tags={"synthetic": "true"})
    subjects = sorted({one.subject_id for one in recordings})
    folds = Folds(frozenset(), (frozenset(subjects[::2]), frozenset(subjects[1::2])))
    study.folds_path.write_text(folds_to_json(folds), encoding="utf-8")
    winner = study.winner
    winner.start(number=0, num_epochs=config.optim.epochs, params={}, settings=dump(config),
                 role="winner")  # fmt: skip
    torch.save(weights, winner.model_path)
    winner.finish(state="complete")
    study.finish(state="complete", best=0)
