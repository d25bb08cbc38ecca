r"""Compare models on the same held-out people: differences, intervals, tests.

usage: python jobs/compare.py STUDY ... [--config FILE] [key=value ...]

for example:
  python jobs/compare.py /data/output/studies/tsa /data/output/studies/r3d
  python jobs/compare.py /data/output/studies/table5 compare.margin=0.05 \
    compare.metrics=[mcc,auroc] compare.secondary=[corrected_t]
  python jobs/compare.py ours.csv theirs.parquet compare.common_rows=true

A search brings its winner, a comparison of fixed settings all its trials, a
table of predictions what is in it. All must be scored on the same recordings,
with the same folds. One test per score is fixed beforehand: the predictions of
two models are exchanged, whole subjects at a time. p is adjusted by Holm over
all pairs and scores.
"""

import sys

from pdray.command import run_job
from pdray.rights import written_for
from pdray.search.compare_settings import CompareStudiesConfig, load_comparison


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=CompareStudiesConfig)


def work(words: list[str]) -> str:
    """Compare; return the report and where the files are."""
    config = load_comparison(words)
    from pdray.search.compare_studies import compare_studies  # heavy: import after the checks

    with written_for(config.output_mode):
        return compare_studies(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
