"""What a study will do, said before it starts."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from pdray.data.decode import declared_length
from pdray.data.manifest import Recording
from pdray.search.cluster import Capacity, Reservation
from pdray.search.cohort import Cohort
from pdray.search.settings import StudyPlan

_SHOWN = 5


def describe_plan(
    plan: StudyPlan, cohort: Cohort, capacity: Capacity, reservation: Reservation
) -> str:
    """Lay out trials, folds, data, disk and resources of a study as lines of text."""
    config = plan.config
    recordings = cohort.recordings
    subjects = {recording.subject_id for recording in recordings}
    grades = Counter(recording.grade for recording in recordings)
    epochs, folds, trials = config.optim.epochs, len(cohort.folds.folds), config.search.trials
    workers = reservation.workers
    lines = [
        f"cohort     {len(recordings)} recordings of {len(subjects)} subjects; grades "
        + ", ".join(f"{grade}: {grades[grade]}" for grade in sorted(grades, key=str)),
        f"folds      {folds} inner folds of {len(cohort.folds.development)} development subjects; "
        f"{len(cohort.folds.test)} test subjects, seen once at the end",
        f"search     {trials} trials x {folds} folds x {epochs} epochs, {len(plan.space)} searched "
        f"settings, val/{config.search.metric} decides",
        f"resources  a trial reserves {workers.num_workers} x {workers.cpus_per_worker:g} CPUs, "
        f"{workers.num_workers} x {workers.gpus_per_worker:g} GPUs; "
        f"{reservation.concurrent_trials} trials at once on {capacity.num_nodes} nodes with "
        f"{capacity.cpus:g} CPUs and {capacity.gpus:g} GPUs",
        f"frames     {_frames(plan, recordings)}",
        f"output     {config.output}",
    ]
    lines += [
        f"left out   {len(ids)} recordings without {fact}: {', '.join(ids[:_SHOWN])}"
        + (f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else "")
        for fact, ids in cohort.lacking.items()
        if ids
    ]
    lines += [f"note       {note}" for note in cohort.notes]
    if any(recording.split for recording in recordings):
        lines.append("note       the manifest's column 'split' is not used: folds.* decides")
    if cohort.is_synthetic:
        lines.append("note       SYNTHETIC data: a rendered cohort, not patients")
    return "\n".join(lines)


def _frames(plan: StudyPlan, recordings: Sequence[Recording]) -> str:
    """Estimate from the files' headers how much there is to decode and to store."""
    height, width = plan.config.decode.height, plan.config.decode.width
    with ThreadPoolExecutor(8) as pool:
        lengths = list(pool.map(_declared, recordings))
    hours = sum(seconds for seconds, _ in lengths) / 3600
    size = sum(frames for _, frames in lengths) * height * width * 3
    text = f"about {hours:.2f} hours of video at {width}x{height}, "
    if plan.config.frames == "video":
        return text + "decoded again at every read"
    return text + f"decoded once into about {size / 1e9:.2f} GB"


def _declared(recording: Recording) -> tuple[float, int]:
    if recording.video is None:
        return 0.0, 0
    seconds, frames = declared_length(recording.video)
    start, end = recording.start_seconds or 0.0, recording.end_seconds or seconds
    part = max(0.0, min(end, seconds) - start) / seconds if seconds else 0.0
    return seconds * part, round(frames * part)
