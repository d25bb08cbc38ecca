import pytest

from jobs.import_youtubepd import main
from tests.fixtures.youtubepd_made import Made


@pytest.fixture
def words(tmp_path):
    """Settings that import a SYNTHETIC pack."""
    folder = Made().write_pack(tmp_path / "pack")
    return ["layout=pack", f"folder={folder}", f"output={tmp_path / 'm.csv'}"]


def test_it_says_what_it_wrote_and_what_lacks(words, tmp_path, capsys):
    assert main(words) == 0
    everyone = "video3, video7, video20, video136"
    *told, terms, nobody = capsys.readouterr().out.splitlines()
    assert "CC0 by the paper's word alone; health judgements about real public figures" in terms
    assert nobody == "note       do not try to find out who any of these people are"
    assert told == [
        f"manifest   {tmp_path / 'm.csv'}",
        "           4 recordings; by split, batch and grade 0 to 5:",
        "           test  A    0    0    0    0    0    1",
        "           test  B    1    0    0    0    0    0",
        "           train A    1    1    0    0    0    0",
        f"marks      {tmp_path / 'm.marks.csv'}, 5 rows",
        f"settings   --config {tmp_path / 'm.data.yaml'}",
        "subjects   some recordings have no subject id, so the settings file says subjects:",
        "           none; the same person may be in training and test",
        f"lacking    {tmp_path / 'm.lacks.csv'}, 17 rows",
        f"           audio files absent: 4 ({everyone})",
        "           labels above 0 without a mark: 1 (video20)",
        "           landmarks lack frames: 1 (video7)",
        "           listed twice, taken once: 1 (video136)",
        "           marks incomplete: 1 (video3)",
        "           marks without a label: 1 (video150)",
        f"           subjects absent: 4 ({everyone})",
        f"           video files absent: 4 ({everyone})",
    ]


def test_named_subjects_are_not_warned_of(words, tmp_path, capsys):
    clips = ("video3", "video7", "video20", "video136")
    lines = [f"{clip},S{number}\n" for number, clip in enumerate(clips)]
    (tmp_path / "s.csv").write_text("clip_id,subject_id\n" + "".join(lines))
    assert main([*words, f"subjects={tmp_path / 's.csv'}"]) == 0
    assert "subjects " not in capsys.readouterr().out


def test_a_mistake_ends_with_status_two_and_writes_nothing(words, tmp_path, capsys):
    (tmp_path / "pack" / "clips.csv").write_text("x")
    assert main(words) == 2
    told = capsys.readouterr()
    assert told.err.startswith("error: ")
    assert "clips.csv: its SHA-256 is" in told.err
    assert "Traceback" not in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["pack"]
