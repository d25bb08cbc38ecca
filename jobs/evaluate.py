r"""Evaluate a predictions table: scores, intervals, calibration, raters, change.

usage: python jobs/evaluate.py table=FILE | study=FOLDER [key=value ...]

for example:
  python jobs/evaluate.py table=predictions.csv
  python jobs/evaluate.py study=/data/pdray_output/studies/tapping
  python jobs/evaluate.py study=/data/pdray_output/studies/tapping \
    data.manifest=/data/other_site.csv

The table may come from any program. It needs subject_id, target (class, from 0)
and probability_0, probability_1, ...; docs/how-to/evaluate.md lists the others.
With data.manifest, the models of the study grade recordings from elsewhere, and
are scored on them: external validation.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.display import step
from pdray.rights import written_for
from pdray.search.evaluate_settings import EvaluateConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=EvaluateConfig)


def work(words: list[str]) -> str:
    """Write the report, its numbers and pictures; return the report."""
    config = load(EvaluateConfig, words)
    if config.data.manifest is None:
        from pdray.search.evaluating import run_evaluation  # heavy: import after the checks

        with written_for(config.output_mode):
            return run_evaluation(config)
    with step("loading libraries"):
        import torch

        from pdray.external.validate import validate

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with written_for(config.output_mode):
        return validate(config, say, device=device)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
