"""Guide of a translator: a study's network that grades single pictures.

A guide that has seen the people whose pictures are translated would know them, so of a study each
fold takes a model that did not learn from those whom the fold holds out: the winner, or the kept
fold that held them out too.
"""

from collections.abc import Iterator, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from pdray.config import build
from pdray.data.batches.settings import seen_size
from pdray.data.cohort.folds import Folds, folds_from_json
from pdray.data.modalities import picture_spec
from pdray.earlier import as_begun
from pdray.errors import FoldsError, StudyError
from pdray.models import MODELS
from pdray.plugins import require
from pdray.tracking.run_log import StudyLog
from pdray.tracking.withdrawn import refuse_start
from pdray.training.frozen.features import Backbone, load_network
from pdray.training.objective import TrainingLoss
from pdray.training.settings import FitConfig


class Guide(nn.Module):
    """A trained network on single pictures, with frozen weights; gradients reach the pictures.

    Args:
        config: Settings of its fit.
        network: From :func:`pdray.training.frozen.features.load_network`.
    """

    gain: Tensor
    shift: Tensor

    def __init__(self, config: FitConfig, network: nn.Module) -> None:
        super().__init__()
        self._config, self._objective = config, TrainingLoss(config.loss, None)
        self.network = network.eval().requires_grad_(False)
        spec = picture_spec(config.modality)
        factor, offset = 127.5 / spec.unit, torch.tensor(spec.mean)
        spread = torch.tensor(spec.std)
        self.register_buffer("gain", (factor / spread)[:, None, None], persistent=False)
        self.register_buffer("shift", ((factor - offset) / spread)[:, None, None], persistent=False)

    def train(self, mode: bool = True) -> "Guide":
        """Stay in evaluation mode."""
        return self

    def forward(self, pictures: Tensor) -> Tensor:
        """Return the (B, K) log probabilities of the classes of (B, 3, S, S) pictures in -1..1."""
        return self._objective.log_probabilities(self.network(self._seen(pictures)))

    def features(self, pictures: Tensor) -> Tensor:
        """Return the (B, D) input of the network's last layer."""
        return cast(Backbone, self.network).features(self._seen(pictures))

    def _seen(self, pictures: Tensor) -> Tensor:
        """Return pictures as snippets of one frame, cropped and scaled for the network."""
        height, width = pictures.shape[-2:]
        rows, columns = seen_size(self._config.augment, height=height, width=width)
        top, left = (height - rows) // 2, (width - columns) // 2
        part = pictures[..., top : top + rows, left : left + columns]
        return (part * self.gain + self.shift)[:, :, None]


@dataclass(frozen=True)
class GuideStudy:
    """A finished study whose models may guide a translator.

    Attributes:
        study: Its log.
        settings: All its settings, nested.
        config: The winner's settings.
        folds: Its subjects by side.
    """

    study: StudyLog
    settings: dict[str, Any]
    config: FitConfig
    folds: Folds

    @property
    def num_classes(self) -> int:
        """Number of classes K."""
        return len(self.settings["data"]["grade_cuts"]) + 1

    def models(self) -> Iterator[tuple[Path, frozenset[str]]]:
        """Yield the weights of each of its models, and the subjects that it learnt from."""
        yield self.study.winner.model_path, self.folds.development
        for fold in range(len(self.folds.folds)):
            file = self.study.kept_fold(fold).model_path
            if file.is_file():
                yield file, self.folds.train(fold)

    def model_for(self, held: Set[str]) -> tuple[Path, frozenset[str]] | None:
        """Return its first model that learnt from none of some subjects, if there is one."""
        return next((one for one in self.models() if not one[1] & held), None)

    def load(self, file: Path) -> Guide:
        """Return a model as a guide, on the CPU.

        Raises:
            StudyError: If its weights cannot be read.
        """
        refuse_start(file)
        try:
            weights = torch.load(file, weights_only=True, map_location="cpu")
        except Exception as error:
            reason = str(error).partition("\n")[0]
            raise StudyError(
                f"synthesis.guide: {file}: cannot be read: {reason}; restore it"
            ) from error
        with torch.random.fork_rng(devices=[]):
            return Guide(self.config, load_network(self.config, self.num_classes, weights))


def open_guide(folder: Path) -> GuideStudy:
    """Read the study of a guide.

    Raises:
        StudyError: If it is no complete study, or its network does not grade single pictures.
        PluginError: If it used a plug-in that is not installed here.
    """
    study = StudyLog(folder)
    facts = study.read()
    require(facts["tags"], facts["name"])
    if not (study.winner.exists() and study.winner.read()["state"] == "complete"):
        raise StudyError(
            f"synthesis.guide: study {facts['name']} has no winner; continue it with --resume"
        )
    saved = study.winner.read()["settings"]
    config = build(FitConfig, as_begun(FitConfig, saved, saved))
    if fault := _fault(config):
        raise StudyError(
            f"synthesis.guide: {fault}; use a study of a network that takes single frames, such as "
            "model.name=frame_resnet"
        )
    try:
        folds = folds_from_json(study.folds_path.read_text(encoding="utf-8"))
    except (OSError, FoldsError) as error:
        raise StudyError(f"synthesis.guide: {study.folds_path}: cannot be read: {error}") from error
    return GuideStudy(study, facts["settings"], config, folds)


def _fault(config: FitConfig) -> str:
    """Return why a network cannot grade single pictures; empty if it can."""
    name = config.model.name
    if config.entry.loop != "steps" or config.beside:
        return f"{name} is no network on pictures alone"
    if config.segments.consensus != "none":
        return "its network joins several snippets (segments.consensus)"
    height, width = config.picture_size
    wrong = MODELS[name].faults(config.network, num_frames=1, height=height, width=width)
    return f"{name} takes no single frame: {wrong[0]}" if wrong else ""
