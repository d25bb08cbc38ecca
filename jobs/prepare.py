"""Decode a manifest's recordings once into the frame store, or check what is there.

python jobs/prepare.py [--verify] --config search_spaces/tsa.yaml data.manifest=/data/manifest.csv
"""

import sys
from functools import partial

from tqdm import tqdm

from pdray.config import describe
from pdray.data.recordings_bar import recordings_bar
from pdray.errors import PdrayError
from pdray.search.preparation import (
    PrepareConfig,
    load_preparation,
    plan_preparation,
    run_preparation,
    verify_preparation,
)

_USAGE = """usage: python jobs/prepare.py [--verify] [--config FILE] [key=value ...]

  --verify       read sources and store anew, compare their digests, make nothing
  --config FILE  YAML of a study, or with the settings below

settings (key, default, meaning):"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit status."""
    if "--help" in argv or "-h" in argv:
        print(_USAGE, describe(PrepareConfig), sep="\n")
        return 0
    words = [word for word in argv if word != "--verify"]
    try:
        preparation = plan_preparation(load_preparation(words))
        with recordings_bar(partial(print, flush=True)) as progress:
            if "--verify" in argv:
                told = verify_preparation(preparation, progress=progress)
            else:
                told = run_preparation(preparation, say=tqdm.write, progress=progress)
    except (PdrayError, KeyboardInterrupt) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        told = "interrupted; run it again to go on" if stopped else f"error: {error}"
        print(told, file=sys.stderr)
        return 130 if stopped else 2
    print(told)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
