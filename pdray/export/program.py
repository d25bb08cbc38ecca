"""The models of a study as one program of torch.export: stored pictures or numbers to scores.

The program takes one snippet at a time, since a fixed size lets every network be exported. What
evaluation does before and after a network is inside: crop, normalisation, thresholds.
Letters: N snippet (1), T frame, H height, W width, C channel, M model, K class, D number.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.export import ExportedProgram, export

from pdray.data.batches.augment import Crop, central_view
from pdray.data.batches.normalise import colour_factors
from pdray.data.modalities import picture_spec
from pdray.errors import StudyError
from pdray.training.objective import TrainingLoss
from pdray.training.settings import FitConfig

_TOLD = 200  # letters of torch's reason
# What torch notes of the source of each step: lines of code with the path of their file.
_SOURCES = ("stack_trace", "nn_module_stack", "source_fn_stack", "torch_fn", "from_node", "custom")


class Pictures(nn.Module):
    """Crops and normalises pictures as evaluation does."""

    gain: Tensor
    offset: Tensor

    def __init__(self, config: FitConfig) -> None:
        super().__init__()
        shape = (1, 1, config.decode.height, config.decode.width, 3)
        view = central_view(torch.empty(shape, dtype=torch.uint8, device="meta"), config.augment)
        self.crop = view.crops[0] if view is not None and view.crops else Crop(0, 0, *shape[2:4])
        gain, offset, _ = colour_factors(picture_spec(config.modality))
        self.register_buffer("gain", gain)
        self.register_buffer("offset", offset)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, C, T, height, width) float32 of (N, T, H, W, C) uint8."""
        top, left, height, width = self.crop
        seen = frames[:, :, top : top + height, left : left + width]
        return (seen.float() * self.gain + self.offset).permute(0, 4, 1, 2, 3)


class NetworkScores(nn.Module):
    """Log probabilities of the classes by several networks."""

    def __init__(self, networks: Mapping[str, nn.Module], config: FitConfig) -> None:
        super().__init__()
        self.pictures = Pictures(config)
        self.networks = nn.ModuleDict(networks)
        self.objective = TrainingLoss(config.loss, None)

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, M, K) float32 of (N, T, H, W, C) uint8 pictures."""
        x = self.pictures(frames)
        scores = [self.objective.log_probabilities(one(x)) for one in self.networks.values()]
        return torch.stack(scores, dim=1)


class Linear(nn.Module):
    """Linear scores of standardised numbers, in float64.

    Args:
        scaler: Fitted.
        weight: (K, D) of standardised numbers.
        bias: (K,); minus infinity for a class that was not in training.
        filled: (D,) value in place of an absent number; None: none is absent.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor
    scale: Tensor
    filled: Tensor | None

    def __init__(
        self, scaler: StandardScaler, weight: Tensor, bias: Tensor, filled: Tensor | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weight.double())
        self.register_buffer("bias", bias.double())
        self.register_buffer("mean", torch.tensor(scaler.mean_, dtype=torch.float64))
        self.register_buffer("scale", torch.tensor(scaler.scale_, dtype=torch.float64))
        self.register_buffer("filled", filled)

    @classmethod
    def of_regression(
        cls,
        scaler: StandardScaler,
        fitted: LogisticRegression,
        num_classes: int,
        filled: Tensor | None = None,
    ) -> "Linear":
        """Return the scores of a fitted logistic regression of K classes."""
        weight, bias = (torch.tensor(one) for one in (fitted.coef_, fitted.intercept_))
        if len(weight) == 1:  # of two classes, scikit-learn keeps the difference
            weight = torch.cat([torch.zeros_like(weight), weight])
            bias = torch.cat([torch.zeros_like(bias), bias])
        whole = torch.zeros((num_classes, weight.shape[1]), dtype=torch.float64)
        scores = torch.full((num_classes,), -torch.inf, dtype=torch.float64)
        places = torch.tensor(fitted.classes_)
        whole[places], scores[places] = weight, bias
        return cls(scaler, whole, scores, filled)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, K) float64 scores of (N, D) numbers."""
        x = x.double()
        if self.filled is not None:
            x = torch.where(x.isnan(), self.filled, x)
        scores: Tensor = (x - self.mean) / self.scale @ self.weight.T + self.bias
        return scores


class LinearScores(nn.Module):
    """Scores by several linear models of the same numbers."""

    def __init__(self, heads: Mapping[str, nn.Module], reader: nn.Module | None = None) -> None:
        super().__init__()
        self.reader, self.heads = reader, nn.ModuleDict(heads)

    def forward(self, x: Tensor) -> Tensor:
        """Return (N, M, K) float64 of (N, D) numbers, or of what the reader takes."""
        numbers = x if self.reader is None else self.reader(x)
        return torch.stack([head(numbers) for head in self.heads.values()], dim=1)


class Features(nn.Module):
    """The features of a frozen network."""

    def __init__(self, network: nn.Module, config: FitConfig) -> None:
        super().__init__()
        self.pictures, self.network = Pictures(config), network

    def forward(self, frames: Tensor) -> Tensor:
        """Return (N, D) float32 of (N, T, H, W, C) uint8 pictures."""
        features: Tensor = self.network.features(self.pictures(frames))  # type: ignore[operator]
        return features


@dataclass(frozen=True)
class Made:
    """A program, and what a reader of the folder must know of it.

    Attributes:
        program: Without the places of the source code that torch notes.
        tensors: Its weights by name.
    """

    program: ExportedProgram
    tensors: Mapping[str, Tensor]


def make_program(module: nn.Module, example: Tensor, name: str) -> Made:
    """Return a module as a program.

    Args:
        module: From an input to (1, M, K) scores.
        example: An input without anything of a person: zeros.
        name: Name of the model, for the message.

    Raises:
        StudyError: If torch.export refuses it.
    """
    module = module.eval().requires_grad_(False)
    try:
        with torch.no_grad():
            module(example)  # what a network computes once (phrases) is a constant then
            program = export(module, (example,))
    except Exception as error:
        told = " ".join(str(error).split())[:_TOLD]
        raise StudyError(
            f"{name} cannot be exported: torch.export refuses it: {told}; use jobs/predict.py, or "
            "train another model"
        ) from error
    for part in program.graph_module.modules():
        for node in part.graph.nodes if isinstance(part, torch.fx.GraphModule) else ():
            for key in _SOURCES:
                node.meta.pop(key, None)
    return Made(program, dict(module.state_dict()))


def safe_names(names: Sequence[str]) -> list[str]:
    """Return names of models as torch takes them: fold_0 of fold:0."""
    return [one.replace(":", "_") for one in names]
