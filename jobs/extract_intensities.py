r"""Measure how much of each posed expression the videos of a visit show.

usage: python jobs/extract_intensities.py study=FOLDER manifest=FILE output=FILE

for example:
  python jobs/extract_intensities.py study=/data/pdray_output/studies/posed \
    manifest=/data/manifest.csv output=/data/visits.csv
  python jobs/extract_intensities.py study=/data/pdray_output/studies/posed \
    manifest=/data/manifest.csv output=/data/visits.csv repeats=mean
  python jobs/extract_intensities.py study=/data/pdray_output/studies/posed \
    manifest=/data/demo/manifest.csv output=/data/visits.csv other_people=true

The study is one of model.name=expression_clip. The job compares each video with
the phrase of each expression: sixteen numbers per visit of four videos. It
writes a manifest with one row per visit, for studies of modality intensities, a
table of the numbers and a report. People that the network learnt from are
refused. A low intensity is no diagnosis.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.display import step
from pdray.predict.intensity_settings import ExtractIntensitiesConfig

_RESUME = "no manifest was written; decoded frames are kept; run it again"


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ExtractIntensitiesConfig, resume=_RESUME)


def work(words: list[str]) -> str:
    """Write the intensities; return what was measured and where they are."""
    config = load(ExtractIntensitiesConfig, words)
    with step("loading libraries"):
        import torch

        from pdray.predict.intensities import extract_intensities

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return extract_intensities(config, say, device=device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
