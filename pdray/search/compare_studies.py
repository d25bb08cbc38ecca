"""Compares the held-out predictions of studies and of tables of other programs."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from pdray.atomic import safe_name, write_text
from pdray.config import require_writable, value_at
from pdray.data.cohort.settings import target_of
from pdray.errors import SettingsError, StudyError, refuse
from pdray.evaluation.comparison_report import comparison_text
from pdray.evaluation.comparison_tests import comparison_frame, comparison_numbers
from pdray.evaluation.foreign import read_foreign
from pdray.evaluation.metrics import metric_named
from pdray.evaluation.pairing import Predicted, pair
from pdray.evaluation.predictions import read_predictions
from pdray.evaluation.procedure import pooled
from pdray.search.compare_settings import CompareStudiesConfig
from pdray.search.evaluating import outer_folds
from pdray.tracking.run_log import StudyLog, TrialLog, study_around
from pdray.tracking.scorings import note_study, read_scorings, scored_studies
from pdray.tracking.withdrawn import withdrawn_notes

_DEFAULT_METRIC = "mcc"
_UNNAMED = (
    "each recording counts as a subject of its own; if a person has several, intervals are too "
    "narrow and p is too small"
)


@dataclass(frozen=True)
class _Source:
    """What one word of the command line brings.

    Attributes:
        models: Its models.
        study: The study that they are of; None of a table of another program.
        notes: What a reader should know about it.
    """

    models: tuple[Predicted, ...]
    study: "_Study | None"
    notes: tuple[str, ...] = ()


class _Study:
    """What a study says about its models."""

    def __init__(self, log: StudyLog) -> None:
        facts = log.read()
        self.log, self.name = log, str(facts["name"])
        settings, tags = facts["settings"], facts["tags"]
        self.metric = str(value_at(settings, "search.metric") or _DEFAULT_METRIC)
        self.manifest = Path(str(value_at(settings, "data.manifest"))).name
        self.digest = tags.get("manifest_digest")
        cuts = value_at(settings, "data.grade_cuts")
        is_told = target_of(settings) == "diagnosis"
        self._about: dict[str, Any] = {
            "manifest": self.digest,
            "cuts": None if cuts is None else f"{cuts}{' of the diagnosis' * is_told}",
            "synthetic": tags.get("synthetic") == "true",
        }

    @property
    def output(self) -> Path:
        """The output folder of the study, which is <output>/studies/<name>."""
        return self.log.folder.absolute().parents[1]

    def model(self, name: str, table: pd.DataFrame) -> Predicted:
        """Return one of its models."""
        return Predicted(name, table, **self._about)


def compare_studies(config: CompareStudiesConfig) -> str:
    """Compare models, write ``comparison.csv`` and ``comparison.txt``, and return the report.

    Raises:
        PdrayError: If a study or a table cannot be read, or they cannot be compared; nothing is
            written then.
    """
    places = [place.absolute().stem for place in config.studies]
    name = config.name or safe_name("-".join(places))
    folder = config.output / "comparisons" / name
    require_writable(folder, key="output")
    sources = [_source(place) for place in config.studies]
    models = _chosen(_distinct(sources), config.compare.models)
    metrics = _metrics(sources, config.compare.metrics)
    paired = pair(models, common_rows=config.compare.common_rows)
    numbers = comparison_numbers(paired, config.compare, metrics)
    notes = [note for one in sources for note in one.notes]
    if (paired.rows["subject_id"] == paired.rows["recording_id"]).all():
        notes.append(_UNNAMED)
    text = comparison_text(
        paired,
        numbers,
        config.compare,
        notes=[*notes, *_looks(sources), *_note(sources)],
        synthetic=any(one.synthetic for one in models),
    )
    write_text(folder / "comparison.csv", comparison_frame(numbers).to_csv(index=False))
    write_text(folder / "comparison.txt", f"{text}\n")
    return f"{text}\n\nfiles      {folder}"


def _source(place: Path) -> _Source:
    if place.is_dir():
        return _of_study(_Study(StudyLog(place)))
    found = read_foreign(place)
    log = study_around(place)
    study = None if log is None else _Study(log)
    splits = sorted(found.table["split"].unique())
    if len(splits) > 1:
        raise StudyError(
            f"{place.name} has rows of the splits {', '.join(splits)}; keep those of one split, "
            "best of test"
        )
    whole = place.stem if study is None else f"{study.name}:{place.absolute().parent.name}"
    models = tuple(
        study.model(name, table) if study else Predicted(name, table, synthetic=found.is_synthetic)
        for name, table in _by_trial(whole, found.table)
    )
    return _Source(models, study, tuple(f"{place.stem}: {note}" for note in found.notes))


def _by_trial(name: str, table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Yield the models of a table: one, or its trials, if they scored the same recordings."""
    once = ["outer_fold", "fold", "seed", "recording_id"]
    trials = table[[*once, "study", "trial"]].drop_duplicates()
    if not trials.duplicated(once).any():
        yield name, table
        return
    several = table["study"].nunique() > 1
    for (study, trial), rows in table.groupby(["study", "trial"]):
        yield f"{name}:{f'{study}:' if several else ''}{trial}", rows


def _of_study(study: _Study) -> _Source:
    """Return the winner of a search, the winners of its outer folds, or fixed trials."""
    if study.log.pooled_path.is_file():
        table, _ = pooled(outer_folds(study.log))
        return _Source((study.model(study.name, table),), study, withdrawn_notes(study.log))
    models = []
    for name, log in _logs(study.log, study.name):
        state = log.read()["state"]
        if state != "complete":
            raise StudyError(f"study {study.name}: {name} is {state}; finish the study first")
        models.append(study.model(name, read_predictions(log.predictions_path)))
    return _Source(tuple(models), study, withdrawn_notes(study.log))


def _logs(study: StudyLog, name: str) -> list[tuple[str, TrialLog]]:
    if study.winner.exists():
        return [(name, study.winner)]
    fixed = [log for log in study.trials() if log.read()["role"] == "fixed"]
    if not fixed:
        raise StudyError(
            f"study {name} has no winner yet, so there are no predictions of held-out recordings; "
            "finish the study first, or name files of predictions"
        )
    return [(f"{name}:{log.read()['label']}", log) for log in fixed]


def _distinct(sources: Sequence[_Source]) -> list[Predicted]:
    """Return all models; of equal names the later ones get a number."""
    seen: Counter[str] = Counter()
    found = []
    for model in (one for source in sources for one in source.models):
        seen[model.name] += 1
        number = seen[model.name]
        found.append(replace(model, name=f"{model.name}#{number}") if number > 1 else model)
    return found


def _chosen(models: Sequence[Predicted], names: Sequence[str] | None) -> list[Predicted]:
    known = {one.name: one for one in models}
    listed = ", ".join(known)
    unknown = [f"compare.models: no model '{name}'; write some of {listed}"
               for name in names or () if name not in known]  # fmt: skip
    refuse(unknown, SettingsError, "settings")
    chosen = [known[name] for name in dict.fromkeys(names)] if names else list(models)
    if len(chosen) < 2:
        raise SettingsError(f"there is one model, {listed}; name two studies or tables to compare")
    return chosen


def _metrics(sources: Sequence[_Source], asked: Sequence[str] | None) -> list[str]:
    """Return the metrics to compare: those asked for, else the one of the studies."""
    if asked is None:
        of_studies = sorted({one.study.metric for one in sources if one.study})
        if len(of_studies) > 1:
            raise SettingsError(
                f"the studies chose their winners by {' and '.join(of_studies)}; name the scores "
                "to compare with compare.metrics"
            )
        asked = of_studies or [_DEFAULT_METRIC]
    for name in asked:
        metric_named(name)
    return list(dict.fromkeys(name.rpartition("/")[2] for name in asked))


def _looks(sources: Sequence[_Source]) -> list[str]:
    """Say how often recordings of the manifests were scored, as far as the output folders know."""
    places = {
        (one.study.output, one.study.digest, one.study.manifest): None
        for one in sources
        if one.study
    }
    notes = []
    for output, digest, manifest in places:
        listed = sum(
            row.digest == digest if row.digest else row.manifest == manifest
            for row in read_scorings(output)
        )
        scored = len(scored_studies(output, digest))
        notes.append(
            f"{scored} {'study has' if scored == 1 else 'studies have'} scored held-out recordings "
            f"of {manifest} in this output folder, and scorings.csv lists {listed} more "
            f"{'look' if listed == 1 else 'looks'} at this manifest (of earlier versions: at "
            "one of this name); each look at the same recordings makes a chance finding likelier"
        )
    if not all(one.study for one in sources):
        notes.append("how often the recordings of a table were scored is not known")
    return notes


def _note(sources: Sequence[_Source]) -> list[str]:
    """Add this comparison to the list of scorings of each study; return what could not be noted."""
    faults = []
    tested = {
        one.study.log.folder.absolute(): one.study
        for one in sources
        if one.study and all((model.table["split"] == "test").all() for model in one.models)
    }
    for study in tested.values():
        runs = "; ".join(dict.fromkeys(one.name for source in sources for one in source.models))
        try:
            note_study(study.output, study.log, job="compare", model=runs)
        except OSError as error:  # the study of somebody else
            faults.append(f"{study.name}: scorings.csv cannot be written: {error.strerror}")
    return faults
