"""Strides that a file was trained with and its tensors do not show."""

from math import prod
from typing import Any

from torch import nn

from pdray.models.weights.published import (
    RESNET2D,
    Pair,
    State,
    is_vggface2,
    num_classes,
)


def stride_faults(network: nn.Module, state: State, pair: Pair) -> list[str]:
    """Refuse a ResNet-50 of pictures whose strides lie elsewhere than in the network.

    torchvision's bottlenecks stride at the 3x3 convolution, VGGFace2's at the first 1x1.
    """
    is_caffe = _strides_early(network, pair)
    if is_caffe is None:
        return []
    if is_vggface2(state, pair.old) and not is_caffe:
        return [
            "the file is of VGGFace2 (8631 classes), whose blocks stride at their first "
            "convolution; those of the network stride at their second, as torchvision's: the "
            "weights would fit and mean nothing; set model.layout=vggface2 of frame_resnet"
        ]
    if num_classes(state, pair.old) == 1000 and is_caffe:
        return [
            "the file is of ImageNet (1000 classes), whose blocks stride at their second "
            "convolution; those of the network stride at their first, as VGGFace2's: the weights "
            "would fit and mean nothing; set model.layout=torchvision"
        ]
    return []


def stride_notes(network: nn.Module, state: State, pair: Pair) -> list[str]:
    """Say where the network strides otherwise than the file did, or may have done."""
    notes = []
    is_caffe = _strides_early(network, pair)
    if is_caffe is not None and num_classes(state, pair.old) not in (1000, 8631):
        where = "first convolution, as VGGFace2's" if is_caffe else "second, as torchvision's"
        notes.append(
            f"note: the file is neither of 1000 nor of 8631 classes, so it does not tell its "
            f"strides; taken to be the network's: at a block's {where}"
        )
    places, published = pair.new.family.time_strides
    used = "".join(
        str(_time_stride(network.get_submodule(f"{pair.new.prefix}{place}"))) for place in places
    )
    if used != published:
        notes.append(
            f"note: published weights have the time strides {published}, the network has {used}; "
            "right for a file that was trained with those"
        )
    return notes


def _strides_early(network: nn.Module, pair: Pair) -> bool | None:
    """Return whether bottlenecks of pictures stride at their first convolution; None of others."""
    name = f"{pair.new.prefix}layer2.0"
    if pair.new.family is not RESNET2D or f"{name}.conv3" not in dict(network.named_modules()):
        return None
    stride: Any = network.get_submodule(f"{name}.conv1").stride
    return bool(max(stride) > 1)


def _time_stride(module: nn.Module) -> int:
    """Return the time stride of a layer, or of all convolutions of a residual block."""
    stride: Any = getattr(module, "stride", None)
    if stride is None:
        convs = [child for name, child in module.named_children() if name.startswith("conv")]
        return prod(_time_stride(conv) for conv in convs)
    return int(stride[0]) if isinstance(stride, tuple) else int(stride)
