"""A search from the command line: what a tuning job does between its words and its exit code."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from pdray.config import describe, read_tree
from pdray.errors import PdrayError
from pdray.search.settings import StudyConfig, load_study, saved_settings
from pdray.search.study import StudyOutcome, run_study

Print = Callable[[str], None]

_USAGE = """usage: python jobs/{job}.py [--resume] [--config FILE] [key=value ...]

  --resume       continue the study search.name, or the newest unfinished one, with its settings
  --config FILE  YAML: the settings below, and a section 'space' of what is searched

settings (key, default, meaning):"""


def tune(job: str, argv: Sequence[str], *, settings: Path | None, say: Print) -> int:
    """Run a tuning job.

    Args:
        job: Its name.
        argv: Its words.
        settings: YAML file that a new study starts from, under the words; None is none.
        say: Prints a line to the standard output.

    Returns:
        The exit code: 0, 2 after a user's mistake (told on the standard error), 130 when
        interrupted.
    """
    if "--help" in argv or "-h" in argv:
        say(_USAGE.format(job=job))
        begin = read_tree(StudyConfig, ["--config", str(settings)]) if settings else None
        say(describe(StudyConfig, start=begin))
        return 0
    words = [word for word in argv if word != "--resume"]
    is_new = "--resume" not in argv
    try:
        saved = None if is_new else saved_settings(words)
        start = ["--config", str(settings)] if settings and is_new else []
        outcome = run_study(load_study([*start, *words], saved=saved), say=say)
    except PdrayError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; continue with --resume\n")
        return 130
    say(f"\n{outcome.leaderboard}\n\n{outcome.held_out}\n")
    say(_where(outcome))
    return 0


def _where(outcome: StudyOutcome) -> str:
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
