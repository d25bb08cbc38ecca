r"""Say what this machine can do, what is wrong with it, and what to do about it.

usage: python jobs/doctor.py [--config FILE] [key=value ...]

for example:
  python jobs/doctor.py
  python jobs/doctor.py output=/data/pdray_output tracking.uri=http://host:5000
  python jobs/doctor.py --config search_spaces/tsa.yaml \
    data.manifest=/data/manifest.csv output=/data/pdray_output

Each line is ok, a warning (jobs run, but slowly or not everywhere) or a fault.
With a manifest it also says how long its videos are and what decoding them
takes here. Nothing is changed or kept.

Exit code: 0 without a fault, 1 with one, 2 if settings or manifest are wrong.
"""

import sys

from pdray.command import run_job, say
from pdray.doctor.settings import DoctorConfig, load_doctor


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    is_well = True

    def work(words: list[str]) -> str:
        nonlocal is_well
        config = load_doctor(words)
        from pdray.doctor.run import examine

        is_well, last = examine(config, say)
        return last

    return run_job(argv, work, about=__doc__, settings=DoctorConfig) or int(not is_well)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
