"""Draw the synthetic demo cohort: ``python jobs/make_demo.py folder=demo seed=0``.

Two items by default; ``items=[pronation,gait,face_interview]`` draws others. Face interviews come
with a SYNTHETIC table of marks on regions, for ``data.marks=``.
"""

import sys
from functools import partial
from pathlib import Path

from pydantic import Field

from pdray.atomic import folder_faults
from pdray.config import build, describe, dump, load
from pdray.data.recordings_bar import recordings_bar
from pdray.demo.cohort import DemoConfig, make_cohort, marks_beside
from pdray.errors import PdrayError, SettingsError, refuse


class MakeDemoConfig(DemoConfig):
    """The job's settings: the cohort's, and where it goes."""

    folder: Path = Field(description="folder of the cohort; made when missing")
    num_processes: int | None = Field(None, ge=1, description="processes; none is one a CPU")


def main(argv: list[str]) -> int:
    """Draw the cohort and print where its tables are; return the exit status."""
    if "--help" in argv or "-h" in argv:
        print(f"{__doc__}\n\nsettings (key, default, meaning):\n{describe(MakeDemoConfig)}")
        return 0
    try:
        job = load(MakeDemoConfig, argv)
        refuse(folder_faults(job.folder, key="folder"), SettingsError, "settings")
        tree = {key: dump(job)[key] for key in DemoConfig.model_fields}
        config, processes = build(DemoConfig, tree), job.num_processes
        with recordings_bar(partial(print, flush=True)) as progress:
            manifest = make_cohort(job.folder, config, num_processes=processes, progress=progress)
    except (PdrayError, KeyboardInterrupt) as error:
        stopped = isinstance(error, KeyboardInterrupt)
        told = "interrupted; run it again to go on" if stopped else f"error: {error}"
        print(told, file=sys.stderr)
        return 130 if stopped else 2
    print(f"manifest {manifest} (synthetic)")
    if "face_interview" in config.items:
        print(f"marks    {marks_beside(manifest)} (synthetic)")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
