import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.models.layers.region_classifier import RegionClassifier, Tokens
from pdray.models.layers.settings import NUM_REGIONS, RegionClassifierShape, classifier_faults

BATCH, STEPS, READ, DIM, CLASSES = 2, 3, 5, 8, 6
KINDS = ("spatial", "temporal", "both", "none")
SMALL = {"token_dim": DIM, "num_heads": 2, "max_frames": 4}


def seeded(**changes: Any) -> RegionClassifier:
    with torch.random.fork_rng():
        torch.manual_seed(2)  # no hidden layer of a head is silent
        model = RegionClassifier(
            RegionClassifierShape(**{**SMALL, **changes}), num_inputs=READ, num_classes=CLASSES
        ).double()
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        torch.nn.init.normal_(model.token_norm.running_mean)
        torch.nn.init.uniform_(model.token_norm.running_var, 0.5, 2)
    return model.eval()  # in training the tokens of a batch are normalised together


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def some_tokens() -> Tokens:
    """Region 3 lacks in one frame of the first snippet, region 0 in all of the second."""
    is_there = torch.ones(BATCH, STEPS, NUM_REGIONS, dtype=torch.bool)
    is_there[0, 1, 3] = False
    is_there[1, :, 0] = False
    return Tokens(draw(BATCH, STEPS, 1 + NUM_REGIONS, READ), is_there)


def linear(x: Tensor, layer: Any) -> Tensor:
    result: Tensor = (layer.weight * x).sum(dim=1) + layer.bias
    return result


def slow_norm(x: Tensor, norm: Any) -> Tensor:
    centred = x - x.mean()
    result: Tensor = centred / (centred.square().mean() + 1e-5).sqrt() * norm.weight + norm.bias
    return result


def slow_token(model: RegionClassifier, read: Tensor | None, t: int, s: int) -> Tensor:
    token = torch.zeros(DIM, dtype=torch.float64)
    if read is not None:
        token = linear(read, model.project_region if s else model.project_global)
        norm = model.token_norm
        share = (token - norm.running_mean) / (norm.running_var + 1e-5).sqrt()
        token = share * norm.weight + norm.bias
    if model.space_position_SF is not None:
        token = token + model.space_position_SF[s]
    if model.time_position_TF is not None:
        token = token + model.time_position_TF[t]
    return token


def slow_head(model: RegionClassifier, f_F: Tensor, s: int) -> Tensor:
    if s == 0:
        layers: Any = model.video_head
        return linear(linear(f_F, layers[0]).clamp(min=0), layers[3])
    heads, r = model.region_heads, s - 1
    hidden = f_F @ heads.hidden_RFG[r] + heads.hidden_bias_RG[r]
    score: Tensor = (hidden.clamp(min=0) * heads.out_RG[r]).sum() + heads.out_bias_R[r]
    return score


def slow_outputs(model: RegionClassifier, tokens: Tokens) -> tuple[Tensor, Tensor]:
    """Token by token; the attention itself is written out in its own test."""
    video = torch.zeros(BATCH, CLASSES, dtype=torch.float64)
    regions = torch.full((BATCH, NUM_REGIONS), math.nan, dtype=torch.float64)
    for b in range(BATCH):
        there = [[True, *tokens.is_there[b, t].tolist()] for t in range(STEPS)]
        rows = torch.zeros(STEPS, 1 + NUM_REGIONS, DIM, dtype=torch.float64)
        for t, s in itertools.product(range(STEPS), range(1 + NUM_REGIONS)):
            rows[t, s] = slow_token(model, tokens.values[b, t, s] if there[t][s] else None, t, s)
        for block in model.attention:
            rows = block(rows[None], torch.tensor(there)[None])[0]
        for s in range(1 + NUM_REGIONS):
            seen = [slow_norm(rows[t, s], model.norm) for t in range(STEPS) if there[t][s]]
            if seen:
                logits = slow_head(model, sum(seen[1:], seen[0]) / len(seen), s)
                (video[b] if s == 0 else regions[b, s - 1 : s]).copy_(logits)
    return video, regions


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_are_the_written_out_ones(kind: str) -> None:
    model, tokens = seeded(attention_kind=kind, attention_depth=2), some_tokens()
    with torch.no_grad():
        outputs = model(tokens)
        video, regions = slow_outputs(model, tokens)
    torch.testing.assert_close(outputs.video, video)
    torch.testing.assert_close(outputs.regions, regions, equal_nan=True)
    assert len(model.attention) == (0 if kind == "none" else 2)


def test_regions_that_no_frame_shows_have_no_logit() -> None:
    outputs = seeded()(some_tokens())
    assert (outputs.video.shape, outputs.regions.shape) == ((2, CLASSES), (2, NUM_REGIONS))
    expected = torch.ones(BATCH, NUM_REGIONS, dtype=torch.bool)
    expected[1, 0] = False
    assert torch.equal(outputs.is_seen, expected)
    assert torch.equal(outputs.regions.isnan(), ~expected)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", [1e3, math.nan])
def test_what_stands_in_an_absent_region_changes_nothing(kind: str, value: float) -> None:
    model, tokens = seeded(attention_kind=kind), some_tokens()
    is_absent = ~torch.nn.functional.pad(tokens.is_there, (1, 0), value=True)
    values = tokens.values.masked_fill(is_absent[..., None], value).requires_grad_()
    outputs, plain = model(Tokens(values, tokens.is_there)), model(tokens)
    assert torch.equal(outputs.video, plain.video)
    torch.testing.assert_close(outputs.regions, plain.regions, rtol=0, atol=0, equal_nan=True)
    loss = outputs.video.square().sum() + outputs.regions[outputs.is_seen].square().sum()
    (slopes,) = torch.autograd.grad(loss, values)
    assert not slopes[is_absent].any()
    assert slopes.isfinite().all()


def test_frames_without_any_region_still_have_the_video() -> None:
    tokens = some_tokens()._replace(is_there=torch.zeros(2, STEPS, NUM_REGIONS, dtype=torch.bool))
    model = seeded()
    outputs = model(tokens)
    outputs.video.square().sum().backward()
    assert outputs.video.isfinite().all()
    assert outputs.regions.isnan().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_has_a_gradient(kind: str) -> None:
    model = seeded(attention_kind=kind, attention_depth=2, max_frames=STEPS)
    outputs = model(some_tokens())
    (outputs.video.sum() + outputs.regions[outputs.is_seen].square().sum()).backward()
    without = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert without == []


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_frames_is_seen_only_by_attention_over_time(kind: str) -> None:
    model, tokens = seeded(attention_kind=kind), some_tokens()
    with torch.no_grad():
        turned = Tokens(tokens.values.flip(1), tokens.is_there.flip(1))
        is_same = torch.allclose(model(tokens).video, model(turned).video)
    assert is_same == (kind in ("spatial", "none"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_video_sees_its_regions_only_by_attention_over_space(kind: str) -> None:
    model, tokens = seeded(attention_kind=kind), some_tokens()
    other = tokens.values.clone()
    other[:, :, 6] += 1
    with torch.no_grad():
        is_same = torch.allclose(model(tokens).video, model(tokens._replace(values=other)).video)
    assert is_same == (kind in ("temporal", "none"))


def test_each_region_has_a_head_of_its_own() -> None:
    model = seeded(attention_kind="none")
    f_BRF = draw(1, 1, DIM).expand(1, NUM_REGIONS, DIM)
    assert len(set(model.region_heads(f_BRF)[0].tolist())) == NUM_REGIONS


def test_the_tokens_that_are_there_are_normalised_together_in_training() -> None:
    model, tokens = seeded(attention_kind="none"), some_tokens()
    seen: list[Tensor] = []
    model.dropout.register_forward_hook(lambda _, given, out: seen.append(given[0]))
    model.train()(tokens)
    there = [
        (b, t, s)
        for b, t, s in itertools.product(range(BATCH), range(STEPS), range(1 + NUM_REGIONS))
        if s == 0 or tokens.is_there[b, t, s - 1]
    ]
    read = torch.stack(
        [
            linear(tokens.values[place], model.project_region if place[2] else model.project_global)
            for place in there
        ]
    )
    share = (read - read.mean(dim=0)) / (read.var(dim=0, unbiased=False) + 1e-5).sqrt()
    expected = share * model.token_norm.weight + model.token_norm.bias
    torch.testing.assert_close(torch.stack([seen[0][place] for place in there]), expected)
    assert not seen[0][0, 1, 4].any()  # absent


@pytest.mark.parametrize(("kind", "places"), [("both", "regions"), ("temporal", "frames")])
def test_which_place_is_bright_is_learnt_from_few_snippets(kind: str, places: str) -> None:
    # As much is bright in one class as in the other: the place alone tells them apart.
    def snippets(number: int, seed: int) -> tuple[Tokens, Tensor]:
        values = draw(number, 4, 1 + NUM_REGIONS, 24, seed=seed).float() / 2
        target = torch.arange(number) % 2
        if places == "regions":
            for row, one in enumerate((4, 10)):
                values[row::2, :, one] += 1.0
        else:  # of what the video's head reads
            for row, one in enumerate((0, 3)):
                values[row::2, one, 0] += 1.0
        return Tokens(values, torch.ones(number, 4, NUM_REGIONS, dtype=torch.bool)), target

    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = RegionClassifierShape(token_dim=96, num_heads=3, attention_kind=kind)
        model = RegionClassifier(config, num_inputs=24, num_classes=2)
    (tokens, target), (held, expected) = snippets(64, 1), snippets(100, 2)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    order = torch.Generator().manual_seed(0)
    for _ in range(38):
        for batch in torch.randperm(64, generator=order).split(16):
            chosen = Tokens(tokens.values[batch], tokens.is_there[batch])
            loss = torch.nn.functional.cross_entropy(model(chosen).video, target[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    model.eval()
    right = (model(held).video.argmax(dim=1) == expected).float().mean().item()
    assert right > 0.9


def test_dropout_acts_in_training_only() -> None:
    torch.manual_seed(0)
    model, tokens = seeded(dropout=0.5).train(), some_tokens()
    assert not torch.allclose(model(tokens).regions[0], model(tokens).regions[0])
    model.eval()
    assert torch.equal(model(tokens).video, model(tokens).video)


def test_more_frames_than_positions_are_refused_where_time_is_attended_to() -> None:
    tokens = Tokens(draw(1, 5, 15, READ), torch.ones(1, 5, NUM_REGIONS, dtype=torch.bool))
    with pytest.raises(
        ValueError,
        match=r"a snippet has 5 frames, .* positions for 4; set max_frames to at least 5",
    ):
        seeded()(tokens)
    assert seeded(attention_kind="spatial")(tokens).video.isfinite().all()


def test_faults_name_what_would_be_right() -> None:
    config = RegionClassifierShape(token_dim=10, num_heads=3, max_frames=8)
    assert classifier_faults(config, num_frames=16) == [
        "model.num_heads: 3 does not divide model.token_dim 10; use one of 1, 2, 5, 10",
        "model.max_frames: 8 is shorter than a snippet of 16 frames; use at least 16",
    ]
    plain = config.model_copy(update={"attention_kind": "none"})
    assert classifier_faults(plain, num_frames=16) == []
    assert classifier_faults(RegionClassifierShape(), num_frames=64) == []
