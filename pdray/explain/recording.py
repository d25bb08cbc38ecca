"""Returns the class activation maps of one recording as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.data.batches.snippet import snippet_shape
from pdray.errors import DivergedError, SettingsError
from pdray.explain.activation import class_activation, map_layers, on_frames
from pdray.explain.held_out import HeldOut, Seen, choose, may_be_shown, open_held_out, see
from pdray.explain.place import no_maps
from pdray.training.objective import TrainingLoss, num_outputs


@dataclass(frozen=True)
class RecordingMaps:
    """The class probabilities of a recording, and the activation maps of one class.

    Attributes:
        seen: The input of the network; ``seen.seconds`` (F,) are the times of the maps, and
            ``seen.pictures`` (F, H, W, 3) uint8 their frames, which show the patient; None where
            nobody is to be shown.
        probabilities: (K,) float64, the mean over the recording's snippets.
        shown_class: The explained class, 0..K-1.
        maps: (F, H, W) float32 by layer, at least 0, without a unit.
        synthetic: Whether the cohort is SYNTHETIC.
    """

    seen: Seen
    probabilities: NDArray[np.float64]
    shown_class: int
    maps: Mapping[str, NDArray[np.float32]]
    synthetic: bool

    @property
    def predicted(self) -> int:
        """The class with the highest probability."""
        return int(self.probabilities.argmax())


def explain_recording(
    study: Path | str,
    recording_id: str,
    *,
    layers: Sequence[str] | None = None,
    shown_class: int | None = None,
    show_people: bool = False,
) -> RecordingMaps:
    """Compute class activation maps (Grad-CAM) of a study's winner on one test recording.

    Writes nothing, except the recording's frames into the frame store if they are missing.
    ``jobs/explain.py`` makes videos and tables of all test recordings.

    Args:
        study: The study's folder, ``<output>/studies/<name>``.
        recording_id: Id of a test recording.
        layers: Layers of the network to map; None: all that have a map.
        shown_class: Class to explain; None: the predicted class.
        show_people: Whether pictures of a person are returned, if ``consent_pictures`` is yes in
            the manifest; those of SYNTHETIC recordings always are.

    Returns:
        The maps, the probabilities and the input of the network.

    Raises:
        StudyError: If the study has no winner, or the recording is not a test recording.
        SettingsError: If the winner has no maps, or there is no such layer or class.
        DivergedError: If a map is not finite.

    Example:
        >>> found = pdray.explain_recording(
        ...     "output/studies/demo", "S001_V1_face_interview", layers=["layer4"]
        ... )
        >>> found.maps["layer4"].shape == found.seen.pictures.shape[:3]
        True
        >>> round(float(found.probabilities.sum()), 6)
        1.0
    """
    held = open_held_out(Path(study))
    if not held.config.entry.has_maps:
        raise SettingsError(f"there are no maps: {no_maps(held.config)[0]}")
    (row,) = choose(held, [recording_id])
    chosen = map_layers(held.network, layers)
    check_class(held, shown_class)
    pictures = bool(may_be_shown(held, [row], show_people=show_people))
    return map_recording(held, see(held, row, pictures=pictures), chosen, shown_class)


def check_class(held: HeldOut, shown_class: int | None) -> None:
    """Refuse a class that the study does not have."""
    if shown_class is not None and not 0 <= shown_class < held.studied.num_classes:
        raise SettingsError(
            f"shown_class: got {shown_class}; choose a class of the study, "
            f"0..{held.studied.num_classes - 1}"
        )


def map_recording(
    held: HeldOut, seen: Seen, layers: Sequence[str], shown_class: int | None
) -> RecordingMaps:
    """Compute the maps of a recording that is already read.

    Args:
        held: The study.
        seen: The recording.
        layers: Layers of the network.
        shown_class: Class to explain; None: the predicted class.

    Raises:
        DivergedError: If a map is not finite.
    """
    parts = snippet_parts(held, seen)
    chances = _probabilities(held, parts)
    shown = int(chances.argmax()) if shown_class is None else shown_class
    maps = _activations(held, seen, parts, shown, layers)
    return RecordingMaps(seen, chances, shown, maps, held.synthetic)


def snippet_parts(held: HeldOut, seen: Seen) -> list[Tensor]:
    """Return a recording's snippets on the network's device, in parts as large as in training."""
    device = next(held.network.parameters()).device
    at_once = held.config.optim.batch_size * snippet_shape(held.config.snippet)[0]
    return [part.to(device) for part in torch.split(seen.snippets, at_once)]


def class_score(outputs: Tensor, number: int, held: HeldOut) -> Tensor:
    """Return the (B,) score of a class: its logit, or with ordered thresholds its log probability.

    Args:
        outputs: (B, J) outputs of the network.
        number: The class, 0..K-1.
        held: The study, whose loss decides the kind of outputs.
    """
    if num_outputs(held.config.loss, held.studied.num_classes) == held.studied.num_classes:
        return outputs[:, number]
    return TrainingLoss(held.config.loss, None).log_probabilities(outputs)[:, number]


def _activations(
    held: HeldOut, seen: Seen, parts: Sequence[Tensor], shown: int, layers: Sequence[str]
) -> dict[str, NDArray[np.float32]]:
    """Return the (F, H, W) activation of a class on the recording's frames, by layer."""
    found: dict[str, list[Tensor]] = {name: [] for name in layers}
    for part in parts:
        score = partial(class_score, number=shown, held=held)
        for name, one in class_activation(held.network, part, score, layers).items():
            found[name].append(one.cpu())
    height, width = (int(length) for length in seen.snippets.shape[3:])
    activations = {
        name: on_frames(torch.cat(some), seen.indices, height=height, width=width)
        for name, some in found.items()
    }
    wrong = [name for name, one in activations.items() if not np.isfinite(one).all()]
    if wrong:
        raise DivergedError(
            f"recording {seen.recording.recording_id}: the activation of {wrong[0]} is not finite; "
            "leave this layer or this recording out"
        )
    return activations


@torch.inference_mode()
def _probabilities(held: HeldOut, parts: Sequence[Tensor]) -> NDArray[np.float64]:
    """Return the (K,) mean class probabilities of a recording's snippets."""
    meaning = TrainingLoss(held.config.loss, None)
    outputs = torch.cat([held.network(part) for part in parts]).double()
    means: NDArray[np.float64] = meaning.log_probabilities(outputs).exp().mean(0).cpu().numpy()
    return means
