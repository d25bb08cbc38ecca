from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.config import build, dump, merge
from pdray.data.batches.augment import central_view
from pdray.data.batches.normalise import normalise_frames
from pdray.data.cohort.folds import Folds, folds_to_json
from pdray.errors import StudyError
from pdray.tracking.run_log import StudyLog
from pdray.training.network import build_network
from pdray.training.objective import TrainingLoss
from pdray.training.settings import FitConfig
from pdray.training.translators.guide import open_guide
from pdray.training.translators.pictures import as_floats

SMALL: Mapping[str, Any] = {
    "decode": {"height": 40, "width": 40},
    "model": {"name": "frame_resnet", "depth": 18, "width_factor": 0.0625},
}
CROPPED = {"augment": {"crop_size": [36, 36]}}
FOLDS = Folds(frozenset({"T1"}), (frozenset({"A", "B"}), frozenset({"C", "D"})))


def leave_study(
    folder: Path, settings: Mapping[str, Any] | None = None, folds: Folds = FOLDS
) -> StudyLog:
    """Leave what a study leaves whose networks are untrained: the winner's, and of each fold."""
    given = settings or {}
    first = {**SMALL, "model": {}} if "model" in given else SMALL
    config = build(FitConfig, merge(merge({}, first), given))
    study = StudyLog(folder)
    tree = {**dump(config), "data": {"grade_cuts": [2]}}
    study.start(name=folder.name, settings=tree, tags={})
    study.folds_path.write_text(folds_to_json(folds), encoding="utf-8")
    kept = [study.kept_fold(fold) for fold in range(len(folds.folds))]
    for seed, log in enumerate([study.winner, *kept]):
        log.start(number=0, num_epochs=1, params={}, settings=dump(config), role="winner")
        torch.manual_seed(seed)
        network = build_network(config, 2)
        torch.save(network.state_dict(), log.model_path)
        log.finish(state="complete")
    return study


@pytest.mark.parametrize("loss", ["cross_entropy", "cumulative_link"])
def test_a_guide_says_of_a_picture_what_the_network_says_of_a_snippet_of_it(
    tmp_path: Path, loss: str
) -> None:
    study = leave_study(tmp_path / "judge", {"loss": {"kind": loss}, **CROPPED})
    found = open_guide(study.folder)
    guide = found.load(study.winner.model_path)
    codes = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    frames = torch.from_numpy(codes)[:, None]
    view = central_view(frames, found.config.augment)
    snippets = normalise_frames(frames, augmentation=view)
    network = guide.network
    expected = TrainingLoss(found.config.loss, None).log_probabilities(network(snippets))
    x = as_floats(codes, torch.device("cpu")).requires_grad_()
    torch.testing.assert_close(guide(x), expected, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(guide(x).exp().sum(dim=1), torch.ones(3))
    features: Any = network.features  # type: ignore[operator]
    torch.testing.assert_close(guide.features(x), features(snippets), atol=1e-5, rtol=1e-4)
    guide(x)[:, 1].sum().backward()
    assert x.grad is not None
    assert float(x.grad.abs().sum()) > 0
    assert not guide.train().network.training
    assert not [one for one in guide.parameters() if one.requires_grad]


def test_each_fold_gets_a_model_that_did_not_learn_from_whom_it_holds_out(tmp_path: Path) -> None:
    study = leave_study(tmp_path / "judge")
    found = open_guide(study.folder)
    models = {
        frozenset({"T1", "X"}): study.winner,
        frozenset({"A", "B"}): study.kept_fold(0),
        frozenset({"C"}): study.kept_fold(1),
        frozenset(): study.winner,
    }
    for held, log in models.items():
        chosen = found.model_for(held)
        assert chosen is not None
        assert chosen[0] == log.model_path
        assert not chosen[1] & held
    assert found.model_for(frozenset({"A", "C"})) is None
    study.kept_fold(0).model_path.unlink()
    assert found.model_for(frozenset({"A"})) is None


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"model": {"name": "i3d"}}, "i3d takes no single frame: num_frames: 1 is too few"),
        (
            {"snippet": {"mode": "segments"}, "segments": {"consensus": "mean"}},
            "its network joins several snippets",
        ),
    ],
)
def test_a_network_that_grades_no_single_picture_is_refused(
    tmp_path: Path, settings: Mapping[str, Any], told: str
) -> None:
    study = leave_study(tmp_path / "judge", settings)
    with pytest.raises(StudyError, match=f"synthesis.guide: {told}.*use a study of a network that"):
        open_guide(study.folder)


def test_a_study_without_a_winner_and_damaged_weights_are_refused(tmp_path: Path) -> None:
    study = leave_study(tmp_path / "judge")
    study.winner.model_path.write_bytes(b"no weights")
    with pytest.raises(StudyError, match=r"synthesis.guide: .*model.pt: cannot be read"):
        open_guide(study.folder).load(study.winner.model_path)
    study.winner.start(number=0, num_epochs=1, params={}, settings={}, role="winner")
    with pytest.raises(StudyError, match="study judge has no winner; continue it with --resume"):
        open_guide(study.folder)
    with pytest.raises(StudyError, match="holds no study"):
        open_guide(tmp_path / "nothing")
