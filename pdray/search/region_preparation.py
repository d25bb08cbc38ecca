"""Checks polygons and adds marks for networks on regions, before the first trial."""

from collections.abc import Sequence

from pdray.command import Say
from pdray.data.batches.boxes import check_polygons
from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.marks import MarksTable, add_marks
from pdray.data.cohort.rated import RatedRecording
from pdray.errors import DecodeError, refuse


def check_regions(recordings: Sequence[Recording]) -> None:
    """Refuse tracks whose polygons are not those of the regions that the networks read.

    Args:
        recordings: Recordings of the study.

    Raises:
        DecodeError: If a track cannot be read or has other polygons; names every such recording.
    """
    faults = []
    for one in recordings:
        assert one.regions is not None, "recordings without regions are left out earlier"
        try:
            check_polygons(one.regions)
        except DecodeError as error:
            faults.append(f"recording {one.recording_id}: {error}")
    refuse(faults, DecodeError, "regions")


def with_marks(
    recordings: tuple[RatedRecording, ...],
    table: MarksTable | None,
    say: Say,
) -> tuple[RatedRecording, ...]:
    """Give recordings the marks of ``data.marks``, and print how many have marks.

    Args:
        recordings: Recordings of the trials.
        table: The table of ``data.marks``, or None.
        say: Prints a line.

    Raises:
        ManifestError: If a healthy recording has a mark.
    """
    if table is None:
        say(
            "note: data.marks is not set, so the regions of ill people have no labels; the region "
            "classifiers learn only from healthy people, whose regions count as normal"
        )
        return recordings
    marked = add_marks(recordings, table)
    known = sum(one.marks is not None for one in marked)
    vague = f"; {table.num_vague} rows name no region or no severity" if table.num_vague else ""
    say(f"marks      {known} of {len(marked)} recordings have marked regions{vague}")
    return marked
