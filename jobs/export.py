r"""Write the model of a study as a folder that works without pdray.

usage: python jobs/export.py study=FOLDER output=FOLDER

for example:
  python jobs/export.py study=/data/pdray_output/studies/tapping \
    output=/data/tapping_model
  python jobs/export.py study=/data/pdray_output/studies/tapping \
    output=/data/tapping_refit model=refit
  python jobs/export.py study=/data/pdray_output/studies/tapping \
    output=/data/tapping_onnx export.onnx=true

The folder holds the network (torch.export), its weights, settings, the model
card and a small predict.py that grades videos with torch, av and numpy alone.
It holds no id, path or file name of a person. The card says how well somebody
who has a recording can tell from the folder whether the person took part. This
is not a medical device.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.display import step
from pdray.export.settings import ExportConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=ExportConfig)


def work(words: list[str]) -> str:
    """Write the folder; return what it is and where."""
    config = load(ExportConfig, words)
    with step("loading libraries"):
        from pdray.export.run import export_model

    return export_model(config, say)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
