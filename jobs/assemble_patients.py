r"""Classify patient visits from the features of their items: TSA, Tables VII to IX.

usage: python jobs/assemble_patients.py [--config FILE] [key=value ...]

for example:
  python jobs/assemble_patients.py data.manifest=/data/manifest.csv
  python jobs/assemble_patients.py --config search_spaces/assemble.yaml \
    data.manifest=/data/manifest.csv search.name=visits
  python jobs/assemble_patients.py --config search_spaces/assemble.yaml \
    data.manifest=/data/manifest.csv search.name=visits heads.repeats=5

Subjects are assigned to folds once, for all items. For each pair of folds and
each item, one network is trained on the subjects of all other folds. To score a
fold, heads are trained on the visits of the other folds, with the features of
networks that were trained on neither fold. So no feature ever comes from a
network that was trained on the same patient. An item that a visit lacks is
masked, not zero. The same search.name continues an interrupted job. With other
heads.*, assembling.* or levels.* the job reuses the trained networks.
"""

import sys

from pdray.command import again, run_job, say
from pdray.visits.settings import AssembleConfig, load_assembly


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=AssembleConfig)


def work(words: list[str]) -> str:
    """Train the missing networks and the heads; return the tables and where the files are."""
    config = load_assembly(words)
    from pdray.visits.run import run_assembly

    try:
        done = run_assembly(config, say=say)
    except KeyboardInterrupt as interrupt:
        name = f"search.name={config.search.name}"  # which may be made from the time
        raise KeyboardInterrupt(f"continue: {again(words, [name])}") from interrupt
    picture = [] if done.picture is None else [f"weights    {done.picture}"]
    return "\n".join([f"\n{done.report}\n", *picture, f"log        {done.folder}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
