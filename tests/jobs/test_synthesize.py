import pytest

from jobs.synthesize import main
from tests.fixtures.agreeing import agreeing_cohort


@pytest.fixture
def words(tmp_path):
    path = agreeing_cohort(tmp_path, [0, 4, 0])
    return ["method=damp", f"data.manifest={path}", f"output={tmp_path / 'new.csv'}"]


def test_it_says_what_was_made(words, tmp_path, capsys):
    assert main([*words, "damp.factor=0.5", "synthesis.strengths=[0.5,1]"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:4] == [
        "sources 1/2",
        "sources 2/2",
        f"manifest   {tmp_path / 'new.csv'}",
        f"made       4 files in {tmp_path / 'new.made'}, SYNTHETIC; 2 of them are rows, in 1 sets",
    ]
    assert told[4].startswith("flicker    change between frames over that of the source: 0.")
    assert told[5:] == [
        "show       4 of 4 files may be shown outside the study", "method     factor 0.5, as set",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("method=dmap", "method: got 'dmap': did you mean 'damp'? methods: damp"),
        ("output=there.txt", "output: got there.txt; give the name of a new .csv file"),
        ("synthesis.strengths=[0,0.5]", "got [0.0, 0.5]: expected rising numbers from 0 to 1"),
        ("synthesis.strengths=[1,0.5]", "got [1.0, 0.5]: expected rising numbers from 0 to 1"),
        ("data.made=training", "data.made: nothing is made of made recordings; leave it out"),
        ("damp.factor=1", "damp.factor: got 1; input should be less than 1"),
        ("data.items=[gait]", "none of its 3 recordings can be used"),
        ("folds.num_outer=9", "3 subjects are fewer than the"),
    ],
)
def test_wrong_words_are_refused_plainly(words, word, message, capsys, tmp_path):
    assert main([*words, word]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert "Traceback" not in told
    assert sorted(one.name for one in tmp_path.iterdir()) == ["manifest.csv", "tracks"]
