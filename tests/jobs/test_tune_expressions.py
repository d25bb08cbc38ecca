from pathlib import Path

import pytest

from jobs.tune_expressions import SETTINGS, main
from pdray.models.estimators.intensity_settings import IntensityHeadConfig
from pdray.search.plan import load_study


def test_it_starts_from_the_best_row_of_the_paper() -> None:
    plan = load_study(["--config", str(SETTINGS), "data.manifest=/x.csv"])
    model, data = plan.config.model, plan.config.data
    assert isinstance(model, IntensityHeadConfig)
    assert (model.classifier, model.features, model.residual) == ("lstm", "processed", True)
    assert plan.modalities == plan.needs == ("intensities",)
    assert (data.items, data.target, data.grade_cuts) == (("expressions",), "diagnosis", (1,))


def test_a_user_mistake_is_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["data.manifest=/x.csv", f"output={tmp_path}", "model.classifier=logistic"]
    assert main(words) == 2
    assert "model.classifier: got 'logistic'" in capsys.readouterr().err
