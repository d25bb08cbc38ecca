r"""Ask whether the regions that a clinician marked tell how severe the disease is.

python jobs/correlate_marks.py --config /data/youtubepd/manifest.data.yaml \
  data.marks=/data/youtubepd/manifest.marks.csv
"""

import sys

from pdray.config import describe, load
from pdray.errors import PdrayError
from pdray.papers.marks import MarksConfig, correlate_marks


def main(argv: list[str]) -> int:
    """Run the job; return its exit status."""
    if "--help" in argv or "-h" in argv:
        print(f"{__doc__}\n{describe(MarksConfig)}")
        return 0
    try:
        print(correlate_marks(load(MarksConfig, argv)))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
