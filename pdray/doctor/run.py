"""Looks at everything that a search needs, and prints a line of each."""

from collections.abc import Callable, Iterator

from pdray.display import Say, step
from pdray.doctor.disk import look_at_disk
from pdray.doctor.finding import Line, summary
from pdray.doctor.machine import look_at_machine
from pdray.doctor.packages import look_at_packages
from pdray.doctor.services import look_at_services
from pdray.doctor.settings import DoctorConfig

Look = Callable[[], Iterator[Line]]


def examine(config: DoctorConfig, say: Say) -> tuple[bool, str]:
    """Look at this machine, and at a manifest if one is given. Nothing is kept.

    Args:
        config: Where jobs will write, and with whom they will talk.
        say: Prints a line.

    Returns:
        Whether no job would fail, and the last line.

    Raises:
        PdrayError: If the manifest has faults.
    """
    looks: dict[str, Look] = {
        "looking at the machine": look_at_machine,
        "looking at packages": look_at_packages,
        "looking at the disk": lambda: look_at_disk(config.output),
        "looking at servers": lambda: look_at_services(
            config.output, config.address, config.tracking.uri
        ),
    }
    if config.data.manifest is not None:
        from pdray.doctor.cost import look_at_manifest

        looks["looking at the manifest"] = lambda: look_at_manifest(config)
    found = []
    for name, look in looks.items():
        with step(name):
            for line in look():
                say(str(line))
                found.append(line)
    return all(one.state != "fault" for one in found), summary(found)
