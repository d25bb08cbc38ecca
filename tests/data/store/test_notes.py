from functools import partial
from pathlib import Path

from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.rated import StoredRecording
from pdray.data.media.findings import Findings
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.notes import picture_notes
from pdray.data.store.prepare import Prepared

PLAIN = Findings(sizes=[(64, 48)])
row = partial(Recording, subject_id="S", item="gait")


def prepared(name, findings, *modalities):
    stored = StoredRecording(name, {one: Path("x.arrow") for one in modalities or ("rgb",)})
    return Prepared(
        stored, num_bytes=1, seconds=1.0, rate=25.0, is_varying=False, findings=findings
    )


def test_kinds_of_pictures_are_counted_by_site():
    hlg = Findings(transfer="hlg", sizes=[(64, 48)])
    found = {
        "A1": prepared("A1", hlg),
        "A2": prepared("A2", PLAIN),
        "B1": prepared("B1", Findings(num_interlaced=9, sizes=[(64, 48), (32, 24)])),
        "B2": prepared("B2", Findings(transfer="pq", is_end_told=False)),
        "B3": prepared("B3", None),
        "heard": prepared("heard", None, "mfcc"),
    }
    rows = [row(name, site=name[0] if len(name) == 2 else None) for name in (*found, "other")]
    assert picture_notes(found, rows, DecodeConfig()) == [
        "2 of 5 recordings (A 1 of 2, B 1 of 3) are HDR (HLG, PQ): brought to SDR: A1, B2",
        "1 of 5 recordings (A 0 of 2, B 1 of 3) are interlaced: deinterlaced: B1",
        "1 of 5 recordings (A 0 of 2, B 1 of 3) change their picture size midway: tracks and boxes "
        "are placed by the first size: B1",
        "1 of 5 recordings (A 0 of 2, B 1 of 3) do not tell where they end (as MPEG-TS, live WebM "
        "and MP4 fragments without an index): a copy that lacks its end looks whole; compare "
        "lengths with the camera's: B2",
        "1 of 5 recordings (A 0 of 2, B 1 of 3) were decoded by an earlier version, which took "
        "some cut copies for whole; delete the frame store to have them checked: B3",
    ]


def test_what_is_kept_as_stored_names_the_setting_that_mends_it():
    found = {"R": prepared("R", Findings(transfer="pq", num_interlaced=2))}
    as_stored = DecodeConfig(hdr="stored", interlaced="stored")
    assert picture_notes(found, [row("R")], as_stored) == [
        "1 of 1 recordings are HDR (HLG, PQ): too bright; decode.hdr=sdr brings them to SDR: R",
        "1 of 1 recordings are interlaced: combed; decode.interlaced=deinterlace mends it: R",
    ]


def test_ordinary_recordings_need_no_note():
    found = {f"R{number}": prepared(f"R{number}", PLAIN) for number in range(9)}
    assert picture_notes(found, [row(name) for name in found], DecodeConfig()) == []
    untold = {name: prepared(name, Findings(is_end_told=False)) for name in found}
    (note,) = picture_notes(untold, [row(name) for name in found], DecodeConfig())
    assert note.endswith(": R0, R1, R2, R3, R4, ...")
