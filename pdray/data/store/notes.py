"""Sentences of a study about the pictures and files of its recordings, counted by site."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from pdray.data.cohort.manifest import Recording
from pdray.data.media.findings import Findings
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.prepare import Prepared

_SHOWN = 5  # recordings


def picture_notes(
    prepared: Mapping[str, Prepared], recordings: Sequence[Recording], decode: DecodeConfig
) -> list[str]:
    """Return what is to be known of pictures and files, one sentence each.

    Args:
        prepared: What is there, by recording id.
        recordings: Rows, which name the sites.
        decode: How pictures were drawn.
    """
    pictures = {name: one.findings for name, one in prepared.items() if one.has_pictures}
    sites = {one.recording_id: one.site or "" for one in recordings if one.recording_id in pictures}

    def those(holds: Callable[[Findings], bool]) -> list[str]:
        return sorted(name for name, one in pictures.items() if one is not None and holds(one))

    toned = decode.hdr == "sdr"
    woven = decode.interlaced == "deinterlace"
    kinds = (
        (
            those(lambda one: one.transfer is not None),
            "are HDR (HLG, PQ): "
            + ("brought to SDR" if toned else "too bright; decode.hdr=sdr brings them to SDR"),
        ),
        (
            those(lambda one: one.num_interlaced > 0),
            "are interlaced: "
            + ("deinterlaced" if woven else "combed; decode.interlaced=deinterlace mends it"),
        ),
        (
            those(lambda one: len(one.sizes) > 1),
            "change their picture size midway: tracks and boxes are placed by the first size",
        ),
        (
            those(lambda one: not one.is_end_told),
            "do not tell where they end (as MPEG-TS, live WebM and MP4 fragments without an "
            "index): a copy that lacks its end looks whole; compare lengths with the camera's",
        ),
        (those(lambda one: bool(one.unaligned)), _unaligned(pictures.values())),
        (
            sorted(name for name, one in pictures.items() if one is None),
            "were decoded by an earlier version, which took some cut copies for whole; delete the "
            "frame store to have them checked",
        ),
    )
    return [
        f"{len(names)} of {len(pictures)} recordings{_by_site(names, sites)} {text}: {_list(names)}"
        for names, text in kinds
        if names
    ]


def _unaligned(findings: Iterable[Findings | None]) -> str:
    """Return how many frames give no portrait, by the reason, most frequent first."""
    counts: Counter[str] = Counter()
    for one in findings:
        counts.update({why: len(times) for why, times in (one.unaligned if one else {}).items()})
    told = ", ".join(f"{number} {why}" for why, number in counts.most_common())
    return f"have frames that give no portrait and are left out, {counts.total()} in all ({told})"


def _by_site(names: Sequence[str], sites: Mapping[str, str]) -> str:
    """Return the counts of each site in brackets; nothing where no site is known."""
    if not any(sites.values()):
        return ""
    counts = []
    for site in sorted(set(sites.values())):
        of_site = {name for name, where in sites.items() if where == site}
        counts.append(f"{site or 'no site'} {len(of_site & set(names))} of {len(of_site)}")
    return f" ({', '.join(counts)})"


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
