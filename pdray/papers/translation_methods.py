"""Methods of a table of changed pictures: trained translators, and who is scored by them."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from pdray.data.cohort.members import Cohort, compared_sides, rated
from pdray.errors import StudyError, refuse
from pdray.papers.settings import ReproduceConfig
from pdray.predict.translators import Translator, open_translator


def open_methods(config: ReproduceConfig, manifest: str) -> dict[str, Translator]:
    """Open the translators of a table, by the label of their row.

    Args:
        config: Settings of the job.
        manifest: Digest of the table's manifest.

    Raises:
        StudyError: If one cannot be used, or is of another manifest, of other pictures, classes or
            test subjects than the table or the first one; lists all faults.
    """
    found = {
        label: open_translator(folder, f"methods.{label}")
        for label, folder in config.methods.items()
    }
    if not found:
        return {}
    first, one = next(iter(found.items()))
    faults = [
        f"methods.{label}: study {translator.name} has {told}"
        for label, translator in found.items()
        for told in _differences(translator, config, manifest)
    ]
    faults += [
        f"methods.{label}: study {translator.name} has other test subjects than methods.{first}"
        for label, translator in found.items()
        if (translator.folds.test, translator.folds.development)
        != (one.folds.test, one.folds.development)
    ]
    if not one.folds.test:
        faults.append(f"methods.{first}: study {one.name} has no test subjects to score")
    refuse(faults, StudyError, "methods cannot stand in one table")
    return found


def _differences(translator: Translator, config: ReproduceConfig, manifest: str) -> Iterator[str]:
    if translator.manifest != manifest:
        yield "another manifest than the table"
    if translator.size != config.portraits.size:
        yield f"portraits of {translator.size} px; set portraits.size={translator.size}"
    if translator.grade_cuts != tuple(config.data.grade_cuts):
        cuts = ",".join(map(str, translator.grade_cuts))
        yield f"other classes; set data.grade_cuts=[{cuts}]"


def split(
    cohort: Cohort, config: ReproduceConfig, methods: Mapping[str, Translator]
) -> tuple[Cohort, dict[str, int]]:
    """Return who takes part, and the fold that holds each recording out, -1 if none, by its id.

    With methods, their test subjects are held out in one split; else each subject is held out once.
    """
    if methods:
        folds = next(iter(methods.values())).folds
        known = folds.test | folds.development
        rows = tuple(one for one in cohort.recordings if one.subject_id in known)
        held = {one.recording_id: 0 if one.subject_id in folds.test else -1 for one in rows}
        return replace(cohort, recordings=rows), held
    recordings = rated(cohort, config.data, None)
    held = {one.recording_id: -1 for one in recordings}
    for fold, side in enumerate(compared_sides(cohort.folds, recordings)):
        held |= {recordings[place].recording_id: fold for place in side.evaluation}
    return cohort, held
