"""The job from its words to its files: studies, fixed trials, tables, refusals."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from jobs.compare import main
from pdray.search.compare_settings import load_comparison
from pdray.tracking.scorings import Scoring, note_scoring, read_scorings
from tests.fixtures.compared import predictions, write_study

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*words: object, **said: Any) -> tuple[int, str, str]:
        named = [f"{key.replace('__', '.')}={value}" for key, value in said.items()]
        code = main([*map(str, words), f"output={tmp_path / 'out'}", *named])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def studies(tmp_path: Path) -> list[Path]:
    return [
        write_study(tmp_path / "studies" / name, {name: predictions(skill, seed=seed)})
        for seed, (name, skill) in enumerate([("strong", 3.0), ("weak", 0.3)])
    ]


def test_the_winners_of_two_studies(run: Run, studies: list[Path], tmp_path: Path) -> None:
    note_scoring(tmp_path, Scoring("tsa.table5", "old", 0, "abc", "cohort.csv", "a; b"))
    code, out, _ = run(*studies, compare__margin=0.1)
    assert code == 0
    assert out.startswith("2 models on the same 60 recordings of 20 subjects (rows ")
    assert "SYNTHETIC" in out.splitlines()[0]
    assert "These tests speak of these models on new people" in out
    assert (
        "2 studies have scored held-out recordings of cohort.csv in this output folder, and "
        "scorings.csv lists 1 more look at this manifest (of earlier versions: at one of this name)"
    ) in " ".join(out.split())
    assert [(one.table, one.study) for one in read_scorings(tmp_path)[1:]] == [
        ("compare", "strong"), ("compare", "weak")
    ]  # fmt: skip
    assert "secret" not in out
    folder = tmp_path / "out" / "comparisons" / "strong-weak"
    assert (folder / "comparison.txt").read_text() == out[: out.index("\n\nfiles")] + "\n"
    table = pd.read_csv(folder / "comparison.csv").set_index("table")
    gap = table.loc["difference"]
    assert f"{gap['value']:.3f}" in out
    assert f"{gap['p']:.4f}" in out
    assert (gap["metric"], gap["verdict"]) == ("mcc", "shown")
    before = (folder / "comparison.csv").read_bytes()
    assert "lists 3 more looks" in " ".join(run(*studies, compare__margin=0.1)[1].split())
    assert (folder / "comparison.csv").read_bytes() == before


def test_the_fixed_trials_of_one_study_over_its_folds(run: Run, tmp_path: Path) -> None:
    tables = {f"no {n}": predictions(n, people=40, folds=4, trial=n, seed=n) for n in (1, 2, 3)}
    study = write_study(tmp_path / "studies" / "fixed", tables, fixed=True, synthetic=False)
    code, out, _ = run(study, compare__secondary="[corrected_t]")
    assert code == 0
    assert "fixed:no 3" in out
    assert "the predictions of 4 networks" in out
    assert "Holm over all 3 tests" in out
    assert "SYNTHETIC" not in out
    code, out, _ = run(study, compare__models="[fixed:no 1,fixed:no 3]")
    assert out.startswith("2 models")


def test_a_table_of_a_study_is_known_as_such(run: Run, studies: list[Path], tmp_path: Path) -> None:
    folder = write_study(tmp_path / "studies" / "third", {"": predictions(seed=7)})
    trial = folder / "trials" / "0003" / "predictions.parquet"
    trial.parent.mkdir(parents=True)
    predictions(seed=9, split="val").to_parquet(trial)
    code, out, _ = run(studies[0], trial)
    assert code == 0
    assert "third:0003" in out
    assert [one.study for one in read_scorings(tmp_path)] == ["strong"]
    other = tmp_path / "studies" / "weak" / "winner" / "predictions.parquet"
    assert "weak:winner" in run(other, trial)[1]


def test_tables_of_other_programs_and_trials_in_one_table(run: Run, tmp_path: Path) -> None:
    both = pd.concat([predictions(3.0), predictions(0.5, seed=1, trial=1)])
    kept = ["trial", "recording_id", "subject_id", "target", "probability_0", "probability_1"]
    both[kept].to_csv(tmp_path / "both.csv", index=False)
    predictions(seed=2)[kept[1:]].to_parquet(tmp_path / "third.parquet")
    code, out, _ = run(tmp_path / "both.csv", tmp_path / "third.parquet")
    assert code == 0
    assert all(name in out for name in ("both:0", "both:1", "third", "is not known"))


def test_recordings_without_people_are_said_to_be_such(run: Run, tmp_path: Path) -> None:
    for seed, name in enumerate(("a", "b")):
        table = predictions(each=1, seed=seed)
        alone = table.assign(subject_id=table["recording_id"])
        alone.to_parquet(tmp_path / f"{name}.parquet")
    out = run(tmp_path / "a.parquet", tmp_path / "b.parquet")[1]
    assert "each recording counts as a subject of its own" in out


def test_equal_names_are_numbered(run: Run, tmp_path: Path) -> None:
    one = write_study(tmp_path / "x" / "tsa", {"": predictions()})
    two = write_study(tmp_path / "y" / "tsa", {"": predictions(seed=1)})
    assert "tsa#2" in run(one, two)[1]


@pytest.mark.parametrize(
    ("second", "told"),
    [
        ({"manifest": "b" * 64}, "have different manifests"),
        ({"data": {"grade_cuts": [2], "manifest": "m.csv"}}, "data.grade_cuts [1] and [2]"),
        (
            {"data": {"grade_cuts": [1], "manifest": "m.csv", "target": "diagnosis"}},
            "data.grade_cuts [1] and [1] of the diagnosis, so their classes differ in meaning",
        ),
        ({"search": {"metric": "auroc"}}, "by auroc and mcc; name the scores to compare"),
    ],
)
def test_studies_that_differ_are_refused_and_nothing_is_written(
    run: Run, tmp_path: Path, second: dict[str, Any], told: str
) -> None:
    one = write_study(tmp_path / "studies" / "one", {"": predictions()})
    two = write_study(tmp_path / "studies" / "two", {"": predictions(seed=1)}, **second)
    code, out, err = run(one, two)
    assert (code, out) == (2, "")
    assert told in err
    assert not (tmp_path / "out").exists()


def test_mistakes_are_told_without_a_traceback(
    run: Run, studies: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "running").mkdir()
    started = write_study(tmp_path / "studies" / "begun", {}, fixed=True)
    for words, told in (
        ((studies[0],), "there is one model, strong; name two studies"),
        ((), "'studies' is missing"),
        ((tmp_path / "empty", studies[0]), ": holds no study"),
        ((started, studies[0]), "study begun has no winner yet"),
        ((*studies, "compare.models=[strong,best]"), "no model 'best'; write some of strong, weak"),
        ((*studies, "compare.metrics=[mmc]"), "unknown metric 'mmc'"),
        ((*studies, "compare.margn=0.1"), "did you mean 'compare.margin'"),
        ((*studies, "name=a/b"), "write the name of one folder"),
    ):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (2, 1), err
        assert told in err


def test_words_without_a_key_are_studies_wherever_they_stand(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text("compare: {level: 0.9}\n")
    config = load_comparison(["a b", "compare.seed=3", "--config", str(file), "c:d"])
    assert config.studies == (Path("a b"), Path("c:d"))
    assert (config.compare.level, config.compare.seed) == (0.9, 3)
