"""The expression network: its equations written out, its phrases, and what it refuses."""

import math
import re
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.errors import SettingsError
from pdray.explain.activation import class_activation
from pdray.models import NETWORKS
from pdray.models.layers.phrase_tokens import closed_vocabulary
from pdray.models.layers.transformer_block import ACTIVATIONS
from pdray.models.networks.expression_clip import ExpressionClip, build_expression_clip
from pdray.models.networks.expression_clip_settings import (
    PHRASES,
    ExpressionClipConfig,
    class_faults,
    expression_clip_faults,
)
from pdray.training.network import make_network
from tests.fixtures.networks import State, draw, seeded, state_of

SMALL = dict(NETWORKS["expression_clip"].small)
_STATISTICS = ("norm.running_mean", "norm.running_var", "norm.num_batches_tracked")
PHRASE = "a smiling face with an open mouth"  # of words that the closed vocabulary has


def make(num_classes: int = 4, **settings: Any) -> ExpressionClip:
    """Return a small network in float64, its gate awake."""
    config = ExpressionClipConfig(**{**SMALL, **settings})
    model: ExpressionClip = seeded(build_expression_clip, config, num_classes)
    for name, parameter in model.named_parameters():
        if not parameter.any():
            parameter.data = 0.3 * draw(*parameter.shape, seed=len(name), dtype=torch.float32)
    return model.double().eval()


def snippets(batch: int = 2, steps: int = 5, side: int = 24) -> Tensor:
    return draw(batch, 3, steps, side, side)


def norm(x: Tensor, state: State, name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attend(x: Tensor, state: State, name: str, heads: int, *, causal: bool = False) -> Tensor:
    """Return attention over the tokens (S, D) of one sequence, head by head."""
    q, k, v = (
        x @ weight.T + bias
        for weight, bias in zip(
            state[f"{name}.in_proj_weight"].chunk(3), state[f"{name}.in_proj_bias"].chunk(3),
            strict=True,
        )
    )  # fmt: skip
    width, parts = x.shape[1] // heads, []
    for head in range(heads):
        some = slice(head * width, (head + 1) * width)
        scores = q[:, some] @ k[:, some].T / math.sqrt(width)
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores).triu(1).bool(), -math.inf)
        parts.append(scores.softmax(1) @ v[:, some])
    weight, bias = state[f"{name}.out_proj.weight"], state[f"{name}.out_proj.bias"]
    return torch.cat(parts, 1) @ weight.T + bias


def block(x: Tensor, state: State, name: str, heads: int, *, causal: bool = False) -> Tensor:
    x = x + attend(norm(x, state, f"{name}.ln_1"), state, f"{name}.attn", heads, causal=causal)
    h = norm(x, state, f"{name}.ln_2") @ state[f"{name}.mlp.c_fc.weight"].T
    h = h + state[f"{name}.mlp.c_fc.bias"]
    h = h * (1 + torch.erf(h / math.sqrt(2))) / 2
    return x + h @ state[f"{name}.mlp.c_proj.weight"].T + state[f"{name}.mlp.c_proj.bias"]


def reference_video(frames: Tensor, state: State, *, gate: str, pool: str) -> Tensor:
    """Return F (eq. 1) of (T, 3, H, W) frames, each alone: A, A~, f and T as the paper writes."""
    vectors = []
    for frame in frames:
        patches = torch.einsum(
            "cihjw,dchw->dij", frame.unflatten(1, (-1, 8)).unflatten(3, (-1, 8)),
            state["image.conv1.weight"],
        )  # fmt: skip
        a = torch.cat([state["image.class_embedding"][None], patches.flatten(1).T])
        a = norm(a + state["image.positional_embedding"], state, "image.ln_pre")
        for number in range(2):
            a = block(a, state, f"image.transformer.resblocks.{number}", 2)
        a = norm(a, state, "image.ln_post")
        if gate == "tokens":
            a = a / (1 + torch.exp(-attend(a, state, "gate", 2)))
        vectors.append((a[0] if pool == "class" else a[1:].mean(0)) @ state["image.proj"])
    f = torch.stack(vectors)
    if gate == "frames":
        f = f / (1 + torch.exp(-attend(f, state, "gate", 2)))
    x = torch.cat([state["time_class"][None], f]) + state["time_positions"][: len(f) + 1]
    return block(x, state, "time.resblocks.0", 2)[0]


def reference_text(ids: list[int], state: State) -> Tensor:
    """Return G (eq. 2) of the ids of one phrase, from start to end."""
    words = state["text.token_embedding.weight"][ids]
    x = torch.cat([words[:1], state["text.prompts"], words[1:]])
    x = block(
        x + state["text.positional_embedding"][: len(x)], state, "text.transformer.resblocks.0", 2,
        causal=True,
    )  # fmt: skip
    return norm(x, state, "text.ln_final")[-1] @ state["text.text_projection"]


@pytest.mark.parametrize(
    ("gate", "pool"),
    [("tokens", "class"), ("tokens", "mean"), ("frames", "class"), ("none", "mean")],
)
def test_a_logit_is_the_logarithm_of_the_intensity_of_the_paper(gate: str, pool: str) -> None:
    model, x = make(gate=gate, pool=pool), snippets()
    state = state_of(model)
    with torch.no_grad():
        f, logits = model.features(x), model(x)
    words = list(dict.fromkeys(" ".join(PHRASES.values()).replace(",", " ,").split()))
    ids = [[words.index(one) for one in p.replace(",", " ,").split()] for p in PHRASES.values()]
    start, end = len(words), len(words) + 1
    g = torch.stack([reference_text([start, *one, end], state) for one in ids[:4]])
    for row in range(2):
        expected = reference_video(x[row].transpose(0, 1), state, gate=gate, pool=pool)
        torch.testing.assert_close(f[row], expected, rtol=1e-10, atol=1e-12)
        cosine = (g @ expected) / (g.norm(dim=1) * expected.norm())
        intensity = torch.exp(cosine / 0.01)  # eq. 3
        torch.testing.assert_close(logits[row], intensity.log(), rtol=1e-9, atol=1e-9)


def test_phrases_in_another_order_give_the_same_logits_in_that_order() -> None:
    model, x = make().float().eval(), snippets().float()
    order = [2, 0, 3, 1]
    with torch.no_grad():
        logits = model(x)
        model.text.set_phrases([model.text.phrases[one] for one in order])
        assert torch.equal(model(x), logits[:, order])
        # A fifth phrase of the same words is a fifth column, without training.
        model.text.set_phrases(
            [*(model.text.phrases[order.index(one)] for one in range(4)), PHRASE]
        )
        more = model(x)
    assert more.shape == (2, 5)
    torch.testing.assert_close(more[:, :4], logits, rtol=1e-5, atol=1e-4)
    assert model.text.phrases[-1] == PHRASE


def test_the_state_holds_phrases_and_words_so_that_no_file_is_needed() -> None:
    model, other, x = make(), make(phrases=("neutral", "anger", "fear", PHRASE)), snippets()
    model.text.set_phrases(["a sad face", PHRASE])
    other.load_state_dict(model.state_dict())
    assert other.text.phrases == ("a sad face", PHRASE)
    with torch.no_grad():
        assert torch.equal(other(x), model(x))
    other.text.set_phrases(["an angry mouth"])
    with pytest.raises(SettingsError, match="phrase 'a bored face': no token for 'bored'"):
        other.text.set_phrases(["a bored face"])


def test_texts_are_encoded_once_per_step_and_once_in_evaluation() -> None:
    model, x = make(), snippets(1)
    calls: list[int] = []
    model.text.transformer.register_forward_hook(
        lambda _m, inputs, _o: calls.append(len(inputs[0]))
    )
    with torch.inference_mode():
        model(x)
        assert calls == [1, 1, 1, 1]
        for _ in range(3):
            model(x)
        assert len(calls) == 4
    model.train()(snippets(3)).sum().backward()
    assert calls[4:] == [4], "all phrases at once, and once for all recordings"
    assert model.text.prompts.grad is not None
    assert model.text.text_projection.grad is None
    with torch.no_grad():
        before = model.eval()(x)
        model.train().text.prompts.mul_(-9)
        fresh = model.eval()(x)
    assert not torch.allclose(before, fresh), "training forgets the encoded texts"
    logits = model(x.requires_grad_())  # maps need a gradient after evaluation without one
    logits[:, 0].sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize("gate", ["tokens", "none"])
def test_a_frozen_image_encoder_can_be_replaced_by_what_was_kept(gate: str) -> None:
    model, x = make(gate=gate, image_learning_rate=0.0, stem="convolution"), snippets()
    model.train()
    assert not model.image.training, "its norms keep their statistics"
    kept = model.frozen_items(x).unflatten(0, (2, 5))
    assert torch.equal(model.eval()(kept), model(x))
    model.train()(kept).sum().backward()
    names = {name for name, one in model.named_parameters() if one.grad is None}
    assert names
    assert all(name.startswith(("image.", "text.")) for name in names)
    assert names <= model.frozen_names()


def test_a_batch_norm_takes_away_what_all_videos_share() -> None:
    plain, normed, x = make(), make(norm="batch"), snippets(4)
    assert not set(normed.state_dict()) - {*plain.state_dict(), *_STATISTICS}
    normed.load_state_dict({**normed.state_dict(), **plain.state_dict()})
    f = plain.features(x)
    centred = f - f.mean(0)
    expected = centred / (centred.square().mean(0) + 1e-5).sqrt()
    torch.testing.assert_close(normed.train().features(x), expected)
    alone = normed.features(x[:1])  # a last batch of one
    torch.testing.assert_close(normed.eval().features(x[:1]), alone)


def test_blocks_that_are_computed_again_give_the_same_gradients() -> None:
    plain, again = make().train(), make(recompute=True).train()
    for model in (plain, again):
        model(snippets()).square().sum().backward()
    for (name, one), other in zip(plain.named_parameters(), again.parameters(), strict=True):
        if one.grad is not None:
            torch.testing.assert_close(other.grad, one.grad, msg=name)


def test_other_sizes_and_lengths_stretch_the_learned_positions() -> None:
    model = make(interpolate=True, max_frames=4)
    with torch.no_grad():
        positions = model.image.positional_embedding
        square = positions[1:].T.reshape(1, -1, 3, 3)
        wide = torch.nn.functional.interpolate(square, size=(2, 5), mode="bicubic")
        torch.testing.assert_close(
            model.image.positions(2, 5)[1:], wide.flatten(2)[0].T.double(), rtol=1e-6, atol=1e-6
        )
        assert model(draw(1, 3, 9, 16, 40)).shape == (1, 4)
    short = make(max_frames=4)
    with pytest.raises(ValueError, match="got 5 frames, but there are positions for 4"):
        short(snippets())
    with pytest.raises(ValueError, match="multiples of 8 px, got 24 x 20"):
        short(draw(1, 3, 4, 24, 20))


@pytest.mark.parametrize(
    ("settings", "finer"),
    [
        ({"gate": "tokens"}, {}),
        ({"gate": "none"}, {}),
        ({"stem": "convolution"}, {"image.conv1.2": (1, 5, 12, 12), "image.conv1.5": (1, 5, 6, 6)}),
    ],
)
def test_its_maps_show_where_a_phrase_is_seen(
    settings: dict[str, Any], finer: dict[str, tuple[int, ...]]
) -> None:
    model, x = make(**settings), snippets(1)
    layers = list(model.MAP_LAYERS)
    model(x).sum().backward()  # a gradient of before must not be in the way
    with torch.inference_mode():
        model(x)
    maps = class_activation(model, x, lambda logits: logits[:, 1] - logits[:, 0], layers)
    assert {name: tuple(one.shape) for name, one in maps.items()} == finer | {
        "image.conv1": (1, 5, 3, 3), "image.grid": (1, 5, 3, 3),
    }  # fmt: skip
    assert all(one.any() for one in maps.values())


def test_quick_gelu_is_its_formula() -> None:
    x = draw(1000) * 5
    torch.testing.assert_close(
        ACTIVATIONS["quick_gelu"](x), x * torch.sigmoid(1.702 * x), rtol=1e-14, atol=1e-14
    )


LONG = "very " * 80 + "sad"


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"max_frames": 8}, "model.max_frames: 8 is less than the 16 frames"),
        ({"patch_size": 30, "image_size": 240}, "height: 224 px .* use 210 or 240"),
        ({"image_size": 220}, "model.image_size: 220 px is no multiple of model.patch_size 32"),
        ({"image_heads": 7}, "model.image_heads: 7 does not divide model.image_width 768; use one"),
        ({"time_heads": 3}, "model.time_heads: 3 does not divide model.embed_dim 512"),
        ({"phrases": ("anger", "neutral", "anger")}, "model.phrases: 'an angry .* there twice"),
        ({"phrases": ("anger", " ")}, "model.phrases: ' ' has 0 words; use 1 to 71"),
        ({"phrases": ("anger", LONG)}, "has 81 words; use 1 to 71, which model.context_length 77"),
        ({"num_prompts": 76}, "model.num_prompts: 76 leaves no place for a phrase"),
        (
            {"stem": "convolution", "patch_size": 14},
            "model.patch_size: 14 is no power of two",
        ),
    ],
)  # fmt: skip
def test_a_setting_that_fits_nothing_is_a_fault(settings: dict[str, Any], fault: str) -> None:
    config = ExpressionClipConfig(**settings)
    faults = expression_clip_faults(config, num_frames=16, height=224, width=224)
    assert any(re.search(fault, one) for one in faults), faults


def test_phrases_and_classes_are_as_many() -> None:
    two = ExpressionClipConfig(phrases=("neutral", "anger"))
    assert class_faults(two, 2) == []
    assert class_faults(ExpressionClipConfig(), 7) == []
    message = "model.phrases: got 2 for 3 classes; write one for each class"
    assert class_faults(two, 3)[0].startswith(message)
    assert "got 7 for 8 classes" in class_faults(ExpressionClipConfig(), 8)[0]
    with pytest.raises(SettingsError, match="got 2 for 3 classes"):
        build_expression_clip(two, 3)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"loss.kind": "coral"}, "loss.kind: coral has one score for all classes"),
        ({"model.num_prompts": 0, "model.prompt_learning_rate": 0.1}, "no effect without prompts"),
        ({"pretrained": "a.pt", "model.stem": "convolution"}, "set model.stem=patch"),
        ({"modality": "flow"}, "expression_clip needs rgb"),
    ],
)
def test_other_sections_cannot_contradict_it(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        make_network("expression_clip", keys)


def test_a_phrase_longer_than_the_context_is_refused_with_its_tokens() -> None:
    model = make(context_length=20)
    words = closed_vocabulary(["a"])
    with pytest.raises(SettingsError, match=r"'a a a .* has 15 tokens, and there is room for 14"):
        model.text.set_phrases([" ".join("a" * 15)], words)
