"""Saved networks as they see single pictures: a judge, features that tell people apart, or FID's.

A network is the refit of a study on modality ``portraits``, or a file of published weights:
VGGFace2's ResNet-50, which recognises faces, or InceptionV3's weights of 2015, for FID.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from pdray.atomic import file_digest
from pdray.data.batches.augment import central_view
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.snippet import snippet_shape
from pdray.errors import StudyError
from pdray.predict.models import Model, find_models, read_network
from pdray.predict.studied import Studied, open_study
from pdray.training.frozen.features import Backbone
from pdray.training.frozen.keep import weights_digest
from pdray.training.objective import TrainingLoss
from pdray.training.settings import FitConfig

Pictures = NDArray[np.uint8]
Numbers = NDArray[np.float64]

MODALITY = "portraits"
_FACES_SIDE = 224  # of the pictures that VGGFace2's network was trained on [px]
_AT_ONCE = 32  # pictures
_CPU = torch.device("cpu")


@dataclass(frozen=True, eq=False)
class PictureNetwork:
    """A network in evaluation mode.

    Attributes:
        name: Of its study or its file, for tables.
        digest: SHA-256 of its weights and of the way it sees pictures.
        size: Height and width of the pictures that it sees [px]; None: any.
        is_fid: Whether distances of its features may be called FID.
        file: SHA-256 of a published file; empty of a study.
        studied: Its study; None of a published file.
        model: Its model of that study; None of a published file.
        see: (N, D) features of (N, S, S, 3) uint8 pictures.
        judge: (N, K) class probabilities of these; None of a published file.
    """

    name: str
    digest: str
    size: int | None
    is_fid: bool
    file: str
    studied: Studied | None
    model: Model | None
    see: Callable[[Tensor], Tensor]
    judge: Callable[[Tensor], Tensor] | None

    def features(self, pictures: Pictures) -> Numbers:
        """Return (N, D) features of (N, S, S, 3) RGB pictures.

        Raises:
            StudyError: If the pictures are of another size than those of its study.
        """
        return self._all(self.see, pictures)

    def probabilities(self, pictures: Pictures) -> Numbers:
        """Return (N, K) class probabilities of (N, S, S, 3) RGB pictures.

        Raises:
            StudyError: If the pictures are of another size, or the network tells no classes.
        """
        if self.judge is None:
            raise StudyError(
                f"judge: {self.name} is a file of weights without classes; give a study"
            )
        return self._all(self.judge, pictures)

    @torch.inference_mode()
    def _all(self, function: Callable[[Tensor], Tensor], pictures: Pictures) -> Numbers:
        if self.size is not None and pictures.shape[1:3] != (self.size, self.size):
            raise StudyError(
                f"{self.name} learnt from portraits of {self.size} px, and these have "
                f"{pictures.shape[1]}; set portraits.size={self.size}, or use another study"
            )
        parts = [function(part).double().cpu() for part in _parts(pictures)]
        values: Numbers = torch.cat(parts).numpy()
        if not np.isfinite(values).all():
            wrong = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
            raise StudyError(f"{self.name}: numbers of picture {wrong} are not finite")
        return values


def open_network(place: Path, key: str, *, device: torch.device = _CPU) -> PictureNetwork:
    """Open a network.

    Args:
        place: Folder of a finished study, or a file of published weights.
        key: The setting that names it, for messages.
        device: Where it runs.

    Raises:
        PdrayError: If there is no such study or file, the study has no weights or is on another
            modality, or the file is of another family.
    """
    if place.is_dir():
        return _of_study(open_study(place), key, device)
    return _of_file(place, key, device)


def _of_study(studied: Studied, key: str, device: torch.device) -> PictureNetwork:
    config = studied.config
    if config.sees != (MODALITY,) or not config.entry.keeps_weights or config.network is None:
        raise StudyError(
            f"{key}: study {studied.name} has a {config.model.name} on {', '.join(config.sees)}; "
            f"give a study of a network with modality={MODALITY}"
        )
    (model,) = find_models(studied, "refit")
    made = picture_network(
        studied.name,
        read_network(studied, model),
        config,
        size=studied.store.recipe.portraits.size,
        device=device,
    )
    return replace(made, studied=studied, model=model)


def picture_network(
    name: str, network: nn.Module, config: FitConfig, *, size: int, device: torch.device = _CPU
) -> PictureNetwork:
    """Return a trained network as it sees single pictures, of no study.

    Args:
        name: For tables.
        network: In evaluation mode.
        config: Settings of its fit.
        size: Height and width of the pictures that it learnt from [px].
        device: Where it runs.
    """
    network = network.to(device)
    loss = TrainingLoss(config.loss, None)
    num_frames = snippet_shape(config.snippet, training=False)[1]

    def seen(pictures: Tensor) -> Tensor:
        snippets = pictures[:, None].expand(-1, num_frames, -1, -1, -1).contiguous().to(device)
        view = central_view(snippets, config.augment)
        return normalise_frames(snippets, augmentation=view, modality=config.modality)

    return PictureNetwork(
        name, _digest(network, f"{num_frames} {config.augment!r}"), size, False, "", None, None,
        lambda pictures: cast(Backbone, network).features(seen(pictures)),
        lambda pictures: loss.log_probabilities(network(seen(pictures))).exp(),
    )  # fmt: skip


def _of_file(path: Path, key: str, device: torch.device) -> PictureNetwork:
    from pdray.models.networks.fid_inception import is_inception, read_fid_inception
    from pdray.models.weights.checkpoint import read_checkpoint
    from pdray.models.weights.published import find_places, is_vggface2

    state = read_checkpoint(path)
    if is_inception(state):
        fid = read_fid_inception(path).to(device)
        return PictureNetwork(
            "InceptionV3", _digest(fid, "fid"), None, True, file_digest(path), None, None,
            lambda pictures: fid(_unit(pictures).to(device)), None,
        )  # fmt: skip
    if not any(is_vggface2(state, place) for place in find_places(state)):
        raise StudyError(
            f"{key}: {path.name} is neither VGGFace2's ResNet-50 nor FID's InceptionV3 of 2015; "
            "give one of these files, or the folder of a study"
        )
    faces = _faces(path).to(device)
    return PictureNetwork(
        "VGGFace2", _digest(faces, "faces"), None, False, file_digest(path), None, None,
        lambda pictures: cast(Backbone, faces).features(_enlarged(pictures).to(device)), None,
    )  # fmt: skip


def _faces(path: Path) -> nn.Module:
    """Return the network of VGGFace2, which takes pixels on pdray's scale."""
    from pdray.training.network import make_network

    facts: dict[str, Any] = {
        "model.depth": 50, "model.layout": "vggface2", "pretrained": str(path),
        "pretrained_pixels": "vggface2", "decode.height": _FACES_SIDE, "decode.width": _FACES_SIDE,
    }  # fmt: skip
    with torch.random.fork_rng(devices=[]):  # it draws a head, which is not used
        return make_network("frame_resnet", facts).eval()


def _enlarged(pictures: Tensor) -> Tensor:
    """Return (N, 3, 1, 224, 224) normalised pictures."""
    sized = functional.interpolate(
        pictures.permute(0, 3, 1, 2).float(), (_FACES_SIDE, _FACES_SIDE), mode="bilinear",
        align_corners=False, antialias=True,
    )  # fmt: skip
    back = sized.round().clamp(0, 255).byte().permute(0, 2, 3, 1)[:, None].contiguous()
    return normalise_frames(back)


def _unit(pictures: Tensor) -> Tensor:
    return pictures.permute(0, 3, 1, 2).float() / 255.0


def _parts(pictures: Pictures) -> Iterator[Tensor]:
    for start in range(0, len(pictures), _AT_ONCE):
        yield torch.from_numpy(np.ascontiguousarray(pictures[start : start + _AT_ONCE]))


def _digest(network: nn.Module, view: str) -> str:
    digest = hashlib.sha256(weights_digest(sorted(network.state_dict().items())).encode())
    digest.update(view.encode())
    return digest.hexdigest()
