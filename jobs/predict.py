r"""Grade new recordings with the winner of a study, for research.

usage: python jobs/predict.py study=FOLDER videos=FOLDER output=FILE.csv

for example:
  python jobs/predict.py study=/data/pdray_output/studies/tapping \
    videos=/data/new output=/data/predictions.csv
  python jobs/predict.py study=/data/pdray_output/studies/tapping \
    data.manifest=/data/other_site.csv output=/data/predictions.csv
  python jobs/predict.py study=/data/pdray_output/studies/tapping \
    data.manifest=/data/manifest.csv output=/data/fold0.csv model=fold:0

Writes one row per recording: a probability for each class, the estimated grade,
how much the models of the folds disagree, and a note where the recording is
unlike those that they learnt from. A model never grades a person that it learnt
from. This is not a medical device, and an estimated grade is no diagnosis.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.display import step
from pdray.predict.settings import PredictConfig

_RESUME = "run it again: finished parts are kept"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=PredictConfig, resume=_RESUME)


def work(words: list[str]) -> str:
    """Write the predictions; return what was done and where they are."""
    config = load(PredictConfig, words)
    with step("loading libraries"):
        import torch

        from pdray.predict.run import predict_new

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return predict_new(config, say, device=device).words


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
