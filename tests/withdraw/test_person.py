from pathlib import Path

from pdray.data.cohort.manifest import Recording
from pdray.withdraw.person import Row


def test_a_table_of_many_people_is_no_file_of_one() -> None:
    named = {"features": Path("table.csv"), "features.voice": Path("r1.npz")}
    row = Row(Path("manifest.csv"), 2, Recording("r1", "S", "speech", features=named))
    assert row.files == [Path("r1.npz")]
    assert row.tables == [Path("table.csv")]
