r"""Find 106 landmarks and 14 regions of the face in each frame, with MediaPipe.

usage: python jobs/extract_landmarks.py [--config FILE] [key=value ...]

for example:
  python jobs/extract_landmarks.py manifest=/data/manifest.csv \
    model=/data/face_landmarker.task output=/data/with_faces.csv
  python jobs/extract_landmarks.py manifest=/data/manifest.csv \
    model=/data/face_landmarker.task output=/data/with_faces.csv size=960
  python jobs/extract_landmarks.py manifest=/data/clips.csv subjects=none \
    model=/data/face_landmarker.task output=/data/with_faces.csv

You need `pip install -c constraints.txt -e '.[landmarks]'` and the file of a
Face Landmarker from the makers of MediaPipe; the job downloads nothing. Rows
that already have landmarks or regions keep them.
"""

import sys
from functools import partial

from pdray.command import run_job, say
from pdray.config import load
from pdray.importers.mediapipe.settings import ExtractConfig

SHOWN = 5  # recordings without a face


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "no manifest was written; run it again"
    return run_job(argv, work, about=__doc__, settings=ExtractConfig, resume=resume)


def work(words: list[str]) -> str:
    """Find the landmarks; return what was found and what was not."""
    config = load(ExtractConfig, words)
    from pdray.importers.mediapipe.landmarker import open_landmarker
    from pdray.importers.mediapipe.landmarks import extract

    done = extract(config, partial(open_landmarker, config.model), say=say)
    lines = [
        f"manifest   {done.manifest}",
        f"tracks     {done.num_done} recordings; {done.num_kept} more had tracks already",
        f"faces      found in {done.num_seen} of {done.num_frames} frames, "
        f"{done.num_closer} of them by a closer look",
        f"lacking    {done.lacks}, {len(done.without)} rows",
    ]
    if done.is_outside:
        lines.append("note       it names videos outside its folder: give data.allow_outside=true")
    return "\n".join([*lines, *(f"           {id}: {why}" for id, why in done.without[:SHOWN])])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
