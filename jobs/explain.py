"""Show what the winner of a study looks at, in recordings that it never learnt from.

python jobs/explain.py study=/data/output/studies/faces output=/data/maps
python jobs/explain.py study=... output=... recordings=[S01_V1_face] layers=[Mixed_4f] videos=false

Class activation maps (Grad-CAM) of the winner's layers are laid over each test recording, as a
video, and summed by region; the test recordings are placed by their features. A recording of the
development subjects is refused. The network under a linear probe and region attention have no
maps here; their features are placed alone.
"""

import sys

import torch

from pdray.config import describe, load
from pdray.errors import PdrayError
from pdray.explain.run import ExplainConfig, explain

_USAGE = """usage: python jobs/explain.py study=FOLDER output=FOLDER [--config FILE] [key=value ...]

settings (key, default, meaning):"""


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    if "--help" in argv or "-h" in argv:
        print(__doc__, _USAGE, describe(ExplainConfig), sep="\n")
        return 0
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        config = load(ExplainConfig, argv)
        done = explain(config, say=lambda line: print(line, flush=True), device=device)
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; run it again", file=sys.stderr)
        return 130
    print(f"\n{done.report}\n")
    if done.videos:
        shown = "SYNTHETIC faces and limbs" if done.synthetic else "THE PATIENTS"
        print(
            f"videos     {len(done.videos)} files in {done.videos[0].parent}: THEY SHOW {shown}; "
            "nothing was sent to tracking, keep them as you keep the recordings"
        )
    print(f"tables     {done.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
