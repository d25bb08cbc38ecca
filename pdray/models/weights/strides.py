"""Checks of strides, which the tensors of a weights file do not show."""

from math import prod
from typing import Any

from torch import nn

from pdray.models.weights.pixels import State
from pdray.models.weights.published import (
    RESNET2D,
    Pair,
    is_vggface2,
    num_classes,
)


def stride_faults(network: nn.Module, state: State, pair: Pair) -> list[str]:
    """List why a 2D ResNet-50 file has its strides in other layers than the network.

    A bottleneck strides at its 3x3 convolution in torchvision, at its first 1x1 in VGGFace2.
    """
    is_caffe = _strides_early(network, pair)
    if is_caffe is None:
        return []
    if is_vggface2(state, pair.old) and not is_caffe:
        return [
            "the file is from VGGFace2 (8631 classes), whose blocks stride at their first "
            "convolution, but the blocks of the network stride at their second, as in torchvision. "
            "The weights would load and give useless features; set model.layout=vggface2 of "
            "frame_resnet"
        ]
    if num_classes(state, pair.old) == 1000 and is_caffe:
        return [
            "the file is from ImageNet (1000 classes), whose blocks stride at their second "
            "convolution, but the blocks of the network stride at their first, like VGGFace2's. "
            "The weights would load and give useless features; set model.layout=torchvision"
        ]
    return []


def stride_notes(network: nn.Module, state: State, pair: Pair) -> list[str]:
    """List notes where the strides of the network differ, or may differ, from the file's."""
    notes = []
    is_caffe = _strides_early(network, pair)
    if is_caffe is not None and num_classes(state, pair.old) not in (1000, 8631):
        where = "first convolution, like VGGFace2's" if is_caffe else "second, like torchvision's"
        notes.append(
            "note: the file has neither 1000 nor 8631 classes, so its strides are unknown; pdray "
            f"assumes those of the network: at the {where}"
        )
    places, published = pair.new.family.time_strides
    used = "".join(
        str(_time_stride(network.get_submodule(f"{pair.new.prefix}{place}"))) for place in places
    )
    if used != published:
        notes.append(
            f"note: published weights were trained with the time strides {published}, the network "
            f"has {used}; use a file that was trained with {used}"
        )
    return notes


def _strides_early(network: nn.Module, pair: Pair) -> bool | None:
    """Return whether 2D bottlenecks stride at their first convolution; None for other blocks."""
    name = f"{pair.new.prefix}layer2.0"
    if pair.new.family is not RESNET2D or f"{name}.conv3" not in dict(network.named_modules()):
        return None
    stride: Any = network.get_submodule(f"{name}.conv1").stride
    return bool(max(stride) > 1)


def _time_stride(module: nn.Module) -> int:
    """Return the time stride of a layer, or of all convolutions of a residual block together."""
    stride: Any = getattr(module, "stride", None)
    if stride is None:
        convs = [child for name, child in module.named_children() if name.startswith("conv")]
        return prod(_time_stride(conv) for conv in convs)
    return int(stride[0]) if isinstance(stride, tuple) else int(stride)
