"""The table of changed pictures from a manifest to its text, on SYNTHETIC faces."""

from pathlib import Path

import pytest

from jobs import reproduce
from pdray.data.cohort.folds import Folds
from pdray.data.cohort.manifest import load_manifest
from pdray.evaluation.translation_rows import CONTROLS
from pdray.predict.seen_pictures import SUFFIX
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import read_scorings
from tests.fixtures.translator_study import leave_translator
from tests.predict.conftest import train
from tests.predict.test_picture_networks import FOLDS, PORTRAITS, draw


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("people"), 4)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> StudyLog:
    others = draw(tmp_path_factory.mktemp("others"), 5)
    return train(tmp_path_factory.mktemp("judge"), others, PORTRAITS, FOLDS)


@pytest.fixture
def words(manifest: Path, judge: StudyLog, tmp_path: Path) -> list[str]:
    return [
        "--table", "000.4", f"data.manifest={manifest}", f"output={tmp_path / 'output'}",
        f"judge={judge.folder}", f"identity={judge.folder}", "other_people=true",
    ]  # fmt: skip


def test_the_table_has_all_rows_without_a_method_and_the_paper_s(words, tmp_path, manifest, capsys):
    assert reproduce.main(words) == 0
    text = (tmp_path / "output" / "tables" / "youtubepd.table4.txt").read_text()
    assert text.strip() in capsys.readouterr().out
    lines = text.splitlines()
    assert "SYNTHETIC" in lines[0]
    for label in CONTROLS:
        assert sum(line.startswith(f"{label}  ") for line in lines) == 3
    (source,) = (line for line in lines if line.startswith("source itself") and " absent" in line)
    assert source.count("absent (0 of 21)") == 3
    assert "21 healthy pictures of 6 people are changed; 6 people are scored, 3 folds" in text
    assert "true ill picture: SYNTHETIC" in text
    assert sum("not built" in line for line in lines) == 12
    assert "features of faces, so that it is no FID" in " ".join(text.split())
    assert "note: read from the paper's digits: each CLS is k/106" in text
    assert "nan" not in text.replace("nance", "").lower()
    # Nobody is named, and the scoring is in the list.
    for one in load_manifest(manifest).recordings:
        assert one.subject_id not in text
    (scoring,) = read_scorings(tmp_path / "output")
    assert (scoring.table, len(scoring.subjects)) == ("youtubepd.table4", 6)
    kept = tmp_path / "output" / "tables" / "youtubepd.table4.seen"
    files = {one.name: one.stat().st_mtime_ns for one in kept.glob(f"*{SUFFIX}")}
    assert len(files) == 4  # two networks' numbers of the real pictures and of the true ones
    assert reproduce.main(words) == 0
    assert {one.name: one.stat().st_mtime_ns for one in kept.glob(f"*{SUFFIX}")} == files


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert reproduce.main(words) == 2
    return capsys.readouterr().err


def test_a_network_that_may_know_the_people_is_refused_before_a_picture_is_read(
    words, tmp_path, capsys
):
    told = refused([one for one in words if not one.startswith("other_people")], capsys)
    assert "judge: study faces learnt from 5 (S002 by its id" in told
    assert "of 6 of the scored people" in told
    assert "if only the ids are equal, write other_people=true" in told
    assert not (tmp_path / "output" / "tables" / "youtubepd.table4.txt").exists()


def test_what_is_missing_or_has_no_effect_is_named_with_what_to_give(words, tmp_path, capsys):
    told = refused([*words[:4], "fid=absent.pth"], capsys)
    assert "judge is missing; give a study with modality=portraits that tells ill" in told
    assert "identity is missing; give a study" in told
    assert "fid: there is no absent.pth" in told
    other = ["--table", "youtubepd.table5", *words[2:]]
    assert "judge, identity, other_people: no effect in table" in refused(other, capsys)


SPLIT = Folds(
    frozenset(["S001", "S002", "S003"]), (frozenset(["S004"]), frozenset(["S005", "S006"]))
)


def test_methods_stand_below_the_controls_and_their_test_people_alone_are_scored(
    words, manifest, tmp_path, capsys
):
    study = leave_translator(tmp_path, manifest, SPLIT)
    assert reproduce.main([*words, f"methods.CUT={study.folder}"]) == 0
    text = capsys.readouterr().out
    lines = text.splitlines()
    assert "3 people are scored, one split; 3 are learnt from" in " ".join(text.split())
    told = [line for line in lines if line.startswith("CUT  ")]
    assert len(told) == 3
    assert not any("not run" in line for line in told)
    assert lines[lines.index(told[0]) + 1].split() == ["paper", "46.63", "-", "-"]
    assert sum("not run" in line for line in lines) == 6  # CycleGAN and HRFAE
    told = "CUT: cut, no preset, 12 steps of 15 pictures of each side CUT: copies are not"
    assert told in " ".join(text.split())
    assert "CUT: copies are not looked for: the copy check got" in " ".join(text.split())


def test_methods_of_another_cohort_split_or_size_are_refused_together(
    words, manifest, tmp_path, capsys
):
    cut = leave_translator(tmp_path, manifest, SPLIT)
    other = Folds(frozenset(["S001"]), SPLIT.folds)
    more = leave_translator(
        tmp_path, draw(tmp_path / "more", 7), other, name="more", portraits={"size": 96}
    )
    told = refused(
        [
            *words,
            f"methods.CUT={cut.folder}",
            f"methods.HRFAE={more.folder}",
            "data.grade_cuts=[2]",
        ],
        capsys,
    )
    for fault in (
        "methods.CUT: study cut has other classes; set data.grade_cuts=[1]",
        "methods.HRFAE: study more has another manifest than the table",
        "methods.HRFAE: study more has portraits of 96 px; set portraits.size=96",
        "methods.HRFAE: study more has other test subjects than methods.CUT",
    ):
        assert fault in told
    assert "methods.CUT: there is no absent" in refused([*words, "methods.CUT=absent"], capsys)
