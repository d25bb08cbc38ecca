"""The command line of the tuning jobs."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pdray.command import again, console, run_job, say
from pdray.config import read_tree
from pdray.display import step
from pdray.search.plan import load_study, saved_settings
from pdray.search.settings import StudyConfig
from pdray.tracking.run_log import PAGE, REPORT

if TYPE_CHECKING:
    from pdray.search.study import StudyOutcome

OPTIONS = """
  --resume       continue the study search.name, or the newest unfinished one
  --config FILE  YAML file: settings, and in its section 'space' what to search
"""


def tune(argv: Sequence[str], *, about: str | None, settings: Path | None) -> int:
    """Run a tuning job.

    Args:
        argv: The command-line words after the job's name.
        about: The text that ``--help`` prints above the options and settings.
        settings: YAML file with the defaults of a new study, or None.

    Returns:
        The exit code; see :func:`pdray.command.run_job`.
    """
    given = [] if settings is None else ["--config", str(settings)]
    names: list[str] = []

    def work(words: list[str]) -> str:
        is_new = "--resume" not in words
        words = [word for word in words if word != "--resume"]
        saved = None if is_new else saved_settings(words)
        plan = load_study([*given, *words] if is_new else words, saved=saved)
        names.append(f"search.name={plan.config.search.name}")  # which may be made from the time
        with step("loading libraries"):
            from pdray.search.study import run_plan

        outcome = run_plan(plan, say=say)
        parts = (outcome.leaderboard, outcome.held_out, outcome.checks, where(outcome))
        return "\n" + "\n\n".join(filter(None, parts))

    return run_job(
        argv,
        work,
        about=f"{about or ''}{OPTIONS}",
        settings=StudyConfig,
        start=lambda: read_tree(StudyConfig, given),
        resume=lambda: f"continue: {again(argv, names)}",
    )


def where(outcome: "StudyOutcome") -> str:
    """Say where report, scores and log of a study are and how to compare its runs in MLflow."""
    here, uri = Path(sys.executable), outcome.tracking_uri
    if not outcome.is_mirrored:
        rest = console("sync-tracking", f"study={outcome.folder}", f"tracking.uri={uri}")
        shown = f"tracking   MLflow has not all of it; send the rest: {rest}"
    elif uri.startswith("http"):
        shown = f"compare    open {uri.rstrip('/')}{outcome.page}"
    else:
        silent = ["env", "MLFLOW_DISABLE_TELEMETRY=true"]  # it would send statistics of use
        words = [*silent, str(here.with_name("mlflow")), "ui", "--backend-store-uri", uri]
        shown = (
            f"compare    run: {shlex.join(words)}\n"
            f"           then open http://127.0.0.1:5000{outcome.page}"
        )
    places = {"report": PAGE, "all scores": f"evaluation/{REPORT}"}
    told = [
        f"{name:10} {outcome.folder / place}"
        for name, place in places.items()
        if (outcome.folder / place).is_file()
    ]
    return "\n".join([*told, f"log        {outcome.folder}", shown])
