"""Every network is exported with its preprocessing, or refused by name."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from pdray.config import build, merge
from pdray.errors import StudyError
from pdray.export.program import NetworkScores, make_program
from pdray.models import NETWORKS
from pdray.training.frozen.features import load_network
from pdray.training.network import build_network
from pdray.training.settings import FitConfig
from pdray.training.snippet_model import SnippetModel

SIZE = {"decode": {"height": 40, "width": 32}, "snippet": {"num_frames": 16}}
QUICK = (
    "tsa",
    "resnet3d",
    "frame_resnet",
    "two_stream",
    "expression_clip",
)  # the others take seconds each
CASES: Mapping[str, Mapping[str, Any]] = {
    **{name: {} for name in NETWORKS if name != "region_attention"},
    "expression_clip": {"model": {"patch_size": 4}},  # divides both sides
    "coral": {"loss": {"kind": "coral"}, "model": {"name": "frame_resnet"}},
    "segments": {
        "model": {"name": "frame_resnet"},
        "segments": {"consensus": "attention"},
        "snippet": {"mode": "segments", "num_segments": 2},
    },
    "crop of flow": {
        "model": {"name": "frame_resnet"},
        "modality": "flow",
        "augment": {"crop_size": [32, 28]},
    },
}


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(one, marks=[] if one not in NETWORKS or one in QUICK else [pytest.mark.slow])
        for one in CASES
    ],
)
def test_a_program_gives_what_the_registered_model_gives(case: str) -> None:
    """MLflow's pyfunc is :class:`SnippetModel`, with the same input."""
    settings = merge({**SIZE}, CASES[case])
    name = settings.setdefault("model", {}).setdefault("name", case)
    settings["model"] = {**NETWORKS[name].small, **settings["model"]}
    config = build(FitConfig, settings)
    torch.manual_seed(0)
    weights = build_network(config, 3).state_dict()
    network = load_network(config, 3, weights)
    channels = 2 if config.modality == "flow" else 3
    shape = (1, 16, 40, 32, channels)
    module = NetworkScores({"fold_0": network}, config)
    made = make_program(module, torch.zeros(shape, dtype=torch.uint8), name)
    frames = torch.randint(0, 256, shape, dtype=torch.uint8)
    scores = made.program.module()(frames)
    assert scores.shape == (1, 1, 3)
    wanted = SnippetModel(config, network).predict(frames.numpy())
    np.testing.assert_allclose(scores[:, 0].softmax(1).detach().numpy(), wanted, atol=1e-6)


class _AsksValues(nn.Module):
    """A module that torch.export cannot follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_torch_refuses_is_named_with_the_reason() -> None:
    with pytest.raises(StudyError, match=r"odd cannot be exported: torch\.export refuses it: "):
        make_program(_AsksValues(), torch.zeros(1), "odd")
