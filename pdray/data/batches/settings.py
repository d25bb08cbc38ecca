"""Settings of batches: how pictures vary, what is computed once, how snippets are read."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import Field, field_validator

from pdray.config import Settings

_WHOLE = (1.0,)


class AugmentConfig(Settings):
    """How much training snippets vary; validation and test never do."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip [0..1]")
    brightness: float = Field(
        0.2, ge=0, lt=1, description="pixels times a factor within 1 -+ this [0..1)"
    )
    contrast: float = Field(
        0.2, ge=0, lt=1, description="distance to the mean colour times 1 -+ this [0..1)"
    )
    max_shift: float = Field(
        0.04, ge=0, le=0.5, description="largest shift, as a part of the height and width [0..0.5]"
    )
    crop_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        _WHOLE,
        min_length=1,
        description="height and width of a training crop, as parts of the largest box of the "
        "seen shape, falling; the motion boundary paper has [1.0, 0.875, 0.75, 0.66], as "
        "TSN has (0..1]",
    )
    crop_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None,
        description="height and width that the network sees: training crops are resized to it, "
        "evaluation takes the centre as it is; null: the whole picture [px]",
    )
    saturation: float = Field(
        0.0, ge=0, lt=1, description="distance to the grey picture times 1 -+ this [0..1)"
    )

    @field_validator("crop_scales")
    @classmethod
    def _falling(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        """Neighbours in the list are what height and width may differ by."""
        if any(later >= earlier for earlier, later in pairwise(scales)):
            raise ValueError(f"got {list(scales)}; expected falling parts, the largest first")
        return scales

    @property
    def crops(self) -> bool:
        """Whether training sees parts of the picture."""
        return self.crop_size is not None or self.crop_scales != _WHOLE


def seen_size(config: AugmentConfig, *, height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) that a network sees of stored pictures of a size [px]."""
    return config.crop_size or (height, width)


def augment_faults(config: AugmentConfig, *, height: int, width: int) -> list[str]:
    """List what cannot be done to stored pictures of a size [px]."""
    seen_height, seen_width = seen_size(config, height=height, width=width)
    if seen_height <= height and seen_width <= width:
        return []
    return [
        f"augment.crop_size: height {seen_height}, width {seen_width} px does not fit into "
        f"pictures of decode.height {height}, decode.width {width} px; lower crop_size, or store "
        "larger pictures"
    ]


class FeaturesConfig(Settings):
    """Whether the maps of frozen stages are computed once, and of what."""

    cache: Literal["auto", "off"] = Field(
        "auto",
        description="auto: maps of three frozen stages and more are computed once for each view of "
        "a recording, kept in the store and read in the place of its pictures; off: computed at "
        "every step, of pictures that augment.* changes anew",
    )
    views: int = Field(
        2,
        ge=1,
        le=64,
        description="kept views of a recording, of which training draws one an epoch [count]: the "
        "plain one, that evaluation sees; its mirror image; from the third on fixed draws of "
        "augment.*, which has no other effect then",
    )


@dataclass(frozen=True)
class Views:
    """The views of every recording.

    Attributes:
        augment: What the views from the third on are draws of.
        count: How many there are, at least 1.
        size: (height, width) of the stored pictures [px].
    """

    augment: AugmentConfig
    count: int
    size: tuple[int, int]

    @property
    def seen_size(self) -> tuple[int, int]:
        """Return the (height, width) of what the network sees [px]."""
        return seen_size(self.augment, height=self.size[0], width=self.size[1])


class StreamConfig(Settings):
    """How snippets reach a worker."""

    reader: Literal["auto", "local", "ray"] = Field(
        "auto",
        description="local: in the worker's process; ray: through Ray Data; auto: local for one "
        "worker on a frame store, else ray",
    )
    threads: int = Field(2, ge=1, le=64, description="reading threads of the local reader [count]")
    cpus_per_task: float = Field(
        0.25, gt=0, description="CPUs that a Ray Data reading task reserves [count]"
    )
    tasks: int = Field(
        4, ge=1, description="Ray Data reading tasks of a worker's stream at once [count]"
    )
    stall_seconds: float = Field(
        900.0, gt=0, description="a stream without any progress for so long stops the trial [s]"
    )

    def chosen(self, *, num_workers: int, stored: bool) -> Literal["local", "ray"]:
        """Return the reader that ``auto`` stands for."""
        if self.reader == "auto":
            return "local" if num_workers == 1 and stored else "ray"
        return self.reader
