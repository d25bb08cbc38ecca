r"""Make recordings in which a method has changed people who agreed to look ill.

usage: python jobs/synthesize.py [--config FILE] [key=value ...]

for example:
  python jobs/synthesize.py method=damp data.manifest=/data/manifest.csv \
    output=/data/with_made.csv
  python jobs/synthesize.py method=damp data.manifest=/data/manifest.csv \
    output=/data/with_made.csv damp.factor=0.5 synthesis.strengths=[1]
  python jobs/synthesize.py method=cut data.manifest=/data/manifest.csv \
    output=/data/with_made.csv synthesis.study=OUTPUT/studies/cut \
    synthesis.accept_terms=[faces] synthesis.identity=OUTPUT/studies/people

It learns from people who agreed to `learn`, and changes healthy people who
agreed to `change` (column consent_synthesis). Each training side gets a set of
its own. Then search with data.manifest=/data/with_made.csv data.made=training.
What is made is no evidence and no prediction of anything about a person.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.synthesis.settings import SynthesizeConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "no manifest was written; run it again"
    return run_job(argv, work, about=__doc__, settings=SynthesizeConfig, resume=resume)


def work(words: list[str]) -> str:
    """Make the recordings; return what was made."""
    config = load(SynthesizeConfig, words)
    from pdray.synthesis.making import synthesize  # heavy: import after the checks

    done = synthesize(config, say)
    changes = ", ".join(f"{value:.2f} at {key:g}" for key, value in done.flicker.items())
    lines = [
        f"manifest   {done.manifest}",
        f"made       {done.num_files} files in {done.folder}, SYNTHETIC; {done.num_rows} of them "
        f"are rows, in {done.num_sets} sets",
        f"flicker    change between frames over that of the source: {changes}, by strength",
        f"show       {done.num_shown} of {done.num_files} files may be shown outside the study",
        *(f"method     {line}" for line in done.told),
        *(f"copies     {line}" for line in done.copies),
    ]
    if done.is_outside:
        lines.append("note       it names files outside its folder: give data.allow_outside=true")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
