"""Files of CLIP: what they are by the names of their tensors, and what lies beside them."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pdray.models.layers.transformer_block import ACTIVATIONS
from pdray.models.weights.checkpoint import CheckpointError

IGNORED = re.compile(
    r"(.*\.)?(logit_scale|position_ids|attn_mask|input_resolution|context_length|vocab_size)$"
)
_OTHERS = {  # by a name that only its files have
    "logit_bias": "SigLIP, which has no class token and was trained by a sigmoid loss",
    "vision_model.head.probe": "SigLIP, which has no class token and was trained by a sigmoid loss",
    "visual.attnpool.positional_embedding": "a CLIP whose image encoder is a ResNet",
    "visual.trunk.patch_embed.proj.weight": "a CLIP whose image encoder is a network of timm",
}
_RENAMED = (  # transformers to open_clip
    (r"^vision_model\.embeddings\.patch_embedding\.", "image.conv1."),
    (r"^vision_model\.embeddings\.position_embedding\.weight", "image.positional_embedding"),
    (r"^vision_model\.embeddings\.", "image."),
    (r"^vision_model\.pre_layrnorm\.", "image.ln_pre."),
    (r"^vision_model\.post_layernorm\.", "image.ln_post."),
    (r"^vision_model\.", "image."),
    (r"^visual_projection\.weight", "image.proj"),
    (r"^text_model\.embeddings\.position_embedding\.weight", "text.positional_embedding"),
    (r"^text_model\.embeddings\.", "text."),
    (r"^text_model\.final_layer_norm\.", "text.ln_final."),
    (r"^text_model\.", "text."),
    (r"^text_projection\.weight", "text.text_projection"),
    (r"\.encoder\.layers\.", ".transformer.resblocks."),
    (r"\.layer_norm([12])\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
    (r"\.self_attn\.", ".attn."),
)


def kind_faults(state: Mapping[str, Tensor]) -> list[str]:
    """Return by name what a file is that is no CLIP of two transformers."""
    for name, kind in _OTHERS.items():
        if name in state:
            return [f"it is {kind}; use a CLIP with a vision transformer, such as ViT-B/32"]
    has = {
        "image": any(name.startswith(("vision_model.", "visual.")) for name in state),
        "text": any(
            name.startswith(("text_model.", "transformer.", "text.transformer.")) for name in state
        ),
    }
    if has["image"] and has["text"]:
        return []
    if any(has.values()):
        lacking, there = ("text", "image") if has["image"] else ("image", "text")
        return [f"it has the {there} encoder alone and no {lacking} encoder; use the whole model"]
    first = "', '".join(list(state)[:3])
    return [f"its first tensors are '{first}'; use a CLIP of transformers or open_clip"]


def layout(state: Mapping[str, Tensor]) -> str:
    """Return ``transformers`` or ``open_clip``, whose names the tensors have."""
    return "transformers" if "vision_model.embeddings.class_embedding" in state else "open_clip"


def named(state: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """Return the tensors of a file under the expression network's names.

    Args:
        state: Tensors of the file.
        kind: Result of :func:`layout`.
    """
    used = {name: value for name, value in state.items() if not IGNORED.match(name)}
    if kind == "open_clip":
        return {_open_clip_name(name): value for name, value in used.items()}
    named: dict[str, Tensor] = {}
    parts: dict[str, dict[str, Tensor]] = {}
    for name, value in used.items():
        target = name
        for pattern, new in _RENAMED:
            target = re.sub(pattern, new, target)
        joined = re.fullmatch(r"(.*\.attn\.)([qkv])_proj\.(weight|bias)", target)
        if joined:
            parts.setdefault(f"{joined[1]}in_proj_{joined[3]}", {})[joined[2]] = value
        else:
            named[target] = value.T if target in ("image.proj", "text.text_projection") else value
    for target, three in parts.items():
        named[target] = torch.cat([three[one] for one in "qkv" if one in three])
    return named


def _open_clip_name(name: str) -> str:
    if name.startswith("visual."):
        return f"image.{name.removeprefix('visual.')}"
    return name if name.startswith("text.") else f"text.{name}"


def config_beside(path: Path) -> tuple[dict[str, Any], str]:
    """Return what a file of settings beside the weights says, and its name in words.

    The keys are those of the network's settings: activation, image_heads and text_heads.
    """
    for name, read in (("config.json", _of_transformers), ("open_clip_config.json", _of_open_clip)):
        file = path.parent / name
        if not file.is_file():
            continue
        try:
            facts = read(json.loads(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{file} cannot be read: {error}; copy it again") from error
        if facts:
            return facts, f"of {name}"
    return {}, "of model.activation"


def _of_transformers(config: Mapping[str, Any]) -> dict[str, Any]:
    vision, text = config.get("vision_config"), config.get("text_config")
    if config.get("model_type") != "clip" or vision is None or text is None:
        return {}
    # A value that is absent is the default of CLIPConfig.
    kinds = {part.get("hidden_act", "quick_gelu") for part in (vision, text)}
    norms = {part.get("layer_norm_eps", 1e-5) for part in (vision, text)}
    if not kinds <= ACTIVATIONS.keys() or len(kinds) > 1 or norms != {1e-5}:
        raise ValueError(
            f"activation {sorted(kinds)} and epsilon of the norms {sorted(norms)}; only gelu or "
            "quick_gelu and 1e-05 are known"
        )
    return {
        "activation": kinds.pop(),
        "image_heads": vision.get("num_attention_heads", 12),
        "text_heads": text.get("num_attention_heads", 8),
    }


def _of_open_clip(config: Mapping[str, Any]) -> dict[str, Any]:
    model = config.get("model_cfg", config)
    vision, text = model.get("vision_cfg"), model.get("text_cfg")
    if vision is None or text is None:
        return {}
    return {
        "activation": "quick_gelu" if model.get("quick_gelu") else "gelu",
        "image_heads": vision["width"] // vision.get("head_width", 64) if "width" in vision else 12,
        "text_heads": text.get("heads", 8),
    }
