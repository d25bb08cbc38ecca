import pytest

from pdray.errors import ManifestError
from pdray.importers.actions.lists import Listed, read_hmdb51, read_kinetics, read_ucf101


@pytest.fixture
def write(tmp_path):
    """Return a function that writes the lines of each named file to a folder."""

    def files(**lines):
        for name, text in lines.items():
            (tmp_path / f"{name}.txt").write_text("\r\n".join(text) + "\r\n")
        return tmp_path

    return files


UCF101 = {
    "classInd": ["1 Archery", "2 YoYo"],
    "trainlist01": ["Archery/v_Archery_g08_c01.avi 1", "YoYo/v_YoYo_g08_c01.avi 2"],
    "testlist01": ["YoYo/v_YoYo_g01_c01.avi"],
}


def test_ucf101_names_classes_in_their_order_and_sides(write):
    classes, listed = read_ucf101(write(**UCF101), 1)
    assert classes == ["Archery", "YoYo"]
    assert listed == [
        Listed("Archery", "v_Archery_g08_c01", "train"),
        Listed("YoYo", "v_YoYo_g08_c01", "train"),
        Listed("YoYo", "v_YoYo_g01_c01", "test"),
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"classInd": ["1 Archery", "3 YoYo"]},
            r"classInd\.txt: line 2: '3 YoYo' is wrong, expected '2 <clas",
        ),
        ({"classInd": ["Archery"]}, r"line 1: 'Archery' is wrong, expected '1 <class>'"),
        ({"classInd": [""]}, r"classInd\.txt: is empty"),
        (
            {"testlist01": ["Dive/a.avi"]},
            r"testlist01\.txt line 1: 'Dive/a\.avi' is wrong, expected '<class>",
        ),
        (
            {"testlist01": ["YoYo/a.avi 1"]},
            r"testlist01\.txt line 1: 'YoYo/a\.avi 1' is wrong, expected",
        ),
        (
            {"testlist01": ["YoYo/v_YoYo_g08_c01.avi"]},
            "v_YoYo_g08_c01 is listed twice: YoYo train, YoYo test",
        ),
    ],
)
def test_ucf101_lines_that_are_wrong_are_named(write, changes, message):
    with pytest.raises(ManifestError, match=message):
        read_ucf101(write(**{**UCF101, **changes}), 1)


def test_a_list_that_cannot_be_read_is_named(write, tmp_path):
    with pytest.raises(ManifestError, match=r"trainlist02\.txt: cannot be read: No such file"):
        read_ucf101(write(**UCF101), 2)
    (tmp_path / "classInd.txt").write_bytes(b"1 Caf\xe9\n")
    with pytest.raises(ManifestError, match=r"classInd\.txt: cannot be read: is not UTF-8"):
        read_ucf101(tmp_path, 1)


def test_hmdb51_tags_say_training_test_or_neither(write):
    folder = write(
        wave_test_split2=["a b_wave_0.avi 1 ", "c_wave_0.avi 0 "],
        clap_test_split2=["d_clap_0.avi 2 "],
        clap_test_split1=["d_clap_0.avi 1 "],
    )
    classes, listed = read_hmdb51(folder, 2)
    assert classes == ["clap", "wave"]
    assert listed == [
        Listed("clap", "d_clap_0", "test"),
        Listed("wave", "a b_wave_0", "train"),
        Listed("wave", "c_wave_0", ""),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["a.avi 1", "b.avi 3"],
            r"clap_test_split1\.txt line 2: 'b\.avi 3' is wrong, expected '<file> 0'",
        ),
        (["a.avi"], r"line 1: 'a\.avi' is wrong, expected"),
        (["a.avi 1", "A.avi 2"], "A is listed twice: clap train, clap test"),
    ],
)
def test_hmdb51_lines_that_are_wrong_are_named(write, lines, message):
    with pytest.raises(ManifestError, match=message):
        read_hmdb51(write(clap_test_split1=lines), 1)


def test_hmdb51_without_lists_says_what_they_are_called(tmp_path):
    with pytest.raises(ManifestError, match=r"has no file named <class>_test_split3\.txt"):
        read_hmdb51(tmp_path, 3)


HEADER = "label,youtube_id,time_start,time_end,split"


def test_kinetics_rows_name_files_by_id_and_times(write):
    folder = write(
        train=[HEADER, "air drumming,_-xy,5,15,train", '"dance, tap",ab,0.0,10.0,train'],
        val=[HEADER + ",is_cc", "air drumming,zz,120,130,validate,0"],
    )
    assert read_kinetics([folder / "train.txt", folder / "val.txt"]) == [
        Listed("air drumming", "_-xy_000005_000015", "train"),
        Listed("dance, tap", "ab_000000_000010", "train"),
        Listed("air drumming", "zz_000120_000130", "validate"),
    ]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["label,youtube_id,split", "a,b,train"],
            "the header lacks the column time_start, time_end; add it",
        ),
        ([HEADER, "a,b,0,10,train", ",c,0,10,test"], r"t\.txt row 3: label '', youtube_id 'c'"),
        ([HEADER, "a,b,soon,10,train"], r"row 2: .* times 'soon' to '10'"),
        ([HEADER, "a,b,0"], r"row 2: .* times '0' to ''"),
        ([HEADER, "a,b,0,9,train", "c,b,0,9,val"], "b_000000_000009 is listed twice: a train, c v"),
    ],
)
def test_kinetics_rows_that_are_wrong_are_named(write, lines, message):
    folder = write(t=lines)
    with pytest.raises(ManifestError, match=message):
        read_kinetics([folder / "t.txt"])
