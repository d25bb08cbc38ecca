import pytest

from pdray.data.cohort.csv_table import read_table
from pdray.errors import ManifestError


def read(tmp_path, content):
    path = tmp_path / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, ("a", "b"), optional=("c",))


def test_cells_stay_as_they_are_and_rows_know_their_line(tmp_path):
    rows = read(tmp_path, '\ufeffb,a\n1, NA\n\n"x\ny",\n2,3\n')
    assert [(row.number, row.cells["a"], row.cells["b"], row.cells["c"]) for row in rows] == [
        (2, " NA", "1", ""),
        (4, "", "x\ny", ""),
        (6, "3", "2", ""),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"t\.csv: is empty: expected a header with a, b"),
        ("a\n1\n", r"row 1: column b is missing"),
        ("a,b,b\n", r"row 1: column 'b' stands twice"),
        ("a,b,d\n", r"row 1: unknown column 'd': known are a, b, c"),
        ("a,b\n1\n2,3,4\n", r"2 faults:\n  - row 2: 1 cells .* 2\n  - row 3: 3 cells"),
        (b"a,b\n\xff,1\n", r"t\.csv: not a CSV in UTF-8: .*0xff"),
        ('a,b\n"1,2\n', r"t\.csv: not a CSV: unexpected end of data"),
    ],
)
def test_a_table_of_another_form_is_refused(tmp_path, content, message):
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, content)


def test_a_table_that_is_not_there_is_told(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.csv: cannot be read: No such file"):
        read_table(tmp_path / "none.csv", ("a",))
