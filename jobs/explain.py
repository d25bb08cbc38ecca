r"""Show what a study's winner looks at, in recordings that it never learnt from.

usage: python jobs/explain.py [--config FILE] [key=value ...]

for example:
  python jobs/explain.py study=/data/output/studies/faces output=/data/maps
  python jobs/explain.py study=/data/output/studies/faces output=/data/maps \
    recordings=[S01_V1_face] layers=[Mixed_4f]
  python jobs/explain.py study=/data/output/studies/faces output=/data/maps \
    videos=false

Class activation maps (Grad-CAM) of the winner's layers are laid over each test
recording, as a video, and summed by region; where the network attends over
time, a picture shows which moments attend to which; the test recordings are
placed by their features, with the severity that these tell. A recording of the
development subjects is refused.
The network under a linear probe and region attention have no maps here; their
features are placed alone.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.explain.settings import ExplainConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ExplainConfig)


def work(words: list[str]) -> str:
    """Draw the maps; return the report and where everything is."""
    config = load(ExplainConfig, words)
    import torch

    from pdray.explain.run import explain

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    done = explain(config, say=say, device=device)
    lines = [f"\n{done.report}\n"]
    if done.videos:
        shown = "SYNTHETIC faces and limbs" if done.synthetic else "THE PATIENTS"
        lines.append(
            f"videos     {len(done.videos)} files in {done.videos[0].parent}: THEY SHOW {shown}; "
            "nothing was sent to tracking, keep them as you keep the recordings"
        )
    return "\n".join([*lines, f"tables     {done.folder}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
