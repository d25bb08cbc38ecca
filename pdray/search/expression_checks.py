"""Checks of studies on expressions, before their first trial: phrases and files of intensities."""

from collections.abc import Iterable

from pdray.data.cohort.members import Cohort
from pdray.data.cohort.settings import ACTION
from pdray.data.face.intensity_checks import check_intensities
from pdray.errors import SettingsError, refuse
from pdray.models.networks.expression_clip_settings import ExpressionClipConfig
from pdray.training.phrase_classes import expressions_by_name, phrase_faults
from pdray.training.settings import FitConfig


def check_expressions(fits: Iterable[FitConfig], cohort: Cohort) -> None:
    """Refuse phrases of other classes, and intensities that do not belong together.

    Args:
        fits: Settings of the trials.
        cohort: Recordings of the study.

    Raises:
        SettingsError: If a class has the phrase of another expression, by its name.
        DecodeError: If files of intensities are not of one network, or of people whom it knows.
    """
    faults: dict[str, None] = {}
    is_named = {one.item for one in cohort.recordings} == {ACTION}
    for config in fits:
        if is_named and isinstance(config.model, ExpressionClipConfig):
            named = expressions_by_name(cohort.manifest.path, cohort.num_classes)
            faults |= dict.fromkeys(phrase_faults(config.model, named, cohort.num_classes))
    refuse(list(faults), SettingsError, "model.phrases")
    check_intensities(cohort.recordings)
