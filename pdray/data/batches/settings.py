"""Settings of batches: choice of frames, augmentation, cached features, reading."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from pdray.config import Settings

_WHOLE = (1.0,)
# Defaults of the dense views, from the motion boundary paper; other values are refused without
# dense views.
_NUM_VIEWS, _VIEW_FRAMES = 64, 16


class SnippetConfig(Settings):
    """Settings of the choice of frames for the snippets of a recording."""

    mode: Literal["uniform", "segments"] = Field(
        "uniform",
        description="uniform: frames spread over the whole recording; "
        "segments: a run of frames from each of num_segments equal parts",
    )
    num_frames: int = Field(
        32, ge=1, description="frames per snippet; 1 to 64 in the papers [frames]"
    )
    num_segments: int = Field(1, ge=1, description="mode segments: snippets per recording")
    stride: int = Field(
        1, ge=1, description="mode segments and dense views: frame step inside a run [frames]"
    )
    views: Literal["same", "dense"] = Field(
        "same",
        description="snippets in evaluation; same: the central snippets of mode; dense: num_views "
        "runs spread evenly over the recording",
    )
    num_views: int = Field(_NUM_VIEWS, ge=1, description="dense views: runs per recording")
    view_frames: int | None = Field(
        _VIEW_FRAMES, ge=1, description="dense views: frames per run; null: num_frames [frames]"
    )
    short: Literal["loop", "refuse"] = Field(
        "loop",
        description="if a recording has too few frames; loop: repeat frames in time order "
        "(uniform: each in place; segments: again from the first frame); refuse: raise an error",
    )
    order: Literal["time", "shuffled", "one_frame"] = Field(
        "time",
        description="order of the frames; controls without motion: shuffled, or one_frame repeated",
    )

    @model_validator(mode="after")
    def _no_idle_setting(self) -> Self:
        """Refuse a setting that would have no effect."""
        dense = self.views == "dense"
        if self.mode == "uniform" and dense and self.num_segments != 1:
            raise ValueError(
                f"num_segments {self.num_segments} needs mode segments; set mode=segments or "
                "num_segments=1"
            )
        if self.mode == "uniform" and not dense and (self.num_segments, self.stride) != (1, 1):
            raise ValueError(
                f"num_segments {self.num_segments} and stride {self.stride} need mode segments; "
                "set mode=segments, or set both to 1"
            )
        if not dense and (self.num_views, self.view_frames) != (_NUM_VIEWS, _VIEW_FRAMES):
            raise ValueError(
                f"num_views {self.num_views} and view_frames {self.view_frames} need views dense; "
                f"set views=dense, or leave them at {_NUM_VIEWS} and {_VIEW_FRAMES}"
            )
        return self


class AugmentConfig(Settings):
    """Settings of the random changes of training snippets; validation and test have none."""

    flip: float = Field(0.5, ge=0, le=1, description="probability of a left-right flip [0..1]")
    brightness: float = Field(
        0.2, ge=0, lt=1, description="factor of the pixels, drawn from 1 -+ this [0..1)"
    )
    contrast: float = Field(
        0.2, ge=0, lt=1, description="factor of the contrast, drawn from 1 -+ this [0..1)"
    )
    max_shift: float = Field(
        0.04, ge=0, le=0.5, description="largest shift, as a share of height and width [0..0.5]"
    )
    crop_scales: tuple[Annotated[float, Field(gt=0, le=1)], ...] = Field(
        _WHOLE,
        min_length=1,
        description="possible heights and widths of a training crop, as shares of the largest "
        "possible crop, largest first; motion boundary paper and TSN: [1.0,0.875,0.75,0.66] (0..1]",
    )
    crop_size: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1)]] | None = Field(
        None,
        description="height and width of the network's input: training crops are resized to it, "
        "evaluation uses the centre unresized; null: the whole picture [px]",
    )
    saturation: float = Field(
        0.0, ge=0, lt=1, description="factor of the saturation, drawn from 1 -+ this [0..1)"
    )

    @field_validator("crop_scales")
    @classmethod
    def _falling(cls, scales: tuple[float, ...]) -> tuple[float, ...]:
        """Height and width of a crop differ by one step in this list at most."""
        if any(later >= earlier for earlier, later in pairwise(scales)):
            raise ValueError(f"{list(scales)} is not sorted; list the largest first, each once")
        return scales

    @property
    def crops(self) -> bool:
        """Whether training uses parts of the picture."""
        return self.crop_size is not None or self.crop_scales != _WHOLE


def seen_size(config: AugmentConfig, *, height: int, width: int) -> tuple[int, int]:
    """Return the (height, width) of the network's input from stored pictures of a size [px]."""
    return config.crop_size or (height, width)


def augment_faults(
    config: AugmentConfig,
    *,
    height: int,
    width: int,
    keys: Sequence[str] = ("decode.height", "decode.width"),
) -> list[str]:
    """List settings that do not fit stored pictures of a size [px], which ``keys`` set."""
    seen_height, seen_width = seen_size(config, height=height, width=width)
    if seen_height <= height and seen_width <= width:
        return []
    sizes = dict(zip(keys, (height, width), strict=True))
    return [
        f"augment.crop_size: height {seen_height}, width {seen_width} px does not fit into "
        f"pictures of {', '.join(f'{key} {size}' for key, size in sizes.items())} px; lower "
        "augment.crop_size, or "
        f"raise {' and '.join(sizes)}"
    ]


class FeaturesConfig(Settings):
    """Settings of cached outputs of frozen layers."""

    cache: Literal["auto", "off"] = Field(
        "auto",
        description="auto: the outputs of three or more frozen stages or of a frozen image encoder "
        "are computed once per view of a recording, cached in the store and read instead of "
        "pictures; off: they are computed at every step from newly augmented pictures",
    )
    views: int = Field(
        2,
        ge=1,
        le=64,
        description="cached views per recording, of which training draws one per epoch [count]: "
        "first the plain one, also used in evaluation; second its mirror image; from the third on "
        "fixed draws of augment.*, which then has no other effect",
    )


@dataclass(frozen=True)
class Views:
    """Cached views per recording.

    Attributes:
        augment: Settings of the draws from the third view on.
        count: Number of views, at least 1.
        size: (height, width) of the stored pictures [px].
    """

    augment: AugmentConfig
    count: int
    size: tuple[int, int]

    @property
    def seen_size(self) -> tuple[int, int]:
        """(height, width) of the network's input [px]."""
        return seen_size(self.augment, height=self.size[0], width=self.size[1])


class StreamConfig(Settings):
    """Settings of reading snippets."""

    reader: Literal["auto", "local", "ray"] = Field(
        "auto",
        description="local: read in the worker's process; ray: read through Ray Data; auto: local "
        "for one worker on a frame store, else ray",
    )
    threads: int = Field(2, ge=1, le=64, description="local reader: reading threads [count]")
    cpus_per_task: float = Field(0.25, gt=0, description="ray reader: CPUs per task [count]")
    tasks: int = Field(4, ge=1, description="ray reader: tasks that run at once per worker [count]")
    stall_seconds: float = Field(
        900.0, gt=0, description="longest time without any data before the trial is stopped [s]"
    )

    def chosen(self, *, num_workers: int, stored: bool) -> Literal["local", "ray"]:
        """Return the reader to use, with ``auto`` resolved."""
        if self.reader == "auto":
            return "local" if num_workers == 1 and stored else "ray"
        return self.reader
