r"""Follow faces through videos by MediaPipe: the 106 landmarks and 14 regions of each recording.

python jobs/extract_landmarks.py manifest=/data/manifest.csv model=/data/face_landmarker.task \
  output=/data/with_faces.csv

Needs pip install -c constraints.txt -e '.[landmarks]' and the file of a Face Landmarker, which
MediaPipe's makers give away; nothing is downloaded. Rows that have landmarks or regions keep them.
"""

import sys
from functools import partial

from pdray.config import describe, load
from pdray.errors import PdrayError
from pdray.importers.mediapipe.landmarks import extract, open_landmarker
from pdray.importers.mediapipe.settings import ExtractConfig

SHOWN = 5  # recordings without a face


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    if "--help" in argv or "-h" in argv:
        print(f"{__doc__}\nsettings (key, default, meaning):\n{describe(ExtractConfig)}")
        return 0
    try:
        config = load(ExtractConfig, argv)
        opens = partial(open_landmarker, config.model)
        done = extract(config, opens, say=lambda line: print(line, flush=True))
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; no manifest was written", file=sys.stderr)
        return 130
    print(f"manifest   {done.manifest}")
    print(f"tracks     {done.num_done} recordings; {done.num_kept} had theirs")
    print(f"faces      in {done.num_seen} of {done.num_frames} frames; the others are absent")
    print(f"lacking    {done.lacks}, {len(done.without)} rows")
    for name, why in done.without[:SHOWN]:
        print(f"           {name}: {why}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
