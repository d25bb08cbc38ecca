"""Settings of the checks."""

from pydantic import Field, field_validator

from pdray.checks import CHECKS
from pdray.config import Settings, nearest


class ChecksConfig(Settings):
    """Which checks of a finished search are muted."""

    mute: dict[str, str] = Field(
        {},
        description="checks that are not run, each with your reason, which the report prints: "
        'checks.mute.PDR009="pilot study"',
    )

    @field_validator("mute")
    @classmethod
    def _checks_are_known(cls, mute: dict[str, str]) -> dict[str, str]:
        faults = [
            f"there is no check {code!r}; {nearest(code, list(CHECKS))}the checks are "
            f"{', '.join(CHECKS)}"
            for code in mute
            if code not in CHECKS
        ]
        faults += [
            f"{code} has no reason; write why it is muted, or leave it out"
            for code, reason in mute.items()
            if not reason.strip()
        ]
        if faults:
            raise ValueError("; ".join(faults))
        return mute
