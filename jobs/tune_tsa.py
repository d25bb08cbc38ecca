"""Search a temporal self-attention network over subject-level folds.

python jobs/tune_tsa.py --config search_spaces/tsa.yaml data.manifest=/data/manifest.csv
ray job submit --working-dir . -- python jobs/tune_tsa.py ...
"""

import sys
from pathlib import Path

from pdray.config import describe
from pdray.errors import PdrayError
from pdray.search.settings import StudyConfig, load_study, saved_settings
from pdray.search.study import run_study

_USAGE = """usage: python jobs/tune_tsa.py [--resume] [--config FILE] [key=value ...]

  --resume       continue the study search.name, or the newest unfinished one, with its settings
  --config FILE  YAML: the settings below, and a section 'space' of what is searched

settings (key, default, meaning):"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    if "--help" in argv or "-h" in argv:
        print(_USAGE, describe(StudyConfig), sep="\n")
        return 0
    words = [word for word in argv if word != "--resume"]
    try:
        saved = saved_settings(words) if "--resume" in argv else None
        outcome = run_study(
            load_study(words, saved=saved), say=lambda line: print(line, flush=True)
        )
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; continue with --resume", file=sys.stderr)
        return 130
    print(f"\n{outcome.leaderboard}\n\n{outcome.held_out}\n")
    print(f"log        {outcome.folder}")
    here, uri = Path(sys.executable), outcome.tracking_uri
    if not outcome.is_mirrored:
        sync = f"{here} jobs/sync_tracking.py study={outcome.folder} tracking.uri={uri}"
        print(f"tracking   not reached; once it is back: {sync}")
    elif uri.startswith("http"):
        print(f"compare    {uri}")
    else:
        print(f"compare    {here.with_name('mlflow')} ui --backend-store-uri {uri}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
