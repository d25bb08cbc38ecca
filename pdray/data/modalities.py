"""The modalities of a recording: one line each, from which everything that lists them is derived.

A modality is a run of items along time: pictures, sound, tracks or numbers. To add one, write the
functions that make it in a file of their own and give it a line in :data:`MODALITIES`; a section of
settings of its own goes into :class:`pdray.data.store.settings.Recipe`, a column of its own into
:class:`pdray.data.cohort.manifest.Recording`.

Several tables of features may stand side by side. Each has a column of the manifest and a modality
of the same name: ``features.smile``, ``features.speech``.
"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import WrapValidator

Kind = Literal["pictures", "sound", "tracks", "numbers"]
FEATURES = "features"  # a table of numbers, and the first part of the name of each further table
_TABLE = re.compile(rf"{FEATURES}(\.[a-z][a-z0-9_]*)?")

# Kinetics, red green blue, pixels in 0..1: get_mean_std('kinetics') of Hara's 3D-ResNets-PyTorch,
# with which the published weights were trained.
KINETICS_MEAN = (0.4345, 0.4051, 0.3775)
KINETICS_STD = (0.2768, 0.2713, 0.2737)
NO_MOTION = 128


class PictureSpec(NamedTuple):
    """How training varies the pictures of a modality and how a network takes them.

    A network takes ``(code / unit - mean) / std`` of each uint8 code.

    Attributes:
        mean: Of each channel.
        std: Of each channel.
        unit: The code that counts as 1.
        nothing: Code of what a shift uncovers.
        has_colour: Whether brightness, contrast and saturation change it.
        negated: Channels whose sign changes in a mirrored picture: code c becomes 256 - c.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    unit: int = 255
    nothing: int = 0
    has_colour: bool = False
    negated: tuple[int, ...] = ()

    @property
    def num_channels(self) -> int:
        """Number of channels C."""
        return len(self.mean)


class ModalitySpec(NamedTuple):
    """What is known of a modality.

    Attributes:
        kind: What its items are.
        needs: Field of :class:`pdray.data.cohort.manifest.Recording` that must be there.
        steps: ``module:function`` of each step that makes it, imported when it is made; it takes
            what the step before returned and ``section`` of the settings. The first one takes, and
            the last one returns, for pictures an iterator of (seconds, (H, W, C) uint8), for tracks
            a ``Track``; for sound from a ``Waveform`` to times (N,) and items (N, ...); for numbers
            from a path (of a table: path and recording id) to (seconds, item), or (seconds, item,
            names). Steps that several modalities begin with run once. Without a step it is the
            source itself.
        placed_by: Track whose points place its pictures in the frames; its file must be there too.
            The first step takes :class:`pdray.data.store.full_frames.FullFrames`, frames of the
            size that they are recorded in. Other pictures are made in one pass over the frames as
            ``decode`` draws them.
        section: Section of the settings that the steps take; None is none.
        keys: Settings of the section that its items depend on; None is all of them.
        picture: How pictures are varied and taken.
        is_whole: Whether one item is the whole recording, so that it has no place beside frames.
        is_slow: Whether making it takes minutes a recording.
        is_embedded: Whether a pretrained network (settings section ``embedding``) describes it.
    """

    kind: Kind
    needs: str
    steps: tuple[str, ...] = ()
    placed_by: str | None = None
    section: str | None = None
    keys: tuple[str, ...] | None = None
    picture: PictureSpec | None = None
    is_whole: bool = False
    is_slow: bool = False
    is_embedded: bool = False

    @property
    def is_colour(self) -> bool:
        """Whether its items are pictures in colours."""
        return self.picture is not None and self.picture.has_colour


_COLOURS = PictureSpec(KINETICS_MEAN, KINETICS_STD, has_colour=True)
_MOTION = PictureSpec((NO_MOTION / 127,) * 2, (1.0,) * 2, unit=127, nothing=NO_MOTION)


class _Specs(dict[str, ModalitySpec]):
    """The table below, in which each further table of features is found as ``features`` is."""

    def __missing__(self, modality: str) -> ModalitySpec:
        if not is_table(modality):
            raise KeyError(modality)
        return self[FEATURES]._replace(needs=modality)


MODALITIES: dict[str, ModalitySpec] = _Specs()
MODALITIES |= {
    "rgb": ModalitySpec("pictures", "video", picture=_COLOURS),
    "portraits": ModalitySpec(
        "pictures",
        "video",
        ("pdray.data.face.portraits:cut_portraits",),
        placed_by="landmarks",
        section="portraits",
        picture=_COLOURS,
    ),
    "flow": ModalitySpec(
        "pictures",
        "video",
        ("pdray.data.media.flow:motion", "pdray.data.media.flow:flow_codes"),
        section="flow",
        keys=("method", "bound"),
        picture=_MOTION._replace(negated=(0,)),
        is_slow=True,
    ),
    "boundaries": ModalitySpec(
        "pictures",
        "video",
        ("pdray.data.media.flow:motion", "pdray.data.media.flow:boundary_codes"),
        section="flow",
        keys=("method", "boundary_bound"),
        picture=_MOTION,
        is_slow=True,
    ),
    "waveform": ModalitySpec("sound", "sound", is_whole=True, is_embedded=True),
    "log_mel": ModalitySpec("sound", "sound", ("pdray.data.media.audio:log_mel",), section="audio"),
    "mfcc": ModalitySpec("sound", "sound", ("pdray.data.media.audio:mfcc",), section="audio"),
    "landmarks": ModalitySpec("tracks", "landmarks", ("pdray.data.face.shape:as_landmarks",)),
    "regions": ModalitySpec("tracks", "regions", ("pdray.data.face.shape:as_regions",)),
    "intensities": ModalitySpec(
        "numbers", "intensities", ("pdray.data.face.intensities:log_intensities",)
    ),
    FEATURES: ModalitySpec("numbers", FEATURES, ("pdray.data.tables.features:feature_items",)),
}


def is_table(name: str) -> bool:
    """Whether a modality, or a column of a manifest, is a table of features."""
    return _TABLE.fullmatch(name) is not None


def _or_table(value: Any, of_names: Any) -> Any:
    return value if isinstance(value, str) and is_table(value) else of_names(value)


# Of the names in the table, so that settings refuse any other and list these; what a fit sees may
# be several of them.
if TYPE_CHECKING:
    Modality = str
    SeenModality = str
else:
    Modality = Annotated[Literal[tuple(MODALITIES)], WrapValidator(_or_table)]
    SeenModality = Annotated[Literal[(*MODALITIES, "several")], WrapValidator(_or_table)]


def named(names: Iterable[str]) -> tuple[Modality, ...]:
    """Return modalities, with those of its kind in the place of the name of a kind."""
    return tuple(
        modality
        for name in names
        for modality in ([one for one in MODALITIES if MODALITIES[one].kind == name] or [name])
    )


def in_order(modalities: Iterable[str]) -> tuple[Modality, ...]:
    """Return different modalities in the order of the table, further tables of features last."""
    chosen = set(modalities)
    known = [one for one in MODALITIES if one in chosen]
    return (*known, *sorted(one for one in chosen if one not in known))


PICTURES, SOUND = named(["pictures"]), named(["sound"])
TRACKS, NUMBERS = named(["tracks"]), named(["numbers"])
EMBEDDED = tuple(modality for modality, spec in MODALITIES.items() if spec.is_embedded)


def picture_spec(modality: Modality) -> PictureSpec:
    """Return how pictures of a modality are varied and taken.

    Raises:
        ValueError: If its items are no pictures.
    """
    spec = MODALITIES[modality].picture if modality in MODALITIES else None
    if spec is None:
        raise ValueError(f"modality '{modality}' is no picture; expected {', '.join(PICTURES)}")
    return spec


def needed_fields(modalities: Iterable[Modality]) -> tuple[str, ...]:
    """Return the fields of :class:`Recording` that must be there for modalities, each once."""
    specs = [MODALITIES[one] for one in modalities]
    needs = [(one.needs, one.placed_by and MODALITIES[one.placed_by].needs) for one in specs]
    return tuple(dict.fromkeys(field for fields in needs for field in fields if field))
