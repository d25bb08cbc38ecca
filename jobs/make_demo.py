"""Draw the synthetic demo cohort: ``python jobs/make_demo.py folder=demo seed=0``.

Two items by default; ``items=[pronation,gait,face_interview]`` draws others.
"""

import sys
from pathlib import Path

from pydantic import Field

from pdray.config import build, describe, dump, load
from pdray.data.synthetic import DemoConfig, make_cohort
from pdray.errors import PdrayError


class MakeDemoConfig(DemoConfig):
    """The job's settings: the cohort's, and where it goes."""

    folder: Path = Field(description="folder of the cohort; made when missing")
    num_processes: int | None = Field(None, ge=1, description="processes; none is one a CPU")


def main(argv: list[str]) -> int:
    """Draw the cohort and print where its manifest is; return the exit status."""
    if "--help" in argv or "-h" in argv:
        print(f"{__doc__}\n\nsettings (key, default, meaning):\n{describe(MakeDemoConfig)}")
        return 0
    try:
        job = load(MakeDemoConfig, argv)
        drawn = {key: value for key, value in dump(job).items() if key in DemoConfig.model_fields}
        manifest = make_cohort(
            job.folder, build(DemoConfig, drawn), num_processes=job.num_processes
        )
    except PdrayError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"manifest {manifest} (synthetic)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
