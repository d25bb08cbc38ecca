"""Lists what is left of a person, or deletes it and marks what learnt from them."""

import errno
import time
from contextlib import ExitStack

from pdray.command import Say, console
from pdray.config import require_writable
from pdray.display import step
from pdray.errors import SettingsError, StudyError, TrackingError
from pdray.search.resume import only_driver
from pdray.tracking.run_log import StudyLog
from pdray.tracking.withdrawn import LEARNT, Mark, read_marks, sent_runs, write_mark
from pdray.withdraw.find import Found, find
from pdray.withdraw.listing import done, listed
from pdray.withdraw.person import whole_of
from pdray.withdraw.settings import WithdrawConfig
from pdray.withdraw.trace import Trace


def withdraw(config: WithdrawConfig, say: Say) -> str:
    """List what is left of a person, or delete it.

    Marks come first and keys last, so that an interrupted deletion continues to the same end.

    Args:
        config: Checked settings.
        say: Prints a line.

    Returns:
        What was found, what was done and what is left to do.

    Raises:
        SettingsError: If there is no output folder, or it cannot be written.
        StudyError: If nothing is known of the person, or a study is being run.
        TrackingError: If MLflow could not be marked; the data on disk are deleted then.
    """
    if not config.output.is_dir():
        raise SettingsError(
            f"output: got '{config.output}', which is no folder; give the output folder of your "
            "jobs, which has the folder studies"
        )
    with step("looking for what is left of the person"):
        found = find(config.output, config.subject, config.manifests)
    if not config.delete:
        more = [f"manifests=[{','.join(map(str, config.manifests))}]"] if config.manifests else []
        words = [f"output={config.output}", f"subject={config.subject}", *more, "delete=true"]
        way = console("withdraw", *words)
        return f"{listed(found)}\n\nnothing was deleted; to delete and mark: {way}"
    require_writable(config.output, key="output")
    with ExitStack() as stack:
        for study in _studies(found):
            stack.enter_context(only_driver(study, say))
        with step("deleting"):
            _mark(found)
            for trace in found.traces:
                _erase(trace)
        with step("marking MLflow's runs"):
            faults = _mark_runs(found)
    text = f"{listed(found)}\n\n{done(found)}"
    if faults:
        say(text)
        raise TrackingError(
            "all is done but for MLflow's runs; run the same command again when it can be reached: "
            + "; ".join(faults)
        )
    return text


def _erase(trace: Trace) -> None:
    try:
        trace.erase()
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # the job says so
        raise StudyError(
            f"{trace.path} cannot be deleted or written: {error.strerror or error}; allow it and "
            "run the same command again: it goes on"
        ) from error


def _studies(found: Found) -> list[StudyLog]:
    """Return the studies that are changed."""
    folders = {whole_of(one.log).folder for one in found.touched}
    for trace in found.traces:
        parts = trace.path.relative_to(found.output).parts
        if parts[0] in ("studies", "assembling") and len(parts) > 1:
            folders.add(found.output / parts[0] / parts[1])
    return [log for folder in sorted(folders) if (log := StudyLog(folder)).exists()]


def _mark(found: Found) -> None:
    """Write the marks of studies and exports, and the settings for training again."""
    key, today = found.person.key, time.strftime("%Y-%m-%d")
    for one in found.again.values():
        one.write()
    for touched in found.touched:
        if key not in read_marks(touched.log.folder):
            again = found.again.get(whole_of(touched.log).folder)
            command = again.command if again is not None else ""
            mark = Mark(today, touched.learnt, touched.start, command)
            write_mark(touched.log.folder, key, mark)
    for export in found.exports:
        if export.folder.is_dir() and key not in read_marks(export.folder):
            write_mark(export.folder, key, Mark(today, (export.model,)))


def _mark_runs(found: Found) -> list[str]:
    """Mark MLflow's runs that are not marked yet; return what could not be."""
    faults, key = [], found.person.key
    for one in found.touched:
        mark = read_marks(one.log.folder)[key]
        if mark.sent:
            continue
        text = (
            f"{LEARNT}: {', '.join(mark.learnt)}" if mark.learnt else "scored a withdrawn subject"
        )
        try:
            for uri, runs in sent_runs(one.log).items():
                from pdray.tracking.withdrawn_runs import mark_runs  # MLflow takes seconds

                mark_runs(one.log, uri, runs, f"{text} ({mark.date})")
        except TrackingError as error:
            faults.append(f"study {one.log.name}: {error}")
        else:
            write_mark(one.log.folder, key, mark._replace(sent=True))
    return faults
