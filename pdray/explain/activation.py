"""Computes class activation maps of the layers of a network, by Grad-CAM.

Source: Selvaraju et al. 2017 (Grad-CAM, arXiv:1610.02391), section 3, of any layer that gives a
map. With y the score of a class, A_k channel k of the layer's output, and Z its number of cells:
    alpha_k = 1/Z * sum over cells of dy / dA_k         (Eq. 1)
    L = ReLU(sum over k of alpha_k * A_k)               (Eq. 2)
Differs: a cell is a place and a time step, so Z counts time steps too. For networks on single
frames, the frames of a snippet are joined into one map over time.
A network whose cells differ (``MAPS_BY_CELL``: a transformer knows its places) gets the map of
Draelos and Carin 2020 (HiResCAM, arXiv:2011.08891): dy / dA_k of each cell in place of alpha_k. The
mean over cells would put the map where the picture has the channel, not where the class reads it.

The hypomimia abstract shows such maps of the intermediate layers of its network and does not say
how it makes them. After the ReLU only parts that support the class are left. A map has no unit: of
maps from two layers or two networks, only the locations can be compared, not the values.

Letters: B snippet, T frame, H height, W width; T', H', W' of a layer's own map.
"""

from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import interpolate

from pdray.config import nearest
from pdray.errors import SettingsError, refuse
from pdray.training.frozen.features import as_map

Score = Callable[[Tensor], Tensor]
"""Turns (B, J) outputs of a network into the (B,) score of the explained class."""


def map_layers(network: nn.Module, asked: Sequence[str] | None) -> tuple[str, ...]:
    """Return the layers to map, early to late.

    Args:
        network: With ``MAP_LAYERS``.
        asked: Some of their names, in any order; None: all.

    Raises:
        SettingsError: If a name is unknown or the list is empty; lists the valid names.
    """
    known: tuple[str, ...] = tuple(cast(Any, network).MAP_LAYERS)
    if asked is None:
        return known
    right = f"choose from the layers of this network: {', '.join(known)}"
    faults = [f"got '{name}'; {nearest(name, known)}{right}" for name in asked if name not in known]
    refuse(faults or ([] if asked else [f"got none; {right}"]), SettingsError, "layers")
    return tuple(name for name in known if name in asked)


def class_activation(
    network: nn.Module, x: Tensor, score: Score, layers: Sequence[str]
) -> dict[str, Tensor]:
    """Compute the maps of one class at some layers, in one pass forward and one backward.

    Args:
        network: In evaluation mode; a snippet's output must not depend on the others. Its
            parameters get no gradient. With ``MAPS_BY_CELL`` if its cells are not alike.
        x: (B, C, T, H, W) normalised snippets.
        score: Returns the class's score before the softmax; differentiable.
        layers: Names of submodules that give (B, K, T', H', W'), or (B T', K, H', W') of a network
            on single frames; each is used once in a pass.

    Returns:
        By layer (B, T', H', W') of the network's dtype, at least 0, without a unit.

    Example:
        >>> import torch
        >>> small = {"model.width_factor": 0.125, "decode.height": 48, "decode.width": 48}
        >>> network = pdray.make_network("tsa", small).eval()
        >>> x = torch.rand(1, 3, 32, 48, 48)
        >>> maps = pdray.class_activation(network, x, lambda logits: logits[:, 1], ["layer2"])
        >>> maps["layer2"].ndim, bool((maps["layer2"] >= 0).all())
        (4, True)
    """
    caught: dict[str, Tensor] = {}

    def catcher(name: str) -> Callable[[Any, Any, Tensor], Tensor]:
        def catch(_module: Any, _inputs: Any, output: Tensor) -> Tensor:
            caught[name] = output
            # A later layer may change its input in place, so give it a copy.
            return output.clone()

        return catch

    hooks = [network.get_submodule(one).register_forward_hook(catcher(one)) for one in layers]
    try:
        with torch.enable_grad():
            # The input requires a gradient, so there is a graph even without trainable parameters.
            total = score(network(x.detach().requires_grad_())).sum()
            gradients = torch.autograd.grad(total, [caught[name] for name in layers])
    finally:
        for hook in hooks:
            hook.remove()
    maps, by_cell = {}, getattr(network, "MAPS_BY_CELL", False)
    for name, gradient in zip(layers, gradients, strict=True):
        slope, value = (as_map(one, len(x)) for one in (gradient, caught[name].detach()))
        alpha = slope if by_cell else slope.mean(dim=(2, 3, 4), keepdim=True)
        maps[name] = (alpha * value).sum(dim=1).relu()
    return maps


def on_frames(
    maps: Tensor, indices: NDArray[np.int64], *, height: int, width: int
) -> NDArray[np.float32]:
    """Turn the maps of a recording's snippets into maps of its frames.

    A map is resized to its snippet by trilinear interpolation; its cells cover time and picture
    evenly. A frame that is in several snippets gets the mean of its maps.

    Args:
        maps: (S, T', H', W') float, of S snippets.
        indices: (S, T) index in the recording of each frame of a snippet.
        height: Rows of the pictures [px].
        width: Columns of the pictures [px].

    Returns:
        (F, height, width) float32, of the F different frames in rising order.
    """
    frames, places = np.unique(indices, return_inverse=True)
    total = np.zeros((len(frames), height, width), np.float32)
    size = (indices.shape[1], height, width)
    for own, rows in zip(maps.float().cpu(), places.reshape(indices.shape), strict=True):
        stretched = interpolate(own[None, None], size, mode="trilinear", align_corners=False)
        np.add.at(total, rows, stretched[0, 0].numpy())
    counts = np.bincount(places.ravel()).astype(np.float32)
    means: NDArray[np.float32] = total / counts[:, None, None]
    return means
