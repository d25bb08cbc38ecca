"""The command line of the tuning jobs."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.command import run_job, say
from pdray.config import read_tree
from pdray.search.plan import load_study, saved_settings
from pdray.search.settings import StudyConfig

if TYPE_CHECKING:
    from pdray.search.study import StudyOutcome

OPTIONS = """
  --resume       continue the study search.name, or the newest unfinished one
  --config FILE  YAML: settings, and under 'space' what is searched
"""


def tune(argv: Sequence[str], *, about: str | None, settings: Path | None) -> int:
    """Run a tuning job.

    Args:
        argv: Its words.
        about: What ``--help`` prints above the options and settings.
        settings: YAML file that a new study starts from, under the words; None is none.

    Returns:
        The exit code, as :func:`pdray.command.run_job`.
    """
    given = [] if settings is None else ["--config", str(settings)]

    def work(words: list[str]) -> str:
        is_new = "--resume" not in words
        words = [word for word in words if word != "--resume"]
        saved = None if is_new else saved_settings(words)
        plan = load_study([*given, *words] if is_new else words, saved=saved)
        from pdray.search.study import run_study

        outcome = run_study(plan, say=say)
        return f"\n{outcome.leaderboard}\n\n{outcome.held_out}\n\n{_where(outcome)}"

    return run_job(
        argv,
        work,
        about=f"{about or ''}{OPTIONS}",
        settings=StudyConfig,
        start=lambda: read_tree(StudyConfig, given),
        resume="continue with --resume",
    )


def _where(outcome: "StudyOutcome") -> str:
    """Say where the log is and how its runs are compared."""
    here, uri = Path(sys.executable), outcome.tracking_uri
    if not outcome.is_mirrored:
        sync = f"{here} jobs/sync_tracking.py study={outcome.folder} tracking.uri={uri}"
        shown = f"tracking   not reached; once it is back: {sync}"
    elif uri.startswith("http"):
        shown = f"compare    {uri}"
    else:
        shown = f"compare    {here.with_name('mlflow')} ui --backend-store-uri {uri}"
    return f"log        {outcome.folder}\n{shown}"
