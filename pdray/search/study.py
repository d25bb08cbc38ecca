"""Runs a study from start to end: frames, trials, refit of the winner, one test score."""

from dataclasses import dataclass, replace
from pathlib import Path

from pdray.address import is_submitted
from pdray.cluster import joined_cluster
from pdray.command import Say
from pdray.config import value_at
from pdray.data.cohort.manifest import Manifest
from pdray.display import step
from pdray.errors import StudyError
from pdray.rights import written_for
from pdray.search.budget import Spent, share_hours, told_time
from pdray.search.course import keeps_folds
from pdray.search.opening import OpenStudy, check_study, open_study
from pdray.search.plan import StudyPlan
from pdray.search.progress import Mirror
from pdray.search.protocol import (
    Settled,
    check_metric,
    check_training,
    num_searches,
    num_with_permutations,
    settle,
    settle_by_time,
)
from pdray.search.resume import check_same, manifest_of, only_driver, standing
from pdray.search.searching import Found, run_search
from pdray.tracking.address import default_uri
from pdray.tracking.provenance import describe_upload
from pdray.tracking.run_log import PAGE, REPORT, StudyLog


@dataclass(frozen=True)
class StudyOutcome:
    """Results of a finished study.

    Attributes:
        folder: Folder of its log.
        tracking_uri: Address of its MLflow runs.
        is_mirrored: Whether MLflow has all of the log.
        page: Path and query of MLflow's page that compares the trials.
        leaderboard: Text table of the trials.
        held_out: The winner's score on the test set, and the baselines below it.
        checks: What the checks of the search found; empty if an earlier version ran it.
    """

    folder: Path
    tracking_uri: str
    is_mirrored: bool
    page: str
    leaderboard: str
    held_out: str
    checks: str


def run_plan(plan: StudyPlan, say: Say) -> StudyOutcome:
    """Run or continue the study of a checked plan.

    Args:
        plan: Settings and search space. A study of the same name is continued: its settings must
            be the same, except for trials, resources and tracking.
        say: Prints a line of progress.

    Returns:
        The results and where they are.

    Raises:
        PdrayError: If something is wrong that the user can correct; nothing is lost.
        KeyboardInterrupt: If interrupted; the study can be continued.
    """
    config = plan.config
    study = StudyLog(config.output / "studies" / str(config.search.name))
    with step("reading the manifest and the headers of its videos"):
        manifest = manifest_of(study, config)
        settled = settle(plan, manifest)
    plan = settled.plan
    if config.evaluation.permutations:
        from pdray.search.permutations import check_permutations

        check_permutations(plan, settled.cohort)
    if not study.exists():
        check_metric(settled)
        check_training(settled)
        if not config.entry.predicts:
            from pdray.search.translator_checks import check_people

            check_people(plan, settled.cohort)
        if plan.start_study is not None:
            from pdray.search.starts import check_same_people

            check_same_people(plan.start_study, settled.cohort)
    from pdray.search.files import check_files  # no trial needs it

    with written_for(config.output_mode), only_driver(study, say):
        check_files(study)
        lacks = _lacks(plan, study) if study.is_complete() else ""
        say(standing(study, plan.num_trials * (len(settled.outer) + 1), lacks))
        check_same(plan, study, manifest.digest, say)
        if study.is_complete() and not lacks:
            return _read_outcome(plan, study, say)
        with joined_cluster(config.resources.address):
            return _run_on_cluster(settled, manifest, study, say)


def _lacks(plan: StudyPlan, study: StudyLog) -> str:
    """Return what is asked of a complete study that it has not; empty: nothing."""
    if keeps_folds(plan) and not value_at(study.read()["settings"], "search.keep_folds"):
        return "the folds of its winner are trained again"
    asked = plan.config.evaluation.permutations
    if not asked:
        return ""
    from pdray.search.permutations import num_permuted

    done = num_permuted(study)
    return f"{done} of {asked} permutations done" if done < asked else ""


def _read_outcome(plan: StudyPlan, study: StudyLog, say: Say) -> StudyOutcome:
    """Return what a complete study found, and send to MLflow what is not there yet.

    Raises:
        StudyError: If its report was removed.
    """
    from pdray.search.checking import read_report

    config = plan.config
    uri = config.tracking.uri or default_uri(config.output)
    mirror = Mirror(study, uri=uri, experiment=config.tracking.experiment, say=say)
    if study.winner.exists() and not (study.folder / PAGE).is_file():
        # The run was killed before it, or was one of an earlier version.
        _make_page(plan, study, say)
    mirror.finish()
    try:
        scores, checks = read_report(study.folder)
    except OSError as error:
        raise StudyError(
            f"study {study.folder.name} is complete, but its {REPORT} cannot be read: "
            f"{error.strerror or error}; restore {study.folder / REPORT}, or read the study with "
            "pdray.read_study"
        ) from error
    board, _, held_out = scores.rpartition("\n\n")
    whole = mirror.error is None
    return StudyOutcome(study.folder, uri, whole, mirror.page, board, held_out, checks)


def _run_on_cluster(
    settled: Settled, manifest: Manifest, study: StudyLog, say: Say
) -> StudyOutcome:
    if is_submitted():
        say(describe_upload())
    with step("measuring how long decoding takes"):
        within = check_study(settled.plan, settled.cohort, study)
    if settled.plan.config.search.protocol is None:
        from pdray.search.forecast import hours_of  # not where a protocol is set

        num = num_searches(settled.plan, settled.cohort, "nested")
        num = num_with_permutations(settled.plan, num)
        hours = hours_of(settled.plan, settled.cohort, within.reservation, num_searches=num)
        settled = settle_by_time(settled, manifest, hours)
        within = replace(within, plan=settled.plan, cohort=settled.cohort)
    if settled.told:
        say(settled.told)
    plan = settled.plan
    ready = open_study(within, say)
    found = _search_all(settled, ready, study, say)
    held_out = found.held_out
    if settled.outer:
        from pdray.search.procedure import report_outer

        with step("scoring all subjects"):
            held_out = report_outer(plan, ready.cohort, study, found.leaderboard)
    if plan.config.evaluation.permutations:
        from pdray.search.permutations import report_chance

        held_out += "\n" + report_chance(plan, manifest, ready, study, say)
    with step("checking for reasons not to believe the score"):
        from pdray.search.checking import check_search

        checks = check_search(plan, ready.cohort, ready.trials.recordings, study)
    (study.folder / PAGE).unlink(missing_ok=True)  # of an earlier session; a kill leaves none
    study.finish(state="complete", best=found.best)
    _make_page(plan, study, say)
    ready.mirror.finish()
    whole = ready.mirror.error is None
    return StudyOutcome(
        study.folder, ready.uri, whole, ready.mirror.page, found.leaderboard, held_out, checks
    )


def _make_page(plan: StudyPlan, study: StudyLog, say: Say) -> None:
    """Make the page of a study that grades recordings; of a translator report.txt tells all."""
    if plan.config.entry.predicts:
        from pdray.report.make import try_report

        try_report(study, say)


def _search_all(settled: Settled, ready: OpenStudy, study: StudyLog, say: Say) -> Found:
    """Search in each outer fold and on all subjects; print forecast and truth of all together."""
    from pdray.search.forecast import foresee_study

    plan, num = settled.plan, len(settled.outer) + 1
    forecast, told = None, say
    if not study.outer_studies() and not study.trials():
        forecast = foresee_study(plan, ready.trials, ready.reservation, num, say)
    if settled.outer:
        from pdray.search.nested import run_outer, titled

        run_outer(settled.outer, ready, study, say)
        told = titled(say, "all subjects")
    share = share_hours(plan, study, study, num_searches=num)
    with step("all subjects" if settled.outer else ""):
        found = run_search(share, ready, study, told)
    if settled.outer:
        seconds = sum(Spent(one).seconds for one in [*study.outer_studies(), study])
        say(told_time(f"all {num} searches", seconds, forecast))
    return found
