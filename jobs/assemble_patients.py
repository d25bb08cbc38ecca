r"""Classify patient visits from the features of their items, out of fold: Tables VII to IX of 002.

python jobs/assemble_patients.py --config search_spaces/assemble.yaml \
  data.manifest=/data/manifest.csv search.name=visits
ray job submit --working-dir . -- python jobs/assemble_patients.py ...

Subjects are assigned to folds.num_outer folds, once for all items. For each pair of folds and each
item, one network learns from the subjects in neither. To score a fold, heads learn from the visits
of every other fold with the features of the networks that saw neither of the two, and a visit's
probabilities under all networks of its fold are averaged. So no feature ever comes from a network
that saw the patient. An item that a visit lacks is masked, never a zero.
"""

import sys

from pdray.config import describe
from pdray.errors import PdrayError
from pdray.visits.plan import AssembleConfig, load_assembly
from pdray.visits.run import run_assembly

_USAGE = """usage: python jobs/assemble_patients.py [--config FILE] [key=value ...]

  Run again under the same search.name, it goes on where it stopped; other heads.*, assembling.* or
  levels.* then use the networks that are there.

settings (key, default, meaning):"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    if "--help" in argv or "-h" in argv:
        print(__doc__, _USAGE, describe(AssembleConfig), sep="\n")
        return 0
    try:
        done = run_assembly(load_assembly(argv), say=lambda line: print(line, flush=True))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; continue under the same search.name", file=sys.stderr)
        return 130
    print(f"\n{done.report}\n")
    if done.picture is not None:
        print(f"weights    {done.picture}")
    print(f"log        {done.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
