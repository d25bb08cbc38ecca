import pytest

from pdray.data.cohort.rows import COLUMNS, read_rows
from pdray.errors import ManifestError


def read(path):
    return read_rows(path, path.read_bytes()).rows


def test_cells_are_text_as_they_stand(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,subject_id,item,grade\n007, S1,gait,NA\n")
    ((number, cells),) = read(path)
    assert number == 2
    assert cells == {"recording_id": "007", "subject_id": " S1", "item": "gait", "grade": "NA"}


def test_every_documented_column_is_accepted(tmp_path):
    header = [*COLUMNS, "rater_1", "rater_2"]
    path = tmp_path / "m.csv"
    path.write_text(",".join(header) + "\n" + ",".join("x" for _ in header) + "\n")
    assert set(read(path)[0].cells) == set(header)


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    path = tmp_path / "m.csv"
    path.write_bytes("\ufeffrecording_id,subject_id,item\r\nr1,S1,gait\r\n".encode())
    assert read(path)[0].cells["recording_id"] == "r1"


def test_a_row_of_another_length_is_named(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,subject_id,item\nr1,S1,gait\nr2,S1\nr3,S1,gait,left\n")
    with pytest.raises(ManifestError, match=r"(?s)row 3: 2 cells where .* 3.*row 4: 4 cells"):
        read(path)


def test_header_faults_come_together(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,subjct_id,item,item,,grade ,rater_2\nr1,S1,gait,gait,,1,1\n")
    with pytest.raises(ManifestError) as caught:
        read(path)
    text = str(caught.value)
    assert "row 1: required column subject_id is missing" in text
    assert "row 1: unknown column 'subjct_id': did you mean 'subject_id'? valid columns: " in text
    assert "row 1: column 'item' stands twice" in text
    assert "row 1: column 5 has no name" in text
    assert "row 1: unknown column 'grade ': did you mean 'grade'?" in text
    assert "row 1: column rater_1 is missing" in text


def test_what_is_required_is_the_callers_to_say(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,item\nr1,action\n")
    with pytest.raises(ManifestError, match="row 1: required column subject_id is missing"):
        read(path)
    ((_, cells),) = read_rows(path, path.read_bytes(), required=("recording_id", "item")).rows
    assert cells == {"recording_id": "r1", "item": "action"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: expected a header with recording_id, subject_id, item"),
        (b"recording_id;subject;item\nr1;S1;gait\n", "required column subject_id is missing"),
        (
            "recording_id,subject_id,item\nr1,\u00fc,\u00e9\n".encode() + b"\xfc",
            "not a CSV in UTF-8",
        ),
        (b"\x89PNG\xff\xfe", "not a CSV in UTF-8: byte 0 is 0x89"),
        (b'recording_id,subject_id,item\n"r1"x,S1,gait\n', "not a CSV: "),
        (b'recording_id,subject_id,item\n"r1,S1,gait\n', "not a CSV: unexpected end of data"),
    ],
)
def test_what_is_not_a_manifest_is_refused(tmp_path, content, message):
    path = tmp_path / "m.csv"
    path.write_bytes(content)
    with pytest.raises(ManifestError, match=message):
        read(path)


def test_columns_that_are_not_known_are_noted_and_no_typing_error_is(tmp_path):
    path = tmp_path / "m.csv"
    path.write_text("recording_id,subject_id,item,comment,x_lab,kg\nr1,S1,gait,a, b,3\n")
    (row,), notes = read_rows(path, path.read_bytes())
    assert row.cells["x_lab"] == " b"
    assert notes == ["columns of the manifest that are not known, and not used: comment, kg"]
    for name, meant in (("Grade", "grade"), ("AGE", "age"), ("visit id", "visit_id")):
        path.write_text(f"recording_id,subject_id,item,{name}\nr1,S1,gait,1\n")
        with pytest.raises(ManifestError, match=f"unknown column '{name}': did you mean '{meant}'"):
            read(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_what_spreadsheet_programs_save_is_read(tmp_path, encoding, delimiter):
    rows = [["recording_id", "subject_id", "item", "site", "age", "rater_1"],
            ["r1", "S1", "gait", "K\u00f6ln \u2013 \u00a7", "63,5", "2,0"]]  # fmt: skip
    lines = [delimiter.join(f'"{cell}"' for cell in row) for row in rows]
    path = tmp_path / "m.csv"
    path.write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    (row,), notes = read_rows(path, path.read_bytes())
    assert row.cells["site"] == "K\u00f6ln \u2013 \u00a7"
    # Where commas are between cells, 63,5 may be a thousand.
    assert row.cells["age"] == ("63,5" if delimiter == "," else "63.5")
    told = " ".join(notes)
    assert ("Windows-1252" in told) == (encoding == "cp1252")
    assert ("UTF-16" in told) == (encoding == "utf-16")
    assert ("semicolons" in told, "tabs" in told) == (delimiter == ";", delimiter == "\t")
    assert ("read as points in age, rater_1" in told) == (delimiter != ",")


def test_a_workbook_is_sent_to_the_job_that_reads_it(tmp_path):
    with pytest.raises(ManifestError, match=r"make_manifest\.py folder=\.\.\. ratings=m\.xlsx"):
        read_rows(tmp_path / "m.xlsx", b"PK")
