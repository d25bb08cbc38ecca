"""Trained translators of pictures: the refit of a study, ready to change portraits."""

import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.config import build
from pdray.data.cohort.folds import Folds, folds_from_json
from pdray.earlier import as_begun
from pdray.errors import FoldsError, StudyError
from pdray.plugins import require
from pdray.predict.histograms import match_histograms
from pdray.predict.studied import Studied, open_study
from pdray.tracking.run_log import LEARNT, StudyLog
from pdray.tracking.withdrawn import refuse_start
from pdray.training.settings import FitConfig
from pdray.training.translators.guide import open_guide
from pdray.training.translators.learnt import Learnt, read_learnt
from pdray.training.translators.method import Method
from pdray.training.translators.pictures import as_codes, as_floats

Pictures = NDArray[np.uint8]
_AT_ONCE = 16  # pictures
_CPU = torch.device("cpu")
NO_WEIGHTS = (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError)


@dataclass(frozen=True, eq=False)
class Translator:
    """A translator that learnt from the development subjects of its study.

    Attributes:
        name: Of its study.
        config: Settings of its fit.
        folds: Its subjects by side.
        manifest: Digest of its manifest.
        grade_cuts: What makes its classes.
        learnt: Whom it learnt from, those of its guide included.
        method: The trained method.
    """

    name: str
    config: FitConfig
    folds: Folds
    manifest: str
    grade_cuts: tuple[int, ...]
    learnt: Learnt
    method: Method

    @property
    def size(self) -> int:
        """Height and width of its pictures [px]."""
        return self.config.portraits.size

    def guide(self) -> Studied | None:
        """Return the study that guides it; None if there is none.

        Raises:
            StudyError: If that cannot be read.
        """
        folder = self.config.synthesis.guide
        return None if folder is None else open_study(folder)

    def told(self, label: str) -> str:
        """Return how long it learnt, as a sentence of a table."""
        preset, batch_size = self.config.synthesis.preset, self.config.optim.batch_size
        return (
            f"{label}: {self.config.model.name}, "
            f"{'no preset' if preset is None else f'preset {preset}'}, {self.learnt.num_steps} "
            f"steps of {batch_size} pictures of each side"
        )

    def translate(self, pictures: Pictures, *, strength: float = 1.0) -> Pictures:
        """Return (N, S, S, 3) pictures that are to look like the worst class.

        Args:
            pictures: (N, S, S, 3) uint8 RGB of class 0.
            strength: Of the edit, 0..1.
        """
        worst = self.learnt.num_classes - 1
        made = translate(self.method, pictures, worst, strength=strength)
        return finish(self.method, made, pictures)


def finish(method: Method, made: Pictures, sources: Pictures) -> Pictures:
    """Return made pictures as a method ends with them: what is shown and scored.

    Args:
        method: What made them.
        made: (N, S, S, 3) uint8 RGB.
        sources: (N, S, S, 3) uint8 RGB, of which each was made.
    """
    return match_histograms(made, sources) if method.matches_histograms else made


def translate(
    method: Method, pictures: Pictures, target_class: int, *, strength: float = 1.0
) -> Pictures:
    """Return (N, S, S, 3) pictures that a method made; :func:`finish` is the last step.

    Args:
        method: It is trained.
        pictures: (N, S, S, 3) uint8 RGB of class 0.
        target_class: Class that they are to look like.
        strength: Of the edit, 0..1.
    """
    parts = []
    device = next(method.networks.parameters()).device
    for start in range(0, len(pictures), _AT_ONCE):
        x = as_floats(np.ascontiguousarray(pictures[start : start + _AT_ONCE]), device)
        target = torch.full((len(x),), target_class, device=device)
        made = method.translate(x, target, torch.full((len(x),), strength, device=device))
        parts.append(as_codes(made))
    return np.concatenate(parts)


def open_translator(folder: Path, key: str, *, device: torch.device = _CPU) -> Translator:
    """Open the refit of a study.

    Args:
        folder: ``<output>/studies/<name>``.
        key: The setting that names it, for messages.
        device: Where it runs.

    Raises:
        StudyError: If it is no finished study of a translator of portraits, its weights cannot be
            read, or they learnt from somebody who has withdrawn.
        PluginError: If it used a plug-in that is not installed here.
    """
    study = StudyLog(folder)
    if not study.exists():
        raise StudyError(f"{key}: {folder.name} has no study.json; give the folder of a study")
    facts = study.read()
    require(facts["tags"], facts["name"])
    if not (study.winner.exists() and study.winner.read()["state"] == "complete"):
        raise StudyError(f"{key}: study {facts['name']} has no winner; continue it with --resume")
    saved = study.winner.read()["settings"]
    config = build(FitConfig, as_begun(FitConfig, saved, saved))
    if config.entry.loop != "translate" or config.sees != ("portraits",):
        raise StudyError(
            f"{key}: study {facts['name']} has a {config.model.name} on {', '.join(config.sees)}; "
            "give a study of a translator with modality=portraits"
        )
    refuse_start(study.winner.model_path)
    learnt = read_learnt(study.winner.folder / LEARNT)
    try:
        folds = folds_from_json(study.folds_path.read_text(encoding="utf-8"))
        weights = torch.load(study.winner.model_path, weights_only=True, map_location="cpu")
        method = load_method(config, learnt.num_classes, weights, device=device)
    except (FoldsError, *NO_WEIGHTS) as error:
        told = " ".join(str(error).split())[:200]
        raise StudyError(f"{key}: study {facts['name']} cannot be read: {told}") from error
    return Translator(
        name=facts["name"],
        config=config,
        folds=folds,
        manifest=str(facts["tags"].get("manifest_digest")),
        grade_cuts=tuple(facts["settings"]["data"]["grade_cuts"]),
        learnt=learnt,
        method=method,
    )


def load_method(
    config: FitConfig,
    num_classes: int,
    weights: Mapping[str, Tensor],
    *,
    device: torch.device = _CPU,
) -> Method:
    """Return a method with its trained weights, in evaluation mode.

    Args:
        config: Settings of its fit.
        num_classes: Classes K.
        weights: Of all its networks.
        device: Where it runs.
    """
    given = {}
    if config.entry.is_guided and config.synthesis.guide is not None:
        guide = open_guide(config.synthesis.guide)
        given["guide"] = guide.load(guide.study.winner.model_path)
    with torch.random.fork_rng(devices=[]):
        method: Method = resolve_name(config.entry.learner)(config, num_classes, **given)
    method.networks.load_state_dict(weights)
    method.networks.to(device)
    method.networks.eval()
    return method
