r"""List or delete what is left of a person who withdraws consent.

usage: python jobs/withdraw.py output=FOLDER subject=ID [delete=true]

for example:
  python jobs/withdraw.py output=/data/pdray_output subject=S03
  python jobs/withdraw.py output=/data/pdray_output subject=S03 delete=true
  python jobs/withdraw.py output=pdray_output subject=S001

Lists the frames, caches, tables, reports and keys that hold data of the person,
and the models, exports and MLflow runs that learnt from them. With delete=true
it deletes the data, marks the models and their scores as learnt from a
withdrawn subject, and prints the commands that train again without the person.
Your manifest and your recordings are listed and stay. If it is interrupted, the
same command goes on.
"""

import sys

from pdray.command import run_job, say
from pdray.config import load
from pdray.withdraw.settings import WithdrawConfig


def main(argv: list[str]) -> int:
    """Run the job; return its exit code."""
    return run_job(argv, work, about=__doc__, settings=WithdrawConfig)


def work(words: list[str]) -> str:
    """List or delete; return what was found and what to do."""
    config = load(WithdrawConfig, words)
    from pdray.withdraw.run import withdraw  # heavy: import after the checks

    return withdraw(config, say)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
