import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from torch import Tensor, nn

from pdray.explain import attention as module
from pdray.explain.attention import (
    Attending,
    Attention,
    attention_blocks,
    attention_maps,
    attention_numbers,
    attention_picture,
    attention_table,
    layer_of,
    moments,
    received_table,
)
from pdray.models.networks.tsa import TemporalSelfAttention

STEPS, HEADS, CHANNELS, KEY = 5, 2, 4, 3


@pytest.fixture
def network() -> nn.Sequential:
    """A block that attends over time between two layers that do not."""
    torch.manual_seed(2)
    block = TemporalSelfAttention(
        CHANNELS, 6, (1, 1, 1), num_heads=HEADS, key_dim=KEY, max_time_steps=STEPS
    )
    return nn.Sequential(nn.Identity(), nn.Sequential(block), nn.Tanh()).double().eval()


def snippets() -> Tensor:
    draws = torch.Generator().manual_seed(7)
    return 2 * torch.randn((3, CHANNELS, STEPS, 2, 3), dtype=torch.float64, generator=draws)


def slow_weights(block: Any, x: np.ndarray, head: int) -> np.ndarray:
    """Eq. 6 at one place of one snippet, moment by moment: (T, T) from (C, T)."""
    rows = slice(head * KEY, (head + 1) * KEY)
    to_query, to_key = (part.weight.detach().numpy()[rows] for part in (block.query, block.key))
    relative = block.relative_RE.detach().numpy()
    weights = np.zeros((STEPS, STEPS))
    for i in range(STEPS):
        for j in range(STEPS):
            query, key = to_query @ x[:, i], to_key @ x[:, j]
            offset = relative[j - i + STEPS - 1]
            weights[i, j] = math.exp((query @ key + query @ offset) / math.sqrt(KEY))
        weights[i] /= weights[i].sum()
    return weights


def test_weights_and_their_entropy_are_those_of_equation_6(network: nn.Sequential) -> None:
    x = snippets()
    (found,) = attention_maps(network, torch.split(x, 2), ["1.0"]).values()
    for number, snippet in enumerate(x.numpy()):
        places = [snippet[:, :, row, column] for row in range(2) for column in range(3)]
        each = [slow_weights(network[1][0], x, head) for x in places for head in range(HEADS)]
        np.testing.assert_allclose(found.weights[number], np.mean(each, axis=0), rtol=1e-10)
        entropies = [-sum(w * math.log(w) for w in row) for one in each for row in one]
        expected = np.mean(entropies) / math.log(STEPS)
        assert 0.2 < expected < 0.95
        assert found.entropy[number] == pytest.approx(expected, rel=1e-10)


def test_numbers_of_a_recording_are_those_of_their_definitions(network: nn.Sequential) -> None:
    (found,) = attention_maps(network, [snippets()], ["1.0"]).values()
    seconds = np.arange(15.0).reshape(3, 5)
    numbers = attention_numbers(found, seconds)
    received = [
        [sum(one[i, j] for i in range(STEPS)) / STEPS for j in range(STEPS)]
        for one in found.weights
    ]
    entropies = [-sum(r * math.log(r) for r in row) / math.log(STEPS) for row in received]
    best = max(range(15), key=lambda at: received[at // 5][at % 5])
    assert numbers == pytest.approx(
        {
            "entropy": sum(found.entropy) / 3,
            "received_entropy": sum(entropies) / 3,
            "to_itself": sum(one[i, i] for one in found.weights for i in range(STEPS)) / 15,
            "even": 0.2,
            "most_seconds": float(best),
            "most_share": received[best // 5][best % 5],
        },
        rel=1e-12,
    )
    table = received_table(found, seconds)
    assert table["snippet"].tolist() == [0] * 5 + [1] * 5 + [2] * 5
    assert table["seconds"].tolist() == list(range(15))
    np.testing.assert_allclose(table["received"], np.ravel(received), rtol=1e-12)


@pytest.mark.parametrize(
    ("weights", "received_entropy", "to_itself"),
    [
        (np.eye(4), 1.0, 1.0),
        (np.full((4, 4), 0.25), 1.0, 0.25),
        (np.eye(4)[[2, 2, 2, 2]], 0.0, 0.25),
    ],
)
def test_attention_to_oneself_to_all_and_to_one_moment(
    weights: np.ndarray, received_entropy: float, to_itself: float
) -> None:
    seconds = np.array([[1.0, 2.0, 3.0, 4.0]])
    numbers = attention_numbers(Attention(weights[None], np.array([0.5])), seconds)
    assert numbers["received_entropy"] == pytest.approx(received_entropy)
    assert numbers["to_itself"] == to_itself
    assert received_entropy or (numbers["most_seconds"], numbers["most_share"]) == (3.0, 1.0)


def test_one_moment_has_no_entropy() -> None:
    torch.manual_seed(2)
    block = TemporalSelfAttention(4, 6, (1, 1, 1), num_heads=2, key_dim=3, max_time_steps=1)
    (found,) = attention_maps(nn.Sequential(block), [torch.ones(1, 4, 1, 2, 2)], ["0"]).values()
    assert found.weights.tolist() == [[[1.0]]]
    numbers = attention_numbers(found, np.zeros((1, 1)))
    assert math.isnan(numbers["entropy"])
    assert math.isnan(numbers["received_entropy"])


def test_blocks_are_those_that_attend_inside_the_layers(network: nn.Sequential) -> None:
    assert attention_blocks(network, ["0", "1", "2"]) == ("1.0",)
    assert attention_blocks(network, ["1.0"]) == ("1.0",)
    assert attention_blocks(network, ["0", "2"]) == ()
    assert layer_of("layer1.0", ["layer10", "layer1"]) == "layer1"
    assert layer_of("layer10.0", ["layer1"]) == ""


def test_hooks_are_gone_after_a_failure(network: nn.Sequential) -> None:
    with pytest.raises(RuntimeError):
        attention_maps(network, [snippets()[:, :3]], ["1.0"])
    assert not network[1][0]._forward_pre_hooks


def test_a_moment_is_the_frame_in_the_middle_of_its_time_step() -> None:
    seconds = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [5.0, 6.0, 7.0, 5.0, 6.0, 7.0]])
    assert moments(seconds, 2).tolist() == [[1.0, 4.0], [6.0, 6.0]]
    assert moments(seconds, 3).tolist() == [[1.0, 3.0, 5.0], [6.0, 5.0, 7.0]]
    assert moments(seconds, 6).tolist() == seconds.tolist()


def test_the_table_averages_people_and_says_what_even_attention_has() -> None:
    cells = [("A", 1, 0.2), ("A", 1, 0.4), ("B", 1, 0.5), ("C", 0, 0.9)]
    rows = pd.DataFrame(
        [
            {"layer": layer, "subject_id": who, "target": k, "entropy": value,
             "received_entropy": 1.0, "to_itself": 0.3, "even": 1 / steps}
            for layer, steps in (("layer3.0", 4), ("layer3.1", 4), ("layer4.0", 2))
            for who, k, value in cells
        ]
    )  # fmt: skip
    told = attention_table(rows).splitlines()
    assert "Yin et al., Eq. 6" in told[0]
    assert told[1].split() == ["layer", "class", "entropy", "received_entropy", "to_itself"]
    assert told[3].startswith("layer3.0  1      0.40 +- 0.14 (n=2)  1.00 +- 0.00 (n=2)")
    assert told[-1] == "to_itself if uniform: 0.25 in layer3.0, layer3.1, 0.50 in layer4.0"


@pytest.mark.parametrize(("num_snippets", "num_blocks", "synthetic"), [(1, 2, True), (3, 8, False)])
def test_the_picture_says_what_is_shown_and_how_often(
    listen: Callable[[ModuleType], list[Figure]],
    tmp_path: Path,
    num_snippets: int,
    num_blocks: int,
    synthetic: bool,
) -> None:
    drawn = listen(module)
    weights = np.random.default_rng(0).dirichlet([1] * 4, (num_snippets, 4))
    block = Attending(
        Attention(weights, np.full(num_snippets, 0.5)),
        seconds=np.arange(4.0 * num_snippets).reshape(num_snippets, 4),
        frames=np.array([0.0, 2.0]),
        activity=np.array([1.0, 3.0]) * (num_snippets == 1),
    )
    blocks = {f"layer{number}": block for number in range(num_blocks)}
    attention_picture(tmp_path / "a.png", blocks, caption="R3: $class$", synthetic=synthetic)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG\r\n")
    (figure,) = drawn
    mark = "SYNTHETIC data: a rendered cohort, not patients; " if synthetic else ""
    assert figure.get_suptitle().replace("\n", " ") == f"{mark}R3: $class$"
    panels = [axes for axes in figure.axes if axes.axison and axes.get_title()]
    assert [axes.get_title() for axes in panels] == list(blocks)
    np.testing.assert_allclose(panels[0].images[0].get_array(), 4 * weights.mean(axis=0))
    unit = "[s]" if num_snippets == 1 else "(mean of 3 snippets)"
    assert panels[0].get_xlabel() == f"attended to {unit}"
    curves = {line.get_label(): line.get_ydata() for line in figure.axes[len(panels)].lines}
    if num_snippets == 1:  # the curves of the first row follow its matrices
        np.testing.assert_allclose(curves["attention received"], 4 * weights.mean(axis=1)[0])
        assert curves["class activation of the layer"].tolist() == [0.5, 1.5]
