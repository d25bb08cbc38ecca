from pathlib import Path

import pytest

from pdray.errors import SettingsError
from pdray.evaluation.translation_scores import Measure, RowScores
from pdray.papers.table import TRANSLATION_COLUMNS, read_table
from pdray.papers.translation_table import NOT_BUILT, NOT_RUN, Printed, translation_text

FILE = Path(__file__).parents[2] / "search_spaces" / "tables" / "youtubepd.table4.yaml"
NAMES = tuple(name for name in RowScores.__dataclass_fields__ if name != "pictures")


def scores(**changes):
    usual = {name: Measure(0.25, 60, 0, 0.125, 0.5) for name in NAMES}
    return RowScores(pictures=60, **(usual | changes))


@pytest.fixture
def table():
    return read_table(FILE)


def text_of(table, rows, network="FID"):
    printed = Printed(table.title, table.paper, table.not_built, network, ["60 pictures"], True)
    return translation_text(printed, rows)


def lines_of(text, label):
    return [line for line in text.splitlines() if line.startswith(label)]


def test_the_paper_s_figures_stand_below_each_method_and_methods_that_are_not_here_say_so(table):
    text = text_of(table, {"CUT": scores()})
    sets, direction, person = lines_of(text, "CUT ")
    assert sets.split()[1:3] == ["60", "0.250"]
    paper = [line.split() for line in lines_of(text, "  paper")]
    assert len(paper) == 14  # seven methods, without the block of what the paper has not
    assert ["paper", "46.63", "-", "-"] in paper
    assert ["paper", "11.32", "0.3237", "-", "-"] in paper
    for label in table.not_built:
        assert all(NOT_BUILT in line for line in lines_of(text, label))
    assert all(NOT_RUN in line for line in lines_of(text, "HRFAE"))
    assert "SYNTHETIC" in text.splitlines()[0]
    assert direction.split()[2] == "25.0"
    assert person


def test_what_is_absent_is_neither_0_nor_nan_and_is_counted(table):
    absent = Measure(None, 0, 60)
    partly = Measure(0.5, 57, 3, 0.4, 0.6)
    rows = {"source itself": scores(direction=absent, excess=absent, control=partly)}
    line = lines_of(text_of(table, rows), "source itself")[1]
    assert line.count("absent (0 of 60)") == 2
    assert "0.50 (0.40 to 0.60) (57 of 60)" in line
    assert "nan" not in text_of(table, rows).lower()


def test_distances_are_fid_with_its_features_alone(table):
    rows = {"source itself": scores(kernel_ill=Measure(0.01234, 60, 0, 0.0, 0.02, 0.004))}
    fid = text_of(table, rows)
    assert "FID source" in fid
    assert "KID ill" in fid
    assert "0.01234 +- 0.00400" in fid
    other = text_of(table, rows, network="identity_study")
    assert "FD source" in other
    assert "FID source" not in other
    assert "features of identity_study, so that it is no FID" in " ".join(other.split())


def test_columns_without_a_place_in_the_table_are_refused(tmp_path):
    text = FILE.read_text()
    wrong = tmp_path / "youtubepd.wrong.yaml"
    wrong.write_text(text.replace('direction: "0.2874"', 'dirction: "0.2874"'))
    with pytest.raises(SettingsError, match=r"ADA\.dirction: there is no such col"):
        read_table(wrong)
    wrong.write_text(text.replace("not_built: [StyleGAN2-ADA", "not_built: [StyleGAN3"))
    with pytest.raises(SettingsError, match="not_built: there is no row 'StyleGAN3'"):
        read_table(wrong)
    assert len(TRANSLATION_COLUMNS) == len(NAMES)
