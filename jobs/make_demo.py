r"""Draw the SYNTHETIC demo cohort: two items, or those in `items`.

usage: python jobs/make_demo.py [--config FILE] [key=value ...]

for example:
  python jobs/make_demo.py folder=demo
  python jobs/make_demo.py folder=demo items=[pronation,gait,face_interview]
  python jobs/make_demo.py folder=actors healthy=true num_subjects=12 seed=7 \
    items=[expression_neutral,expression_happiness]

With face interviews, it writes a SYNTHETIC table of marks for `data.marks`.
`static_signs=1` lets single frames of faces show the grade, too.
"""

import sys
from pathlib import Path

from pydantic import Field

from pdray.command import run_job, say
from pdray.config import load, part, require_writable
from pdray.demo.illness.severity import DemoConfig
from pdray.display import step


class MakeDemoConfig(DemoConfig):
    """Settings of this job: those of the cohort, its folder and the processes."""

    folder: Path = Field(description="folder of the cohort; made if missing")
    num_processes: int | None = Field(
        None, ge=1, description="processes [count]; null: one per CPU"
    )


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    resume = "continue"
    return run_job(argv, work, about=__doc__, settings=MakeDemoConfig, resume=resume)


def work(words: list[str]) -> str:
    """Draw the cohort; return where its tables are."""
    job = load(MakeDemoConfig, words)
    require_writable(job.folder, key="folder")
    from pdray.demo.cohort import counterfactuals_beside, make_cohort, marks_beside

    config, processes = part(job, DemoConfig), job.num_processes
    with step("drawing SYNTHETIC recordings") as now:
        progress = now.counting(say, "{} recordings")
        manifest = make_cohort(job.folder, config, num_processes=processes, progress=progress)
    lines = [f"manifest {manifest} (synthetic)"]
    if "face_interview" in config.items:
        lines.append(f"marks    {marks_beside(manifest)} (synthetic)")
    if config.counterfactual:
        lines.append(f"scoring  {counterfactuals_beside(manifest)} (synthetic; do not train on it)")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
