"""Says what the videos of a manifest would cost: hours, space, and time to decode them here."""

from collections.abc import Iterator

from pdray.cpus import granted_cpus
from pdray.display import clock
from pdray.doctor.finding import Line
from pdray.doctor.settings import DoctorConfig
from pdray.errors import StoreError


def look_at_manifest(config: DoctorConfig) -> Iterator[Line]:
    """Yield what a manifest would cost; a few frames of a few videos are decoded and timed.

    Args:
        config: Names the manifest, and how frames are kept.

    Raises:
        ManifestError: With every fault of the manifest.
    """
    # Ray and PyTorch among them, which take seconds.
    from pdray.data.store.forecast import check_room, forecast
    from pdray.search.preparation import plan_preparation

    plan = plan_preparation(config)
    yield Line(
        "manifest",
        "warning" if plan.notes else "ok",
        f"{len(plan.recordings)} recordings can be read by {', '.join(config.modalities)}",
        "; ".join(plan.notes),
    )
    expected = forecast(plan.recordings, plan.store, config.modalities)
    hours = f"{expected.seconds / 3600:.2f} hours of video"
    if not expected.num_missing:
        yield Line("frames", "ok", f"{hours}; all frames are in {plan.store.root}")
        return
    told = (
        f"{hours}; {expected.num_missing} of {expected.num_recordings} recordings are to decode: "
        f"about {expected.num_bytes / 1e9:.2f} GB ({config.store.codec}), about "
        f"{clock(expected.cpu_seconds / granted_cpus())} here"
    )
    try:
        check_room(expected, plan.store.root)
    except StoreError as error:
        what, _, way = str(error).partition("; ")
        yield Line("frames", "fault", f"{told}; {what}", way)
    else:
        yield Line("frames", "ok", told, "jobs/quick_look.py says how long training takes")
