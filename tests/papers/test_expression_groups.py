"""The expressions of two groups: numbers against plain loops, and the job's words."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import silhouette_score

from pdray.data.cohort.manifest import Recording
from pdray.data.cohort.settings import DataConfig
from pdray.data.face.intensities import text_digest, write_intensities
from pdray.errors import DecodeError, PdrayError
from pdray.papers.expression_groups import (
    Expressions,
    accuracy_difference,
    contrasts,
    read_expressions,
    silhouettes,
)
from pdray.papers.expression_report import groups_text
from pdray.papers.plan import Reproduction, plan_reproduction
from pdray.papers.severity_table import Printed
from tests.fixtures.intensities_made import CLASSES, made_intensities

DATA = DataConfig(manifest=Path("m.csv"), target="diagnosis")
TABLE = Path(__file__).parents[2] / "search_spaces" / "tables" / "expressions.groups.yaml"
PAPER = {"healthy": {"right [%]": "80.9"}}


def made_visits(folder: Path, num_subjects: int = 16, **changes: object) -> list[Recording]:
    """Return visits of which each second subject is ill and shows less of each expression."""
    draws = np.random.default_rng(0)
    visits = []
    for number in range(num_subjects):
        ill = number % 2
        cosines = 0.02 * draws.normal(size=(4, 4)) + (0.02 if ill else 0.06) * np.eye(4)
        if number == 3:
            cosines[2] = np.nan
        features = (
            np.repeat(cosines[:, :1], 3, axis=1)
            + np.eye(4)[:, :3]
            + draws.normal(scale=0.1, size=(4, 3))
        )
        path = folder / f"v{number}.npz"
        given = changes if number == 5 else {}
        write_intensities(path, made_intensities(cosines=cosines, features=features, **given))
        visits.append(
            Recording(f"V{number}", f"S{number}", "expressions", intensities=path, grade=ill)
        )
    return visits


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Expressions:
    return read_expressions(made_visits(tmp_path_factory.mktemp("visits")), DATA)


def test_absent_videos_take_no_part_and_shares_are_those_of_intensities(found) -> None:
    assert (len(found.units), found.num_absent, found.num_visits) == (63, 1, 16)
    assert found.classes == CLASSES
    shares = np.exp(found.logs) / np.exp(found.logs).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.units.filter(like="probability_"), shares)
    np.testing.assert_allclose(np.linalg.norm(found.features, axis=1), 1)


def test_the_difference_of_groups_is_between_shares_of_right_videos(found) -> None:
    right = found.logs.argmax(axis=1) == found.units["target"]
    healthy, ill = (right[found.units["group"] == k].mean() for k in (0, 1))
    value, low, high = accuracy_difference(found)
    assert value == pytest.approx(healthy - ill)
    assert low < value < high


def test_a_contrast_counts_pairs_of_subjects_and_is_adjusted_over_all(found) -> None:
    every = contrasts(found)
    assert [(one.video, one.phrase) for one in every[:2]] == [("neutral",) * 2, CLASSES[:2]]
    one = every[2 * 4 + 2]  # the ill subject S3 has no such video
    assert one.counts == (8, 7)
    rows = found.units.reset_index(drop=True).query("target == 2")
    values = found.logs[rows.index, 2]
    healthy, ill = (values[(rows["group"] == k).to_numpy()] for k in (0, 1))
    pairs = np.sign(healthy[:, None] - ill[None])
    assert one.delta == pytest.approx(pairs.mean())
    assert one.low <= one.delta <= one.high
    assert one.medians == pytest.approx((np.median(healthy), np.median(ill)))
    least = min(every, key=lambda one: one.p)
    assert least.p_holm == pytest.approx(16 * least.p)


def test_silhouettes_are_those_of_scikit_learn(found) -> None:
    values = dict(silhouettes(found))
    expression, group = found.units["target"], found.units["group"]
    assert values["by group"] == pytest.approx(silhouette_score(found.features, group))
    ill = (group == 1).to_numpy()
    right = silhouette_score(found.features[ill], expression[ill])
    assert values["by expression, ill"] == pytest.approx(right)


def test_few_subjects_have_no_interval_and_no_test(tmp_path: Path) -> None:
    few = read_expressions(made_visits(tmp_path, 4), DATA)
    assert np.isnan(accuracy_difference(few)[1])
    assert all(np.isnan([one.low, one.p, one.p_holm]).all() for one in contrasts(few))
    text = groups_text(Printed("Groups", PAPER, frozenset(), True), few, DATA)
    assert text.startswith("Groups (SYNTHETIC data")
    assert "nan" not in text
    assert "15 videos of 4 visits, 1 absent; subjects: 2 healthy, 2 ill" in text
    (healthy,) = (line for line in text.splitlines() if line.startswith("healthy  "))
    assert healthy.split()[-1] == "80.9"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tau": 0.07}, "recording V5: its tau 0.07 differ from 0.01 of recording V0"),
        ({"phrases": tuple("abcd")}, "V5: its phrases .* differ from .* of recording V0"),
        ({"learnt_contents": (text_digest("file"),)}, "V5: .* learnt from a file of this visit"),
    ],
)
def test_files_of_two_networks_and_people_that_it_learnt_from_are_refused(
    tmp_path: Path, changes: dict, told: str
) -> None:
    with pytest.raises(DecodeError, match=told):
        read_expressions(made_visits(tmp_path, 6, **changes), DATA)


ON_GRADES = ("data.target=grade", "data.grade_cuts=[2]")


@pytest.fixture
def plan(write_manifest: Callable[..., Path], tmp_path: Path) -> Callable[..., Reproduction]:
    """Return a function that plans the table for a manifest of six visits."""

    def make(*words: str, **changes: object) -> Reproduction:
        rows = [
            {"recording_id": f"V{number}", "subject_id": f"S{number}", "item": "expressions",
             "grade": number % 4, "diagnosis": ("healthy", "PD")[number % 2],
             "intensities": f"{number}.npz"}
            for number in range(6)
        ]  # fmt: skip
        manifest = write_manifest(pd.DataFrame(rows).assign(**changes).to_dict("records"))
        told = [f"data.manifest={manifest}", f"output={tmp_path / 'out'}", *words]
        return plan_reproduction(TABLE, told)

    return make


@pytest.mark.parametrize(
    ("words", "changes", "told"),
    [
        (("data.target=grade", "data.grade_cuts=[1,3]"), {}, r"\[1, 3\] make 3; give one cut"),
        (ON_GRADES, {"grade": 3}, r"all 6 visits .* on one side of data.grade_cuts=\[2\]; add"),
        ((), {"diagnosis": ""}, "6 have no diagnosis"),
        ((), {"diagnosis": "PD"}, "all 6 recordings are of ill subjects"),
    ],
)
def test_what_makes_no_two_groups_is_refused(
    plan: Callable[..., Reproduction], words: tuple[str, ...], changes: dict, told: str
) -> None:
    with pytest.raises(PdrayError, match=told):
        plan(*words, **changes)


def test_visits_without_a_label_are_counted_by_what_they_lack(
    plan: Callable[..., Reproduction],
) -> None:
    made = plan(diagnosis=["", "PD", "healthy", "PD", "healthy", ""])
    assert made.groups is not None
    assert [one.recording_id for one in made.groups.visits] == ["V1", "V2", "V3", "V4"]
    assert "2 visits without diagnosis left out" in made.notes
    assert "1 visits without grade left out" in plan(*ON_GRADES, grade=[*"01230", ""]).notes


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    visits = made_visits(tmp_path, 4)
    (tmp_path / "v2.npz").unlink()
    with pytest.raises(DecodeError, match="recording V2: its file of intensities is not"):
        read_expressions(visits, DATA)
