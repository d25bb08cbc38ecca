import sys
from datetime import date

import pytest

from pdray.errors import ManifestError
from pdray.importers.sheets.workbook import read_grid
from tests.fixtures.clinic import write_open_document, write_workbook

ROWS = [["Patient", "Score"], ["P1", 2], ["P2", 1.5]]
LINES = [(2, ["P1", "2"]), (3, ["P2", "1.5"])]


@pytest.fixture
def library():
    pytest.importorskip("python_calamine", reason="pip install -e '.[sheets]'")


@pytest.mark.usefixtures("library")
def test_workbooks_of_excel_and_libreoffice_say_the_same(tmp_path):
    for path in (write_workbook(tmp_path / "a.xlsx", {"A": ROWS, "Empty": []}),
                 write_open_document(tmp_path / "a.ods", ROWS)):  # fmt: skip
        grid = read_grid(path, None)
        assert (grid.header, grid.lines, grid.notes) == (ROWS[0], LINES, [])


@pytest.mark.usefixtures("library")
def test_a_title_is_passed_over_and_a_merged_cell_holds_for_all_its_rows(tmp_path):
    rows = [["Ratings of 2024"], [], *ROWS, [None, 3], [None, "#N/A"], [None, date(2024, 5, 31)]]
    path = write_workbook(tmp_path / "a.xlsx", {"A": rows}, merged="A5:A7")
    grid = read_grid(path, "A")
    assert grid.header == ROWS[0]
    assert grid.lines[1:] == [(5, ["P2", "1.5"]), (6, ["P2", "3"]), (7, ["P2", ""]),
                              (8, ["", "2024-05-31"])]  # fmt: skip
    assert grid.notes == ["a.xlsx: a cell with an error, such as #N/A, was read as empty"]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("sheets", "sheet", "merged", "message"),
    [
        ({"A": ROWS, "B": ROWS}, None, "", r"a\.xlsx: its sheets are A, B; name one with sheet="),
        ({"A": ROWS}, "C", "", r"a\.xlsx: has no sheet 'C'; its sheets are A"),
        ({"A": [["only"], ["one"]]}, None, "", r"a\.xlsx: has no row with the names of columns"),
        ({"A": []}, None, "", r"a\.xlsx: no sheet in it has a row below a header; choose another"),
        ({"A": [["Who", None, "Grades", None], ["Patient", "Visit", "Rater A", "Rater B"]]}, None,
         "C1:D1", r"in row 1, the header, one cell spans several columns; split it and name each"),
        ({"A": [*ROWS, ["P3", "=B3+1"], ["P4", "=B3"]]}, None, "",
         r"a\.xlsx: formulas without a value in B4, B5; open it in Excel or LibreOffice, which"),
    ],
)  # fmt: skip
def test_a_workbook_that_says_too_little_is_refused(tmp_path, sheets, sheet, merged, message):
    path = write_workbook(tmp_path / "a.xlsx", sheets, merged=merged)
    with pytest.raises(ManifestError, match=message):
        read_grid(path, sheet)


@pytest.mark.usefixtures("library")
def test_what_is_no_workbook_is_refused(tmp_path):
    (tmp_path / "a.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(ManifestError, match=r"a\.xlsx: cannot be read as a workbook: .*; save it"):
        read_grid(tmp_path / "a.xlsx", None)


def test_without_the_library_its_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    (tmp_path / "a.xlsx").write_bytes(b"")
    with pytest.raises(ManifestError, match=r"pip install -c constraints.txt -e '\.\[sheets\]'"):
        read_grid(tmp_path / "a.xlsx", None)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_files_of_spreadsheet_programs_are_read(tmp_path, encoding, delimiter):
    rows = [["Patient", "Gr\u00f6\u00dfe"], ["P1", "two\nlines"], ["", ""], ["P2", "1,5"]]
    text = "\r\n".join(delimiter.join(f'"{cell}"' for cell in row) for row in rows)
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding))
    grid = read_grid(path, None)
    assert grid.header == rows[0]
    assert grid.lines == [(2, ["P1", "two\nlines"]), (5, ["P2", "1,5"])]
    assert ("a.csv is not in UTF-8" in " ".join(grid.notes)) == (encoding in ("utf-16", "cp1252"))


def test_a_file_that_is_no_table_is_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\x89PNG\r\n\xff,\xfe")
    with pytest.raises(ManifestError, match=r"a\.csv: cannot be read as a CSV file: .*save it as"):
        read_grid(tmp_path / "a.csv", None)
    with pytest.raises(ManifestError, match=r"none\.csv: cannot be read: No such file"):
        read_grid(tmp_path / "none.csv", None)
    (tmp_path / "b.csv").write_text("x,y\n1,2,3\n")
    with pytest.raises(ManifestError, match=r"b\.csv: row 2 has more cells than the 2 columns"):
        read_grid(tmp_path / "b.csv", None)
