r"""Show what the winner of a study looks at in test recordings.

usage: python jobs/explain.py [--config FILE] [key=value ...]

for example:
  python jobs/explain.py study=/data/output/studies/faces output=/data/maps
  python jobs/explain.py study=/data/output/studies/faces output=/data/maps \
    recordings=[S01_V1_face] layers=[Mixed_4f]
  python jobs/explain.py study=/data/output/studies/faces output=/data/maps \
    show_people=true

Class activation maps (Grad-CAM) show which parts of a frame contributed to the
decision. The job sums those of the winner on each test recording by region, and
overlays them as a video. Videos of people are written with show_people=true, of
subjects whose column consent_pictures of the manifest is yes. For networks with
attention over time, a picture shows which moments attend to which. A scatter
plot shows the test recordings by their features, and how well these predict
severity. A recording of the
development subjects is refused. A linear probe and region attention have no
maps, only the plot.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.explain.settings import ExplainConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ExplainConfig)


def work(words: list[str]) -> str:
    """Draw the maps; return the report and where the files are."""
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
            "nothing was sent to tracking; protect them like the recordings"
        )
    return "\n".join([*lines, f"tables     {done.folder}"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
