from pathlib import Path

import numpy as np
import pytest
import torch

from pdray.config import build
from pdray.data.cohort.folds import Folds
from pdray.errors import StudyError
from pdray.predict.translators import open_translator
from pdray.tracking.run_log import StudyLog
from pdray.training.settings import FitConfig
from pdray.training.translators.cut import build as build_cut
from pdray.training.translators.pictures import as_codes, as_floats
from tests.fixtures.translator_study import leave_translator

FOLDS = Folds(frozenset(["S001", "S002"]), (frozenset(["S003"]), frozenset(["S004", "S005"])))


@pytest.fixture
def study(tmp_path: Path, faces: Path) -> StudyLog:
    return leave_translator(tmp_path, faces, FOLDS)


def test_pictures_are_those_of_the_method_in_parts(study: StudyLog) -> None:
    translator = open_translator(study.folder, "methods.CUT")
    assert (translator.name, translator.size, translator.guide()) == ("cut", 64, None)
    assert translator.folds == FOLDS
    assert translator.learnt.subjects == ("S003", "S004", "S005")
    pictures = np.random.default_rng(0).integers(0, 256, (18, 64, 64, 3), np.uint8)
    config = build(FitConfig, study.winner.read()["settings"])
    method = build_cut(config, 2)
    method.networks.load_state_dict(torch.load(study.winner.model_path, weights_only=True))
    made = method.translate(
        as_floats(pictures[:2], torch.device("cpu")), torch.ones(2, dtype=torch.long), torch.ones(2)
    )
    found = translator.translate(pictures)
    assert found.shape == pictures.shape
    apart = np.abs(found[:2].astype(int) - as_codes(made).astype(int))
    assert apart.max() <= 1
    np.testing.assert_array_equal(translator.translate(pictures, strength=0.0), pictures)


def test_what_is_no_finished_translator_of_portraits_is_refused(
    study: StudyLog, network_study: StudyLog, tmp_path: Path
) -> None:
    with pytest.raises(StudyError, match=r"methods\.CUT: nowhere has no study\.json"):
        open_translator(tmp_path / "nowhere", "methods.CUT")
    with pytest.raises(StudyError, match=r"study faces has a tsa on rgb; give a study of a tran"):
        open_translator(network_study.folder, "methods.CUT")
    torch.save({"generator.x": torch.ones(1)}, study.winner.model_path)
    with pytest.raises(StudyError, match=r"methods\.CUT: study cut cannot be read: Error"):
        open_translator(study.folder, "methods.CUT")
    study.winner.model_path.write_bytes(b"")
    with pytest.raises(StudyError, match=r"methods\.CUT: study cut cannot be read"):
        open_translator(study.folder, "methods.CUT")
