"""Weights of CLIP: both layouts give the publisher's features; everything else is refused by name.

The files are made here, at tiny sizes, by the packages where they are installed; no published file
is read.
"""

import json
import re
import zipfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pdray.config import build
from pdray.data.modalities import KINETICS_MEAN, KINETICS_STD
from pdray.models.layers.vision import load_torchvision
from pdray.models.networks.expression_clip import ExpressionClip, build_expression_clip
from pdray.models.networks.expression_clip_settings import PHRASES, ExpressionClipConfig
from pdray.models.weights.checkpoint import CheckpointError
from pdray.models.weights.clip import OPENAI, load_clip
from pdray.models.weights.pixels import Pixels
from pdray.training.frozen.features import load_network
from pdray.training.network import build_network, describe_start
from pdray.training.settings import FitConfig
from tests.fixtures.networks import draw, seeded
from tests.models.layers.test_phrase_tokens import packed

TINY = {
    "image_width": 32, "image_depth": 3, "image_heads": 4, "patch_size": 8, "image_size": 24,
    "embed_dim": 24, "text_width": 16, "text_depth": 2, "text_heads": 2, "context_length": 77,
    "time_heads": 2,
}  # fmt: skip
ACTIVATION = {"activation": "quick_gelu"}


def network(num_classes: int = 4, **settings: Any) -> ExpressionClip:
    model: ExpressionClip = seeded(
        build_expression_clip, ExpressionClipConfig(**{**TINY, **settings}), num_classes
    )
    return model


def open_clip_state(**changes: Any) -> dict[str, Tensor]:
    """Return tensors under open_clip's names, as its own tiny model has them."""
    draws = network().state_dict()
    state = {"logit_scale": torch.tensor(2.6)}
    for number, (name, value) in enumerate(draws.items()):
        if name.endswith(("activation_code", "text.prompts", "text.tokens", "_bytes")):
            continue
        if name.startswith("image."):
            state[f"visual.{name.removeprefix('image.')}"] = value
        if name.startswith("text."):
            state[name.removeprefix("text.")] = value
        if name == "text.token_embedding.weight":
            state["token_embedding.weight"] = 0.1 * draw(600, 16, seed=number, dtype=torch.float32)
    return state | changes


def transformers_state(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return tensors of open_clip under the names of transformers."""
    moved: dict[str, Tensor] = {}
    for name, value in state.items():
        side = "vision_model" if name.startswith("visual.") else "text_model"
        short = name.removeprefix("visual.")
        layer = re.match(r"transformer\.resblocks\.(\d+)\.(.*)", short)
        if name == "logit_scale":
            moved[name] = value
        elif name == "visual.proj":
            moved["visual_projection.weight"] = value.T.contiguous()
        elif name == "text_projection":
            moved["text_projection.weight"] = value.T.contiguous()
        elif layer and layer[2].startswith("attn.in_proj"):
            kind = layer[2].removeprefix("attn.in_proj_")
            for part, third in zip("qkv", value.chunk(3), strict=True):
                place = f"{side}.encoder.layers.{layer[1]}.self_attn.{part}_proj.{kind}"
                moved[place] = third.clone()
        elif layer:
            inner = layer[2].replace("attn.", "self_attn.").replace("ln_", "layer_norm")
            inner = inner.replace("mlp.c_fc", "mlp.fc1").replace("mlp.c_proj", "mlp.fc2")
            moved[f"{side}.encoder.layers.{layer[1]}.{inner}"] = value
        else:
            inner = {
                "conv1.weight": "embeddings.patch_embedding.weight",
                "class_embedding": "embeddings.class_embedding",
                "positional_embedding": "embeddings.position_embedding.weight",
                "token_embedding.weight": "embeddings.token_embedding.weight",
            }.get(short, short)
            inner = inner.replace("ln_pre", "pre_layrnorm").replace("ln_post", "post_layernorm")
            moved[f"{side}.{inner.replace('ln_final', 'final_layer_norm')}"] = value
    return moved


def written(folder: Path, state: dict[str, Tensor], name: str = "clip.bin") -> Path:
    """Write a file of weights beside a small vocabulary."""
    torch.save(state, packed(folder) / name)
    return folder / name


def test_both_layouts_are_one_network(tmp_path: Path) -> None:
    state = open_clip_state()
    first, second = network(**ACTIVATION), network(**ACTIVATION)
    report = load_clip(first, written(tmp_path, state))
    load_clip(second, written(tmp_path, transformers_state(state), "other.bin"))
    one, other = first.state_dict(), second.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert torch.equal(one["text.token_embedding.weight"], state["token_embedding.weight"])
    assert report.source.endswith("CLIP, open_clip, activation quick_gelu of model.activation")
    learned = {name.partition(".")[0] for name in report.left}
    assert learned == {"gate", "time", "time_class", "time_positions", "text"}
    assert [name for name in report.left if name.startswith("text.")] == ["text.prompts"]
    assert report.dropped == ("logit_scale",)


def test_the_first_layer_sees_the_pixels_of_the_publisher(tmp_path: Path) -> None:
    file = written(tmp_path, open_clip_state())
    plain, fitted = network(**ACTIVATION).double().eval(), network(**ACTIVATION).double().eval()
    load_clip(plain, file)
    told = load_clip(fitted, file, pixels=Pixels(KINETICS_MEAN, KINETICS_STD)).told()
    assert "adapted, from red, green, blue in 0..1 minus (0.4815" in "\n".join(told)
    pixels = draw(2, 3, 24, 24).sigmoid()

    def scaled(mean: Any, std: Any) -> Tensor:
        return (pixels - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    with torch.no_grad():
        expected = plain.image(scaled(OPENAI.mean, OPENAI.std))
        seen = fitted.image(scaled(KINETICS_MEAN, KINETICS_STD))
    torch.testing.assert_close(seen, expected, rtol=1e-6, atol=1e-6)
    other = network(**ACTIVATION)
    load_clip(other, file, pixels=Pixels(KINETICS_MEAN, KINETICS_STD), trained_on="pdray")
    assert torch.equal(other.image.conv1.weight, plain.float().image.conv1.weight)


@pytest.mark.parametrize(
    ("name", "config"),
    [
        (
            "config.json",
            {"model_type": "clip", "vision_config": {"num_attention_heads": 4},
             "text_config": {"num_attention_heads": 2, "hidden_act": "quick_gelu"}},
        ),
        (
            "open_clip_config.json",
            {"model_cfg": {"quick_gelu": True, "vision_cfg": {"width": 32, "head_width": 8},
                           "text_cfg": {"heads": 2}}},
        ),
    ],
)  # fmt: skip
def test_the_activation_beside_the_file_is_kept_in_the_state(
    tmp_path: Path, name: str, config: dict[str, Any]
) -> None:
    file = written(tmp_path, open_clip_state())
    (tmp_path / name).write_text(json.dumps(config))
    model, again = network(), network()
    assert f"activation quick_gelu of {name}" in load_clip(model, file).source
    again.load_state_dict(model.state_dict())
    assert again.image.activation == again.text.activation == "quick_gelu"
    with pytest.raises(CheckpointError, match=r"model\.activation is quick_gelu in the file and"):
        load_clip(network(activation="gelu"), file)


def test_a_study_from_published_weights_needs_no_file_afterwards(tmp_path: Path) -> None:
    file = written(tmp_path, open_clip_state())
    tree = {
        "pretrained": str(file), "snippet": {"num_frames": 2},
        "model": {"name": "expression_clip", **TINY, **ACTIVATION},
    }  # fmt: skip
    config = build(FitConfig, tree)
    notes = describe_start(config, 2)
    assert notes[-2:] == [f"note: class {n} is '{list(PHRASES.values())[n]}'" for n in range(2)]
    trained = build_network(config, 2).eval()
    file.unlink()
    again = load_network(config, 2, trained.state_dict())
    x = draw(1, 3, 2, 24, 32, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(again(x), trained(x))


def test_a_model_of_a_study_keeps_the_phrases_of_the_settings(tmp_path: Path) -> None:
    first = network()
    file = written(tmp_path, first.state_dict(), "model.pt")
    some, other = network(2, phrases=("anger", "neutral")), network(phrases=(*PHRASES,)[3:])
    for model in (some, other):
        assert load_clip(model, file).source.endswith("an expression network of pdray")
    with torch.no_grad():
        texts = first.eval().text()
        torch.testing.assert_close(some.eval().text(), texts[[3, 0]], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(other.eval().text()[:1], texts[3:], rtol=1e-5, atol=1e-5)
    assert other.text.phrases == tuple(PHRASES.values())[3:]
    with pytest.raises(
        CheckpointError, match=r"'image.proj' is \(32, 24\) in the file and \(32, 8"
    ):
        load_clip(network(embed_dim=8), file)


def archive(file: Path) -> None:
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("archive/constants.pkl", b"")


def without(*starts: str) -> dict[str, Tensor]:
    return {k: v for k, v in open_clip_state().items() if not k.startswith(starts)}


ONE = torch.ones(1)
HOLE = torch.full((24,), torch.nan)


@pytest.mark.parametrize(
    ("state", "settings", "message"),
    [
        (open_clip_state(), {}, "which activation it was trained with.* copy its config.json, or"),
        (open_clip_state(logit_bias=ONE), {}, "it is SigLIP, which has no class token and was"),
        ({"vision_model.head.probe": ONE}, {}, "it is SigLIP"),
        ({"visual.attnpool.positional_embedding": ONE}, {}, "image encoder is a ResNet"),
        ({"visual.trunk.patch_embed.proj.weight": ONE}, {}, "image encoder is a network of timm"),
        (without("visual."), {}, "it has the text encoder alone and no image encoder"),
        (transformers_state(without("visual.")), {}, "it has the text encoder alone"),
        (
            without("transformer.", "token", "text", "positional", "ln_"),
            {},
            "it has the image encoder alone and no text encoder",
        ),
        ({"fc.weight": ONE}, {}, "its first tensors are 'fc.weight'; use a CLIP of"),
        (open_clip_state(), {"patch_size": 12}, "model.patch_size is 8 in the file and 12 in the"),
        (open_clip_state(), {"image_depth": 2}, "model.image_depth is 3 in the file and 2"),
        (open_clip_state(), {"image_size": 32}, "model.image_size is 24 in the file and 32"),
        (open_clip_state(), {"context_length": 40}, "context_length is 77 in the file and 40"),
        (without("ln_final.b"), {}, "the file has no 'text.ln_final.bias'"),
        (open_clip_state(**{"visual.ls.gamma": ONE}), {}, "the network has no 'image.ls.gamma'"),
        (open_clip_state(**{"visual.proj": HOLE}), {}, "24 values that are not finite"),
        (
            open_clip_state(**{"token_embedding.weight": torch.ones(9, 16)}),
            ACTIVATION,
            "has 9 tokens, and the vocabulary in its folder 522",
        ),
    ],
)
def test_another_file_is_refused_by_name_and_the_network_is_unchanged(
    tmp_path: Path, state: dict[str, Tensor], settings: dict[str, Any], message: str
) -> None:
    model, untouched = network(**settings), network(**settings)
    with pytest.raises(CheckpointError, match=message):
        load_clip(model, written(tmp_path, state))
    now, before = model.state_dict(), untouched.state_dict()
    assert all(torch.equal(now[name], before[name]) for name in before)


def test_a_file_without_vocabulary_and_one_that_runs_code_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "clip.bin"
    torch.save(open_clip_state(), file)
    with pytest.raises(CheckpointError, match=r"no vocabulary in its folder.* bpe_simple_vocab"):
        load_clip(network(**ACTIVATION), file)
    archive(file)
    with pytest.raises(CheckpointError, match=r"a TorchScript archive.*\.safetensors"):
        load_clip(network(**ACTIVATION), file)
    (tmp_path / "config.json").write_text('{"model_type": "clip", "vision_config": []')
    torch.save(open_clip_state(), packed(tmp_path) / "clip.bin")
    with pytest.raises(CheckpointError, match=r"config\.json cannot be read"):
        load_clip(network(), file)


def check_parity(model: ExpressionClip, x: Tensor, image: Tensor, text: Tensor) -> None:
    """Compare picture and text embeddings, and their cosines, with those of a publisher."""
    torch.testing.assert_close(model.image(x), image, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.text(), text, rtol=1e-9, atol=1e-9)
    cosines = torch.nn.functional.normalize(image) @ torch.nn.functional.normalize(text).T
    torch.testing.assert_close(model.classify(model.image(x)), cosines / 0.01, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", ["quick_gelu", "gelu"])
def test_open_clip_gives_the_same_features_and_logits(tmp_path: Path, activation: str) -> None:
    load_torchvision()  # the packages import it, and it may need help
    open_clip = pytest.importorskip("open_clip", reason="needs open_clip_torch of '.[dev]'")
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg
    from safetensors.torch import save_file

    vision = CLIPVisionCfg(layers=3, width=32, head_width=8, patch_size=8, image_size=24)
    text = CLIPTextCfg(context_length=77, vocab_size=49408, width=16, heads=2, layers=2)
    theirs = seeded(lambda: CLIP(24, vision, text, quick_gelu=activation == "quick_gelu"))
    file = tmp_path / "open_clip_model.safetensors"
    save_file(theirs.state_dict(), file)
    (tmp_path / "bpe_simple_vocab_16e6.txt.gz").symlink_to(
        Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    )
    model = network(num_prompts=0, activation=activation)
    load_clip(model, file)
    model, theirs, x = model.double().eval(), theirs.double().eval(), draw(3, 3, 24, 24)
    with torch.no_grad():
        ids = open_clip.tokenize(list(model.text.phrases))
        check_parity(model, x, theirs.encode_image(x), theirs.encode_text(ids))


def test_transformers_gives_the_same_features_and_logits(tmp_path: Path) -> None:
    load_torchvision()
    if find_spec("transformers") is None:
        pytest.skip("needs the extra '.[audio]'")
    transformers = pytest.importorskip("transformers")
    vision = {
        "hidden_size": 32, "intermediate_size": 128, "num_hidden_layers": 3,
        "num_attention_heads": 4, "patch_size": 8, "image_size": 24,
    }  # fmt: skip
    text = {
        "hidden_size": 16, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "vocab_size": 49408,
    }  # fmt: skip
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=24)
    theirs = seeded(lambda: transformers.CLIPModel(config))
    theirs.save_pretrained(tmp_path)
    spec = find_spec("open_clip")
    if spec is None:
        pytest.skip("needs the vocabulary in open_clip_torch of '.[dev]'")
    (tmp_path / "bpe_simple_vocab_16e6.txt.gz").symlink_to(
        Path(spec.origin or "").parent / "bpe_simple_vocab_16e6.txt.gz"
    )
    model = network(num_prompts=0)
    told = load_clip(model, tmp_path / "model.safetensors").told()
    assert "activation quick_gelu of config.json" in told[0]
    model, theirs, x = model.double().eval(), theirs.double().eval(), draw(3, 3, 24, 24)
    with torch.no_grad():
        out = theirs(input_ids=model.text.get_buffer("tokens"), pixel_values=x)
        image = theirs.visual_projection(theirs.vision_model(pixel_values=x).pooler_output)
        words = theirs.text_model(input_ids=model.text.get_buffer("tokens")).pooler_output
        check_parity(model, x, image, theirs.text_projection(words))
        logits = out.logits_per_image / theirs.logit_scale.exp() / 0.01
        torch.testing.assert_close(model.classify(model.image(x)), logits, rtol=1e-9, atol=1e-9)
        wide = draw(2, 3, 16, 40)
        seen = theirs.vision_model(pixel_values=wide, interpolate_pos_encoding=True)
        expected = theirs.visual_projection(seen.pooler_output)
        torch.testing.assert_close(model.image(wide), expected, rtol=1e-6, atol=1e-6)
