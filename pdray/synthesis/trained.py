"""The methods ``cyclegan``, ``cut`` and ``hrfae``: trained translators of finished studies.

A study has several models: its winner, and the winner without each of its folds. Each set takes the
model that learnt from nobody but people of the set's training side who agreed to ``learn``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch

from pdray.atomic import file_digest
from pdray.data.cohort.manifest import Recording
from pdray.errors import DecodeError, StudyError, refuse
from pdray.predict.studied import Studied, open_study
from pdray.predict.translators import NO_WEIGHTS, load_method
from pdray.synthesis.people import People
from pdray.synthesis.pictures import PictureEditor, Sources, picture_faults
from pdray.synthesis.settings import SynthesizeConfig
from pdray.tracking.run_log import StudyLog, TrialLog
from pdray.tracking.withdrawn import refuse_start
from pdray.training.translators.learnt import Learnt, read_learnt
from pdray.training.translators.method import Method


@dataclass(frozen=True, eq=False)
class Model:
    """A model of a study.

    Attributes:
        studied: The study.
        log: Of the winner, or of one of its folds.
        learnt: Whom it learnt from, those of its guide included.
    """

    studied: Studied
    log: TrialLog
    learnt: Learnt

    @property
    def name(self) -> str:
        """Its place in the study."""
        return str(self.log.folder.relative_to(self.studied.study.folder))

    @cached_property
    def method(self) -> Method:
        """The translator with its weights, ready to translate."""
        refuse_start(self.log.model_path)
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            weights = torch.load(self.log.model_path, weights_only=True, map_location="cpu")
            config = self.studied.config
            return load_method(config, self.learnt.num_classes, weights, device=device)
        except NO_WEIGHTS as error:
            told = " ".join(str(error).split())[:200]
            raise StudyError(
                f"synthesis.study: {self.name}/model.pt of study {self.studied.name} cannot be "
                f"read: {told}; restore it"
            ) from error


def learns(config: SynthesizeConfig) -> bool:
    """Return whether the method learns from others."""
    return True


def fit(config: SynthesizeConfig, sets: Mapping[str, People]) -> dict[str, PictureEditor]:
    """Return the model of each set, ready to make pictures.

    Args:
        config: Settings.
        sets: What each is made of.

    Raises:
        StudyError: If a study cannot be used, or a set has no model; with every fault.
        DecodeError: If sources have no portraits, or their faces are too small; names each.
    """
    studies = [_open(config, folder) for folder in config.synthesis.study]
    models = [model for one in studies for model in _models(one)]
    chosen = _choose(models, sets)
    _refuse_sources(chosen, sets)
    sources = Sources()
    return {name: _editor(model, sources) for name, model in chosen.items()}


def _open(config: SynthesizeConfig, folder: Path) -> Studied:
    """Return a study of the method, with the classes of the job."""
    if not StudyLog(folder).exists():
        raise StudyError(
            f"synthesis.study: got '{folder}', which has no study.json; write the folder of a "
            f"finished study of {config.method}, such as ~/pdray_output/studies/{config.method}"
        )
    studied = open_study(folder)
    name, fit_config = studied.config.model.name, studied.config
    faults = []
    if name != config.method:
        faults.append(f"it is of the model {name}; give method={name}, or another study")
    if fit_config.sees != ("portraits",):
        seen = ", ".join(fit_config.sees)
        faults.append(f"its pictures are {seen}; train one with modality=portraits")
    for key in ("grade_cuts", "target"):
        own, asked = getattr(studied.data, key), getattr(config.data, key)
        if own != asked:
            faults.append(f"its classes are of data.{key}={_word(own)}, not {_word(asked)}")
    if not studied.study.winner.learnt_path.is_file() and not faults:
        faults.append("it has no winner/learnt.json; restore it, or train it again")
    headline = f"synthesis.study: study {studied.name} cannot be used with method={config.method}"
    refuse(faults, StudyError, headline)
    return studied


def _word(value: object) -> str:
    return f"[{','.join(map(str, value))}]" if isinstance(value, tuple) else str(value)


def _models(studied: Studied) -> list[Model]:
    study = studied.study
    folds = [study.kept_fold(number) for number in range(len(studied.folds.folds))]
    logs = [one for one in (study.winner, *folds) if one.model_path.is_file()]
    return [Model(studied, one, read_learnt(one.learnt_path)) for one in logs]


def _choose(models: Sequence[Model], sets: Mapping[str, People]) -> dict[str, Model]:
    """Return for each set the model that learnt from most people, of those that may be taken."""
    found, faults = {}, []
    for name, people in sets.items():
        allowed = {one.recording.subject_id for one in people.learnt}
        others = {model: len({*model.learnt.subjects} - allowed) for model in models}
        free = [model for model in models if not others[model]]
        if free:
            found[name] = max(free, key=lambda model: len(model.learnt.subjects))
        else:
            nearest = min(others, key=lambda model: others[model])
            faults.append(
                f"set {name}: each model learnt from others too; {nearest.name} of "
                f"{nearest.studied.name} from the fewest, {others[nearest]}"
            )
    headline = (
        "synthesis.study: every set needs a model that learnt from nobody but people of its "
        "training side who agreed to 'learn'; train a study with the data.* and folds.* of this "
        "job, and with the people who agree today; or set synthesis.protocol to that of the study"
    )
    refuse(faults, StudyError, headline)
    return found


def _refuse_sources(chosen: Mapping[str, Model], sets: Mapping[str, People]) -> None:
    """Refuse sources of which no network could make pictures, before anything is made."""
    found: dict[tuple[str, int], tuple[Recording, Studied]] = {}
    for name, model in chosen.items():
        studied = model.studied
        for one in sets[name].sources:
            found[one.recording_id, studied.config.portraits.size] = one, studied
    faults = [
        fault
        for one, studied in found.values()
        for fault in picture_faults(one, studied.store.recipe, studied.config.portraits.size)
    ]
    headline = (
        "no made recordings of some sources; give landmarks of larger faces, or train with a "
        "smaller portraits.size"
    )
    refuse(faults, DecodeError, headline)


def _editor(model: Model, sources: Sources) -> PictureEditor:
    learnt, studied = model.learnt, model.studied
    people = f"{len(learnt.subjects)} people"
    return PictureEditor(
        method=model.method,
        size=studied.config.portraits.size,
        store=studied.store,
        learnt_subjects=learnt.subjects,
        learnt_contents=learnt.contents,
        weights=file_digest(model.log.model_path),
        study=studied.name,
        seed=learnt.seed,
        told=(f"{model.name} of study {studied.name}, which learnt from {people}",),
        found=sources,
    )
