"""The Ray cluster that a job joins: its address, or that of the job that was submitted to it."""

import json
import os
from typing import Annotated

from pydantic import AfterValidator

_JOB_VARIABLE = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def _joinable(address: str | None) -> str | None:
    wrong = {
        "ray:": "that is Ray Client, which pdray does not use",
        "http": "that is its dashboard",
    }
    for start, reason in wrong.items():
        if (address or "").startswith(start):
            raise ValueError(
                f"got '{start}...'; {reason}; give the address of the cluster, such as host:6379, "
                "or submit the job with `ray job submit`"
            )
    return address


ClusterAddress = Annotated[str | None, AfterValidator(_joinable)]
"""Setting ``resources.address``; None: that of a submitted job, else no cluster is joined."""


def is_submitted() -> bool:
    """Return whether this process is the driver of a submitted job."""
    return _JOB_VARIABLE in os.environ


def submitted_commit() -> str | None:
    """Return the ``git_commit`` of a submitted job's metadata; such a job has no ``.git``."""
    metadata = json.loads(os.environ.get(_JOB_VARIABLE, "{}")).get("metadata", {})
    commit = metadata.get("git_commit")
    return str(commit) if commit else None


def joined_address(address: str | None) -> str | None:
    """Return the address of the cluster that a job joins; None if it joins none.

    Args:
        address: Setting ``resources.address``.
    """
    return address or ("auto" if is_submitted() else None)
