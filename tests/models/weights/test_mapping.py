import pytest
import torch
from torch import Tensor

from pdray.models.weights.mapping import Match, match
from pdray.models.weights.published import RESNET3D, Pair, Place

HERE = Pair(Place(RESNET3D, ""), Place(RESNET3D, ""))
INSIDE = Pair(Place(RESNET3D, ""), Place(RESNET3D, "backbone."))


def tensors(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    return {name.replace("__", "."): torch.rand(shape) for name, shape in shapes.items()}


def network(**changes: tuple[int, ...]) -> dict[str, Tensor]:
    plain: dict[str, tuple[int, ...]] = {
        "conv1__weight": (4, 3, 1, 2, 2),
        "layer4__0__conv1__weight": (4, 4, 1, 1, 1),
        "fc__weight": (5, 4),
        "fc__bias": (5,),
    }
    return tensors(**{**plain, **changes})


def nothing_but(found: Match, **expected: object) -> None:
    """Compare a match; what is not named has to be empty."""
    for name in ("adapted", "left", "dropped", "faults"):
        assert getattr(found, name) == expected.get(name, type(getattr(found, name))()), name


def test_same_names_and_shapes_are_loaded() -> None:
    state = network()
    found = match(state, network(), [HERE])
    assert found.values == state
    nothing_but(found)


def test_a_head_of_other_classes_is_dropped_and_left() -> None:
    found = match(network(), network(fc__weight=(2, 4), fc__bias=(2,)), [HERE])
    assert list(found.values) == ["conv1.weight", "layer4.0.conv1.weight"]
    nothing_but(found, left=["fc.weight", "fc.bias"], dropped=["fc.weight", "fc.bias"])


def test_a_file_without_a_head_leaves_it() -> None:
    state = network()
    del state["fc.weight"], state["fc.bias"]
    nothing_but(match(state, network(), [HERE]), left=["fc.weight", "fc.bias"])


def test_a_head_of_other_features_is_a_fault() -> None:
    found = match(network(), network(fc__weight=(5, 8)), [HERE])
    nothing_but(found, faults=["'fc.weight' is (5, 4) in the file and (5, 8) in the network"])


@pytest.mark.parametrize("num_channels", [1, 2, 20])
def test_a_first_convolution_is_averaged_over_colours(num_channels: int) -> None:
    state = network()
    found = match(state, network(conv1__weight=(4, num_channels, 1, 2, 2)), [HERE])
    first = state["conv1.weight"]
    for channel in range(num_channels):
        mean = (first[:, 0] + first[:, 1] + first[:, 2]) / 3
        torch.testing.assert_close(found.values["conv1.weight"][:, channel], mean)
    assert found.values["conv1.weight"].shape[1] == num_channels
    nothing_but(
        found,
        adapted={
            "conv1.weight": "the mean over red, green and blue for each of "
            f"{num_channels} channels (Wang et al. 2016)"
        },
    )


def test_only_a_first_convolution_of_colours_is_averaged() -> None:
    flow = network(conv1__weight=(4, 2, 1, 2, 2))
    found = match(flow, network(), [HERE])
    nothing_but(
        found,
        faults=["'conv1.weight' is (4, 2, 1, 2, 2) in the file and (4, 3, 1, 2, 2) in the network"],
    )
    later = network(layer4__0__conv1__weight=(4, 3, 1, 1, 1))
    assert len(match(later, network(), [HERE]).faults) == 1


def test_counters_of_batches_may_be_missing_or_too_many() -> None:
    counted = network() | {"bn1.num_batches_tracked": torch.tensor(3)}
    nothing_but(match(network(), counted, [HERE]))
    nothing_but(match(counted, network(), [HERE]))


def attending(steps: int) -> dict[str, Tensor]:
    state = network()
    del state["layer4.0.conv1.weight"]
    maps = {f"layer4.0.conv1.{name}.weight": torch.rand(4, 4) for name in ("query", "key")}
    return state | maps | {"layer4.0.conv1.relative_RE": torch.rand(2 * steps - 1, 2)}


def test_attention_in_place_of_a_convolution_is_left() -> None:
    names = [f"layer4.0.conv1.{name}" for name in ("query.weight", "key.weight", "relative_RE")]
    found = match(network(), attending(3), [HERE])
    assert list(found.values) == ["conv1.weight", "fc.weight", "fc.bias"]
    nothing_but(found, left=names, dropped=["layer4.0.conv1.weight"])


def test_a_convolution_in_place_of_attention_is_a_fault() -> None:
    found = match(attending(3), network(), [HERE])
    assert found.faults[0] == "the network has no 'layer4.0.conv1.query.weight'"
    assert found.faults[-1] == "the file has no 'layer4.0.conv1.weight'"


def test_attention_is_not_left_where_the_file_has_nothing() -> None:
    state = network()
    del state["layer4.0.conv1.weight"]
    found = match(state, attending(3), [HERE])
    assert "the file has no 'layer4.0.conv1.query.weight'" in found.faults
    assert len(found.faults) == 3


def test_a_longer_table_repeats_its_farthest_offsets() -> None:
    state = attending(2)
    table = state["layer4.0.conv1.relative_RE"]
    found = match(state, attending(4), [HERE])
    expected = table[[0, 0, 0, 1, 2, 2, 2]]
    assert torch.equal(found.values["layer4.0.conv1.relative_RE"], expected)
    nothing_but(
        found,
        adapted={
            "layer4.0.conv1.relative_RE": "7 relative offsets from 3; offsets beyond "
            "the file's repeat its last"
        },
    )


def test_a_shorter_table_keeps_its_nearest_offsets() -> None:
    state = attending(4)
    found = match(state, attending(2), [HERE])
    expected = state["layer4.0.conv1.relative_RE"][2:5]
    assert torch.equal(found.values["layer4.0.conv1.relative_RE"], expected)


def test_missing_and_unknown_tensors_are_faults() -> None:
    state = network() | {"layer4.0.bn9.weight": torch.ones(1)}
    del state["conv1.weight"]
    nothing_but(
        match(state, network(), [HERE]),
        faults=["the network has no 'layer4.0.bn9.weight'", "the file has no 'conv1.weight'"],
    )


def test_whole_numbers_are_no_weights() -> None:
    state = network()
    state["conv1.weight"] = state["conv1.weight"].int()
    nothing_but(
        match(state, network(), [HERE]),
        faults=["'conv1.weight' is torch.int32 in the file, expected torch.float32"],
    )


def test_what_lies_around_a_backbone_is_left() -> None:
    own = {f"backbone.{name}": value for name, value in network().items()}
    own["unit.weight"] = torch.ones(1)
    found = match(network(), own, [INSIDE])
    assert list(found.values) == [f"backbone.{name}" for name in network()]
    nothing_but(found, left=["unit.weight"])


def test_what_lies_around_the_backbone_of_a_file_is_dropped_or_taken_along() -> None:
    state = {f"backbone.{name}": value for name, value in network().items()}
    state["unit.weight"] = torch.ones(1)
    taken = match(state, state, [Pair(INSIDE.new, INSIDE.new)])
    assert list(taken.values) == list(state)
    nothing_but(taken)
    nothing_but(match(state, network(), [Pair(INSIDE.new, HERE.new)]), dropped=["unit.weight"])


def test_one_backbone_fills_several() -> None:
    state = network()
    own = {f"{side}.{name}": value for side in ("a", "b") for name, value in state.items()}
    pairs = [Pair(Place(RESNET3D, ""), Place(RESNET3D, f"{side}.")) for side in ("a", "b")]
    found = match(state, own, pairs)
    assert set(found.values) == set(own)
    nothing_but(found)


def test_each_of_several_backbones_fills_its_own() -> None:
    plain = network()
    state = {
        f"{side}.{name}": value + n for n, side in enumerate("ab") for name, value in plain.items()
    }
    pairs = [Pair(Place(RESNET3D, f"{side}."), Place(RESNET3D, f"{side}.")) for side in ("a", "b")]
    found = match(state, state, pairs)
    assert found.values == state
    nothing_but(found)
