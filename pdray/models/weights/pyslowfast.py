"""Renames tensors of PySlowFast's files to PyTorchVideo's names, which the networks here have.

Source: github.com/facebookresearch/SlowFast, slowfast/models: stem_helper.py, resnet_helper.py,
operators.py, head_helper.py and video_model_builder.py. The networks are the same:

    s1.pathway0_stem.conv, .bn                  stem; X3D: .conv_xy and .conv
    s2.pathway0_res0.branch1, .branch1_bn       shortcut of a block
    s2.pathway0_res0.branch2.a, .a_bn, ...      branch of a block; X3D: also .se.fc1, .se.fc2
    s1_fuse.conv_f2s, .bn                       lateral connection of SlowFast
    head.projection                             last layer; X3D: also .conv_5, .lin_5

There is one difference: PySlowFast's X3D normalises the shortcut of its first block, PyTorchVideo's
does not. This norm is folded into the weights of the shortcut's convolution and into the bias of
the branch's last norm, whose outputs are added.

PyTorchVideo's Slow-R50 has no pool behind its first stage, so that its later blocks have smaller
numbers than those of C2D and I3D-R50. They get the numbers of these.
"""

import re

from torch import Tensor

from pdray.models.weights.pixels import State

STEM = re.compile(r"(?P<prefix>|.*\.)(?P<stem>s1\.pathway0_stem|blocks\.0)\.conv\.weight")
SLOW_NUMBERS = tuple((rf"^blocks\.{number}\.", f"blocks.{number + 1}.") for number in (5, 4, 3, 2))
EPS = 1e-5

BLOCK = (
    (r"\.branch1_bn\.", ".branch1_norm."),
    (r"\.branch1\.", ".branch1_conv."),
    (r"\.([abc])_bn\.", r".norm_\1."),
    (r"\.branch2\.([abc])\.", r".branch2.conv_\1."),
    (r"\.se\.fc1\.", ".norm_b.1.block.0."),
    (r"\.se\.fc2\.", ".norm_b.1.block.2."),
)


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors of a file under the names that the networks here have.

    Args:
        state: The tensors by name; those of another family are returned as they are.
    """
    found = next((hit for name in state if (hit := STEM.fullmatch(name))), None)
    if found is None:
        return state
    prefix = found["prefix"]
    if found["stem"].startswith("s1"):
        rules = _pyslowfast_rules(state, prefix)
    elif f"{prefix}blocks.2.res_blocks.0.branch2.conv_a.weight" in state:
        rules = SLOW_NUMBERS
    else:
        return state
    named = {_by(rules, prefix, name): value for name, value in state.items()}
    return _without_shortcut_norm(named, f"{prefix}blocks.1.res_blocks.0.")


def _pyslowfast_rules(state: State, prefix: str) -> tuple[tuple[str, str], ...]:
    """Return patterns and what takes their place, for a network of one path, X3D, or two paths."""
    if f"{prefix}s1.pathway1_stem.conv.weight" in state:
        return (
            (r"^s1\.pathway(\d)_stem\.conv\.", r"blocks.0.multipathway_blocks.\1.conv."),
            (r"^s1\.pathway(\d)_stem\.bn\.", r"blocks.0.multipathway_blocks.\1.norm."),
            *_of_stages(r"_fuse\.bn\.", "multipathway_fusion.norm."),
            *_of_stages(r"_fuse\.conv_f2s\.", "multipathway_fusion.conv_fast_to_slow."),
            *_of_stages(r"\.pathway(\d)_res(\d+)\.", r"multipathway_blocks.\1.res_blocks.\2."),
            (r"^head\.projection\.", "blocks.6.proj."),
            *BLOCK,
        )
    block = (r"\.pathway0_res(\d+)\.", r"res_blocks.\1.")
    if f"{prefix}s1.pathway0_stem.conv_xy.weight" in state:
        return (
            (r"^s1\.pathway0_stem\.conv_xy\.", "blocks.0.conv.conv_t."),
            (r"^s1\.pathway0_stem\.conv\.", "blocks.0.conv.conv_xy."),
            (r"^s1\.pathway0_stem\.bn\.", "blocks.0.norm."),
            (r"^head\.conv_5_bn\.", "blocks.5.pool.pre_norm."),
            (r"^head\.conv_5\.", "blocks.5.pool.pre_conv."),
            (r"^head\.lin_5\.", "blocks.5.pool.post_conv."),
            (r"^head\.projection\.", "blocks.5.proj."),
            *_of_stages(*block),
            (r"\.b_bn\.", ".norm_b.0."),
            *BLOCK,
        )
    return (
        (r"^s1\.pathway0_stem\.conv\.", "blocks.0.conv."),
        (r"^s1\.pathway0_stem\.bn\.", "blocks.0.norm."),
        *_of_stages(*block, pool_after=2),
        (r"^head\.projection\.", "blocks.6.proj."),
        *BLOCK,
    )


def _of_stages(pattern: str, name: str, *, pool_after: int = 5) -> tuple[tuple[str, str], ...]:
    """Return a rule for each stage; behind ``pool_after`` one number is that of a pool."""
    return tuple(
        (rf"^s{stage}{pattern}", f"blocks.{stage - 1 + (stage > pool_after)}.{name}")
        for stage in range(1, 6)
    )


def _by(rules: tuple[tuple[str, str], ...], prefix: str, name: str) -> str:
    """Return a name by the rules, what lies outside the prefix as it is."""
    if not name.startswith(prefix):
        return name
    inside = name.removeprefix(prefix)
    for pattern, new in rules:
        inside = re.sub(pattern, new, inside)
    return f"{prefix}{inside}"


def _without_shortcut_norm(state: dict[str, Tensor], block: str) -> dict[str, Tensor]:
    """Fold the norm of a shortcut that keeps its channels into what stands beside it."""
    conv, norm, last = (
        f"{block}{name}" for name in ("branch1_conv.weight", "branch1_norm", "branch2.norm_c.bias")
    )
    if f"{norm}.weight" not in state or conv not in state or last not in state:
        return state
    weight = state[conv]
    if weight.shape[0] != weight.shape[1]:
        return state
    leaves = ("weight", "bias", "running_mean", "running_var")
    scale, shift, mean, variance = (state[f"{norm}.{leaf}"].double() for leaf in leaves)
    gain = scale / (variance + EPS).sqrt()
    changed = {name: value for name, value in state.items() if not name.startswith(f"{norm}.")}
    changed[conv] = (weight.double() * gain.view(-1, 1, 1, 1, 1)).to(weight.dtype)
    changed[last] = (state[last].double() + shift - mean * gain).to(weight.dtype)
    return changed
