from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import logsumexp
from sklearn.linear_model import LogisticRegression

from pdray.config import build
from pdray.data.face.points import REGIONS
from pdray.errors import FoldsError, ManifestError, SettingsError
from pdray.papers.region_marks import (
    MarkedRecordings,
    correlate,
    correlate_marks,
    fitted_weights,
    marks_report,
)
from pdray.papers.settings import MarksConfig
from pdray.tracking.scorings import read_scorings

ROWS = 60
NUM = 90
HALF = ([*range(0, NUM, 2)], [*range(1, NUM, 2)])
SPLITS = [[HALF, HALF[::-1]]] * 2


def made(*, telling: bool) -> MarkedRecordings:
    """A third is healthy and unmarked; marks tell class 1 from class 2, or nothing."""
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(3), NUM // 3)
    rng.shuffle(classes)
    marked = rng.random((NUM, 14)) < 0.4
    marked[:, 0] = True
    if telling:
        marked[:, 5] = classes == 2
    marked[classes == 0] = False
    return MarkedRecordings(marked, classes, False)


def test_a_row_is_what_held_out_recordings_get_from_the_others() -> None:
    known = made(telling=True)
    found = correlate(known, SPLITS)["marks"]
    hits = []
    for learnt, held in SPLITS[0]:
        linear = LogisticRegression(max_iter=1000).fit(known.marked[learnt], known.classes[learnt])
        hits += (linear.predict(known.marked[held]) == known.classes[held]).tolist()
    assert found[:, 0].tolist() == [np.mean(hits)] * 2
    assert found[0, 0] > 0.9


def test_exchanged_marks_know_who_is_ill_and_not_how_severely() -> None:
    found = {
        label: row.mean(axis=0)[0] for label, row in correlate(made(telling=True), SPLITS).items()
    }
    assert found["patients only: marks"] > 0.8
    assert 0.3 < found["patients only, control: marks shuffled"] < 0.7
    assert (
        0.5 < found["control: marks shuffled among patients"] < 0.8
    )  # healthy right, the rest by luck
    assert found["control: random marks for everybody"] < 0.5
    assert found["control: no marks"] <= 0.4


def test_marks_that_tell_nothing_score_as_exchanged_ones() -> None:
    found = {
        label: row.mean(axis=0)[0] for label, row in correlate(made(telling=False), SPLITS).items()
    }
    assert (
        abs(found["patients only: marks"] - found["patients only, control: marks shuffled"]) < 0.2
    )


def test_the_report_counts_marks_of_each_class() -> None:
    known = made(telling=True)
    text = marks_report(known, SPLITS, "odd and even")
    shares = text.partition("weights of the model")[0]
    rows = {line[:24].strip(): line[24:].split() for line in shares.splitlines()}
    share = 100 * known.marked[known.classes == 2, 5].mean()
    assert share == 100
    assert rows["left outer eye"] == ["0", "100"]
    assert "90 recordings, 60 ill, 0 of them without a mark; odd and even; mean+-SD" in text
    assert "SYNTHETIC" not in text
    assert "SYNTHETIC" in marks_report(known._replace(synthetic=True), SPLITS, "x").splitlines()[0]


def slow_weights(known: MarkedRecordings, learnt: np.ndarray) -> np.ndarray:
    """Return (K, 15) weights that minimise softmax loss and half of their squares, bias aside."""
    x = np.column_stack([known.marked[learnt], np.ones(len(learnt))]).astype(np.float64)
    y = known.classes[learnt]
    names = np.unique(y)
    hot = (y[:, None] == names).astype(np.float64)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        w = flat.reshape(len(names), -1)
        logits = x @ w.T
        logs = logits - logsumexp(logits, axis=1, keepdims=True)
        penalty = np.column_stack([w[:, :-1], np.zeros(len(w))])
        slope = (np.exp(logs) - hot).T @ x + penalty
        return float((penalty**2).sum() / 2 - (hot * logs).sum()), slope.ravel()

    start = np.zeros(len(names) * x.shape[1])
    found = minimize(loss, start, jac=True, options={"gtol": 1e-9})
    return np.asarray(found.x).reshape(len(names), -1)


def test_printed_weights_are_those_of_the_definition_over_all_folds() -> None:
    known = made(telling=True)
    classes, fits = fitted_weights(known, SPLITS, np.ones(NUM, bool))
    assert (classes, fits.shape) == ([0, 1, 2], (4, 3, 15))
    expected = np.array([slow_weights(known, np.array(learnt)) for learnt, _ in SPLITS[0]])
    np.testing.assert_allclose(fits[:2], expected, atol=5e-3)
    np.testing.assert_array_equal(fits[:2], fits[2:])
    lines = marks_report(known, SPLITS, "odd and even").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("all, weight for class"))
    for place, name in ((5, REGIONS[5]), (14, "bias")):
        row = next(line for line in lines[start:] if line.startswith(name))
        values = fits[:, :, place]
        told = zip(values.mean(axis=0), values.std(axis=0, ddof=1), strict=True)
        assert row[len(name) :].split() == [f"{mean:.2f}+-{sd:.2f}" for mean, sd in told]
    # The region that tells class 2 from class 1 carries most of it.
    assert fits.mean(axis=0)[2, :14].argmax() == 5


def test_weights_of_two_classes_are_halves_and_a_class_that_a_fold_lacks_has_none() -> None:
    known = made(telling=True)
    ill = known.classes > 0
    classes, fits = fitted_weights(known, SPLITS[:1], ill)
    assert classes == [1, 2]
    np.testing.assert_array_equal(fits[:, 0], -fits[:, 1])
    learnt = [i for i in HALF[0] if ill[i]]
    linear = LogisticRegression(max_iter=1000).fit(known.marked[learnt], known.classes[learnt])
    np.testing.assert_allclose(2 * fits[0, 1, :14], linear.coef_[0])
    severe = [i for i in range(NUM) if known.classes[i] == 2]
    without = np.setdiff1d(np.arange(NUM), severe).tolist()
    lacking = fitted_weights(known, [[(without, severe)]], np.ones(NUM, bool))[1]
    assert np.isnan(lacking[0, 2]).all()
    assert not np.isnan(lacking[0, :2]).any()


def test_one_severity_is_nothing_to_tell() -> None:
    known = made(telling=True)
    binary = known._replace(classes=np.minimum(known.classes, 1))
    with pytest.raises(FoldsError, match=r"need two classes, .*, got 1; use more data\.grade_cuts"):
        correlate(binary, SPLITS)


def test_a_fold_without_ill_recordings_holds_none_of_them_out() -> None:
    known = made(telling=True)
    healthy = np.flatnonzero(known.classes == 0)
    aside = [healthy[:5].tolist(), np.setdiff1d(np.arange(NUM), healthy[:5]).tolist()]
    found = correlate(known, [[HALF, HALF[::-1], (aside[1], aside[0])]])
    both = correlate(known, [[HALF, HALF[::-1]]])
    assert found["patients only: marks"].tolist() == both["patients only: marks"].tolist()


@pytest.fixture
def tables(tmp_path: Path) -> dict[str, str]:
    """60 unnamed clips, two of three healthy, and marks of the ill."""
    manifest = ["recording_id,subject_id,item,grade,split"]
    marks = ["recording_id,region_index,mark_0_10"]
    for number in range(ROWS):
        grade = number % 3
        side = "test" if number % 2 else "train"
        manifest.append(f"v{number},,face_interview,{grade},{side}")
        marks += [f"v{number},{region},4" for region in range(14) if grade and region % grade == 0]
    paths = {"manifest": tmp_path / "m.csv", "marks": tmp_path / "m.marks.csv"}
    for name, lines in (("manifest", manifest), ("marks", marks)):
        paths[name].write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}


def config_of(tables: dict[str, str], **folds: object) -> MarksConfig:
    data = {"items": ["face_interview"], "subjects": "none", "grade_cuts": [1, 2], **tables}
    output = str(Path(tables["manifest"]).parent / "out")
    return build(MarksConfig, {"data": data, "folds": folds, "repeats": 2, "output": output})


def test_the_owners_split_or_folds_in_words_decide_who_is_held_out(tables) -> None:
    text = correlate_marks(config_of(tables, from_split=True))
    assert "the test set is that of the manifest's column split" in text
    assert f"{ROWS} recordings, 40 ill, 0 of them without a mark" in text
    marks = next(line for line in text.splitlines() if line.startswith("marks ")).split()
    assert marks[1].startswith("100.0")  # the number of marks tells the class
    assert "name no subject" in text.splitlines()[-1]
    assert REGIONS[0] in text
    crossed = correlate_marks(config_of(tables, of_recordings=True, num_outer=3))
    assert "each of 3 folds is tested in turn" in crossed
    owner, every = read_scorings(Path(tables["manifest"]).parent / "out")
    assert (owner.table, owner.manifest, len(owner.digest)) == ("correlate_marks", "m.csv", 64)
    assert owner.subjects < every.subjects
    assert len(every.subjects) == ROWS


def test_a_random_split_of_unnamed_people_is_refused(tables) -> None:
    with pytest.raises(SettingsError, match="a random split, so the same person may be in"):
        correlate_marks(config_of(tables))


@pytest.mark.parametrize(
    ("row", "error", "message"),
    [
        ("w1,2,5", SettingsError, "none of its 1 recordings is among the 60"),
        ("v0,2,5", ManifestError, "recording v0: grade 0, and a mark of 5"),
        ("", SettingsError, r"'data.marks' is missing; give the table of marks"),
    ],
)
def test_a_table_of_marks_that_does_not_belong_to_the_manifest_is_refused(
    tables, tmp_path: Path, row: str, error: type[Exception], message: str
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(f"recording_id,region_index,mark_0_10\n{row}\n", encoding="utf-8")
    given = {"manifest": tables["manifest"], **({"marks": str(other)} if row else {})}
    with pytest.raises(error, match=message):
        correlate_marks(config_of(given, from_split=True))
