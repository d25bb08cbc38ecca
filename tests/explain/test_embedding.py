import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from pdray.explain import embedding as module
from pdray.explain.embedding import (
    TSNE_LEAST,
    embed,
    embedding_picture,
    separation,
    separation_sentence,
)
from pdray.explain.severity import SEVERITIES, Readout, read_out

PNG = b"\x89PNG\r\n"


def cohort(num_subjects: int = 8, num_each: int = 4) -> tuple[np.ndarray, pd.DataFrame]:
    """Features that lean towards the class; a person is 0 or 1 throughout."""
    draws = np.random.default_rng(5)
    targets = np.repeat(np.arange(num_subjects) % 2, num_each)
    features = draws.normal(size=(len(targets), 6)) + 3 * targets[:, None]
    subjects = np.repeat([f"S{number}" for number in range(num_subjects)], num_each)
    facts = {"target": targets, "subject_id": subjects, "grade": 3 * targets, "hoehn_yahr": None}
    return features.astype(np.float32), pd.DataFrame(facts)


def slow_silhouettes(features: np.ndarray, groups: list[Any]) -> list[float]:
    """Rousseeuw 1987, as written, in float64."""
    x = features.astype(np.float64)
    found = []
    for i in range(len(x)):
        means = {}
        for group in sorted(set(groups)):
            others = [j for j in range(len(x)) if groups[j] == group and j != i]
            if others:
                distances = [math.dist(x[i], x[j]) for j in others]
                means[group] = sum(distances) / len(distances)
        own = means.pop(groups[i], None)
        nearest = min(means.values())
        found.append(0.0 if own is None else (nearest - own) / max(own, nearest))
    return found


def test_silhouettes_are_those_of_the_definition() -> None:
    features, facts = cohort()
    found = separation(features, facts)
    targets = facts["target"].tolist()
    expected = np.array(slow_silhouettes(features, targets))
    assert found.by_class == pytest.approx(expected.mean(), abs=1e-9)
    assert found.of_class == pytest.approx(
        {k: expected[facts["target"] == k].mean() for k in (0, 1)}, abs=1e-9
    )
    people = slow_silhouettes(features, facts["subject_id"].tolist())
    assert found.by_subject == pytest.approx(np.mean(people), abs=1e-9)
    assert found.by_class > 0.3 > found.by_subject


def test_features_that_know_the_person_separate_persons_more() -> None:
    features, facts = cohort()
    who = facts["subject_id"].str[1:].astype(int).to_numpy()
    told_apart = np.concatenate([100 * np.eye(8, dtype=np.float32)[who], features], axis=1)
    found = separation(told_apart, facts)
    assert found.by_subject > found.by_class


def test_one_class_or_one_recording_a_person_has_no_silhouette() -> None:
    features, facts = cohort(num_subjects=4, num_each=1)
    assert math.isnan(separation(features, facts).by_subject)
    facts = facts.assign(target=0)
    found = separation(features, facts)
    assert math.isnan(found.by_class)
    told = separation_sentence(found, facts)
    assert told == (
        "silhouette by class - (class 0: -), by subject -; 4 test recordings of 4 subjects, "
        "none used in training; all are of one class; no subject has two recordings"
    )


def test_a_class_of_one_recording_has_no_silhouette_and_no_part_in_the_mean() -> None:
    features, facts = cohort(num_subjects=4, num_each=3)
    targets = facts["target"].to_numpy(copy=True)
    targets[-1] = 2
    facts = facts.assign(target=targets)
    found = separation(features, facts)
    expected = np.array(slow_silhouettes(features, targets.tolist()))
    assert expected[-1] == 0.0  # as Rousseeuw has it
    assert math.isnan(found.of_class[2])
    assert found.by_class == pytest.approx(expected[:-1].mean(), abs=1e-9)
    told = separation_sentence(found, facts)
    assert f"class 1: {found.of_class[1]:.2f}, class 2: -), by subject " in told
    assert told.endswith("none used in training; class 2 of one recording left out")


def test_several_persons_of_one_recording_are_counted_and_not_named() -> None:
    features, facts = cohort(num_subjects=3, num_each=2)
    facts = facts.assign(subject_id=["S0", "S0", "S1", "S1", "S2", "S3"])
    found = separation(features, facts)
    people = slow_silhouettes(features, facts["subject_id"].tolist())
    assert found.by_subject == pytest.approx(np.mean(people[:4]), abs=1e-9)
    told = separation_sentence(found, facts)
    assert told.endswith("none used in training; 2 subjects of one recording each left out")


def test_the_sentence_says_of_whom_it_is_known() -> None:
    features, facts = cohort()
    found = separation(features, facts)
    assert separation_sentence(found, facts) == (
        f"silhouette by class {found.by_class:.2f} (class 0: {found.of_class[0]:.2f}, class 1: "
        f"{found.of_class[1]:.2f}), by subject {found.by_subject:.2f}; 32 test recordings of "
        "8 subjects, none used in training"
    )


def test_principal_components_are_the_leading_eigenvectors_of_the_covariance() -> None:
    features, _ = cohort()
    found = embed(features)
    values, vectors = np.linalg.eigh(np.cov(features.astype(np.float64).T))
    for axis in (0, 1):
        expected = (features - features.mean(axis=0)) @ vectors[:, -1 - axis]
        sign = np.sign(expected @ found.pca[:, axis])
        np.testing.assert_allclose(found.pca[:, axis], sign * expected, atol=1e-5)
    assert found.variance == pytest.approx(tuple(values[::-1][:2] / values.sum()), rel=1e-5)


def test_each_known_severity_has_a_row_with_its_readout(
    listen: Callable[[ModuleType], list[Figure]], tmp_path: Path
) -> None:
    drawn = listen(module)
    features, facts = cohort()
    stages = np.where(np.arange(len(facts)) < 4, np.nan, 1.5 + facts["target"])
    facts = facts.assign(hoehn_yahr=stages)
    readouts = [read_out(field, (features, facts), (features, facts)) for field in SEVERITIES]
    assert all(isinstance(one, Readout) for one in readouts)
    embedding_picture(embed(features), facts, tmp_path / "e.png",
                      readouts=readouts, title="t", synthetic=False)  # fmt: skip
    labels = [axes.get_xlabel() for axes in drawn[0].axes]
    assert [text.partition(",")[0] for text in labels[2::3]] == [*SEVERITIES.values()]
    texts = [text.get_text() for text in drawn[0].findobj(Text)]
    assert {"not given (n=4)", "Hoehn and Yahr stage 2.5 (n=16)"} <= set(texts)
    told = [one.alignment for one in readouts]
    assert {
        f"rank correlation {one.value:.2f} [{one.low:.2f}, {one.high:.2f}]" for one in told
    } <= {*texts}


def test_tsne_is_only_of_enough_recordings_and_repeats_itself() -> None:
    features, _ = cohort()
    assert len(features) >= TSNE_LEAST
    first, second = embed(features).tsne, embed(features).tsne
    assert first is not None
    assert second is not None
    assert first.shape == (32, 2)
    assert np.array_equal(first, second)
    assert embed(features[: TSNE_LEAST - 1]).tsne is None


@pytest.mark.parametrize("shape", [(1, 5), (2, 5), (4, 1)])
def test_few_recordings_or_features_have_places_too(shape: tuple[int, int]) -> None:
    features = np.arange(math.prod(shape), dtype=np.float32).reshape(shape)
    found = embed(features)
    assert found.pca.shape == (shape[0], 2)
    assert np.isfinite(found.pca).all()
    assert all(0 <= part <= 1 for part in found.variance)


@pytest.mark.parametrize(
    ("num_subjects", "synthetic", "title"),
    [(8, True, "SYNTHETIC data; the sentence"), (15, False, "the sentence")],
)
def test_the_picture_says_what_is_shown_and_lists_no_more_than_14_subjects(
    listen: Callable[[ModuleType], list[Figure]],
    tmp_path: Path,
    num_subjects: int,
    synthetic: bool,
    title: str,
) -> None:
    drawn, path = listen(module), tmp_path / "e.png"
    features, facts = cohort(num_subjects)
    embedding_picture(embed(features), facts, path, title="the sentence", synthetic=synthetic)
    assert path.read_bytes().startswith(PNG)
    texts = [one.get_text() for one in drawn[0].findobj(Text)]
    assert title in texts
    assert any(text.startswith("principal component 1 (") for text in texts)
    assert any(text.startswith("t-SNE") for text in texts)
    assert any(text.startswith("grade 3, class 1 (n=") for text in texts)
    assert not any("Hoehn" in text or "read out" in text for text in texts)
    assert {f"S{number}" for number in range(8)} <= set(texts) if synthetic else "S0" not in texts
