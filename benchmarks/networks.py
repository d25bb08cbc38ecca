"""Networks to measure: pdray's and reference implementations, and one training step of each.

The references are built as their packages document, with the same weights. If a head averages over
a window for 224 px, the window is cut to the smaller map, which the packages would refuse.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from pdray.models import NETWORKS
from pdray.models.layers.vision import load_torchvision

Pack = Callable[[Tensor], list[Tensor]]
"""Makes the list that a network of several paths is given."""

PLAIN, LAST = torch.contiguous_format, torch.channels_last_3d
NUM_CLASSES = 400  # of Kinetics, as the references have them
NEED_PYTORCHVIDEO = (
    "pytorchvideo is not installed; in the checkout: pip install -c constraints.txt -e '.[bench]'"
)


@dataclass(frozen=True)
class Scale:
    """How much is measured.

    Attributes:
        is_quick: Tiny networks and one round, to see that everything runs; the figures mean
            nothing.
        threads: Of one process; more than one is measured in wall time.
    """

    is_quick: bool = False
    threads: int = 1

    def rounds(self, wanted: int) -> int:
        """Return how often each way is measured."""
        return 1 if self.is_quick else wanted


@dataclass(frozen=True)
class Case:
    """A network and the snippets it is given.

    Attributes:
        key: Of ``NETWORKS``.
        batch: Snippets.
        frames: Of a snippet.
        side: Height and width [px].
        settings: Of the model, beside its defaults.
    """

    key: str
    batch: int
    frames: int
    side: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.key} {self.batch}x{self.frames}x{self.side}"

    def build(self) -> nn.Module:
        """Return the network, always of the same weights, without dropout: it hides errors."""
        torch.manual_seed(0)
        model = NETWORKS[self.key]
        fields = {"dropout": 0.0, **self.settings}
        network: nn.Module = model.build(model.settings.model_validate(fields), NUM_CLASSES)
        return network

    def draw(self) -> Tensor:
        """Return normalised snippets (B, C, T, H, W), SYNTHETIC noise."""
        generator = torch.Generator().manual_seed(1)
        shape = (self.batch, 3, self.frames, self.side, self.side)
        return torch.randn(shape, generator=generator)


def training_step(
    network: nn.Module,
    x: Tensor,
    dtype: torch.dtype,
    order: torch.memory_format,
    *,
    pack: Pack | None = None,
    is_compiled: bool = False,
) -> Callable[[], None]:
    """Return forward, loss, backward and SGD with momentum, as a call.

    Args:
        network: Its weights are moved to the order of axes, and it is trained.
        x: (B, C, T, H, W) float32 snippets on the network's device.
        dtype: float32, or bfloat16 for autocast over float32 weights.
        order: Of the axes in memory, of weights and snippets.
        pack: What the network is given of the snippets; the snippets themselves without it.
        is_compiled: Whether the network goes through ``torch.compile``.
    """
    network.to(memory_format=order).train()  # type: ignore[call-overload]
    call: Callable[[Tensor | list[Tensor]], Tensor] = (
        torch.compile(network) if is_compiled else network
    )
    snippets = x.to(dtype).contiguous(memory_format=order)
    paths = None if pack is None else pack(snippets)
    target = torch.arange(len(x), device=x.device)
    optimizer = torch.optim.SGD(network.parameters(), 1e-4, momentum=0.9)
    device = x.device.type

    def step() -> None:
        with torch.autocast(device, dtype, enabled=dtype != torch.float32):
            # A list of its own: PyTorchVideo's networks write their maps into it.
            logits = call(snippets if paths is None else list(paths)).float()
        functional.cross_entropy(logits, target).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    return step


@dataclass(frozen=True)
class Reference:
    """A published implementation of one of our networks.

    Attributes:
        name: Package and model.
        case: What is measured.
        build: Makes it, or returns None where its package is not installed.
        prefix: What our names of parameters have in front of its.
        windows: Kernels of its average pools in order, where they are cut to the map.
        pack: What it is given of the snippets; the snippets themselves without it.
        goal: Least ratio of its time to ours.
    """

    name: str
    case: Case
    build: Callable[[], nn.Module | None]
    prefix: str = ""
    windows: tuple[tuple[int, int, int], ...] = ()
    pack: Pack | None = None
    goal: float = 1.0

    def pair(self) -> tuple[nn.Module, nn.Module] | None:
        """Return our network and the reference, of the same weights; None where it is lacking."""
        reference = self.build()
        if reference is None:
            return None
        pools = [part for part in reference.modules() if isinstance(part, nn.AvgPool3d)]
        for pool, window in zip(pools, self.windows, strict=False):
            pool.kernel_size = window
        for part in reference.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.0
        ours = self.case.build()
        state = {f"{self.prefix}{name}": part for name, part in reference.state_dict().items()}
        ours.load_state_dict(state)
        return ours, reference


def torchvision_model(name: str) -> Callable[[], nn.Module]:
    """Return a call that builds a video model of torchvision."""

    def build() -> nn.Module:
        models = load_torchvision().models.video
        network: nn.Module = getattr(models, name)(num_classes=NUM_CLASSES)
        return network

    return build


def pytorchvideo_model(name: str, **settings: object) -> Callable[[], nn.Module | None]:
    """Return a call that builds a model of PyTorchVideo's hub, None where it is not installed."""

    def build() -> nn.Module | None:
        load_torchvision()  # the package imports it, and it may need help
        try:
            hub = import_module("pytorchvideo.models.hub")
        except ImportError:
            return None
        network: nn.Module = getattr(hub, name)(**settings)
        return network

    return build


def two_paths(x: Tensor) -> list[Tensor]:
    """Return what PyTorchVideo's SlowFast is given: every fourth frame, and all."""
    order = LAST if x.is_contiguous(memory_format=LAST) else PLAIN
    return [x[:, :, ::4].contiguous(memory_format=order), x]


def references(*, is_quick: bool) -> Sequence[Reference]:
    """Return the references with the sizes they are measured at."""
    quick = Reference(
        "torchvision s3d",
        Case("s3d", 2, 9, 33),
        torchvision_model("s3d"),
        prefix="net.",
        windows=((1, 1, 1),),
    )
    if is_quick:
        return (quick,)
    return (
        Reference("torchvision r3d_18", Case("r3d", 2, 32, 64), torchvision_model("r3d_18")),
        # Two time steps in layer4, where oneDNN's own gradient is wrong and the right one costs
        # (models/layers/time_padding.py): shown, but no goal.
        Reference(
            "torchvision r3d_18", Case("r3d", 2, 16, 80), torchvision_model("r3d_18"), goal=0.0
        ),
        Reference(
            "torchvision s3d",
            Case("s3d", 2, 16, 112),
            torchvision_model("s3d"),
            prefix="net.",
            windows=((2, 3, 3),),
        ),
        Reference(
            "PyTorchVideo slowfast_r50",
            Case("slowfast", 2, 16, 112),
            pytorchvideo_model("slowfast_r50"),
            windows=((4, 4, 4), (16, 4, 4)),
            pack=two_paths,
        ),
        Reference(
            "PyTorchVideo x3d_xs",
            Case("x3d", 2, 4, 160),
            pytorchvideo_model("x3d_xs", head_activation=None),
        ),
        Reference(
            "PyTorchVideo c2d_r50",
            Case("c2d", 2, 8, 112),
            pytorchvideo_model("c2d_r50"),
            windows=((4, 4, 4),),
        ),
    )
