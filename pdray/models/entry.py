"""Entry of a model in the registry: what is known of a model before it is built."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Annotated, Any, Literal, Union

from pydantic import Discriminator, Field, Tag

from pdray.config import Settings

TRAINING = ("snippet", "augment", "segments", "loss", "optim", "stream", "pretrained")


class ModelSettings(Settings):
    """Parent of the settings of every model, the section ``model`` of a study.

    The properties say what follows from the settings; the entry says what holds for all of them.
    """

    name: str

    @property
    def modalities(self) -> tuple[Any, ...]:
        """Modalities of its branches; empty where the model reads the modality of the fit."""
        return ()

    @property
    def has_frozen_weights(self) -> bool:
        """Whether the model reads pictures through weights that nothing trains."""
        return False

    @property
    def keeps_maps(self) -> bool:
        """Whether enough stages are frozen to compute their maps once, in place of pictures."""
        return False


def _none(*_: Any, **__: Any) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """Declaration of one model; the defaults are those of a network on pictures.

    Attributes:
        settings: Class of its settings, the section ``model`` of a study.
        description: What the model is, in one line of help and of the page of models.
        builder: ``module:function`` that builds a network of its settings, imported when it is
            called; empty for a model that learns at once.
        learner: ``module:PARTS`` of what learns at once, imported when it is fitted; empty for a
            network that learns in steps.
        sees: Values of ``modality`` that it accepts; ``pictures`` stands for all of them.
        beside: Modalities that it takes beside the one of the fit.
        branches: Modalities of which it reads some; it then accepts a recording with any of them.
        sections: Sections of a fit that it uses, beside those that all have. ``optim.epochs=1``
            is a key that must have this value, ``augment.crop_size`` one that alone is used.
        network: Where the settings of the network that sees pictures stand; None without one.
        faults: ``faults(settings, num_frames=, height=, width=)`` lists what its network cannot
            take; :mod:`pdray.models.layers.limits` says more.
        checks: ``checks(fit)`` lists what is wrong across the sections of a fit.
        loop: ``steps``: batches in epochs, which workers may share, then weights; ``once``:
            all recordings at once, in one worker, from what the store keeps.
        has_maps: Whether activation maps of its network can be drawn.
        small: Settings of a small example.
    """

    settings: type[ModelSettings]
    description: str
    builder: str = ""
    learner: str = ""
    sees: tuple[str, ...] = ("pictures",)
    beside: tuple[Literal["regions"], ...] = ()
    branches: tuple[str, ...] = ()
    sections: tuple[str, ...] = TRAINING
    network: str | None = "model"
    faults: Callable[..., list[str]] = _none
    checks: Callable[[Any], list[str]] = _none
    loop: Literal["steps", "once"] = "steps"
    has_maps: bool = True
    small: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.settings.model_fields["name"].default, str):
            raise ValueError(f"{self.settings.__name__}.name: its default must be the short key")
        made = self.builder if self.loop == "steps" else self.learner
        if ":" not in made:
            raise ValueError(
                f"{self.name}: got {made!r}; expected a builder as 'module:function', or "
                "of loop='once' a learner"
            )
        if self.loop == "once" and "optim" in self.sections:
            raise ValueError(
                f"{self.name} learns at once: name the sections it uses, with optim.epochs=1"
            )

    @property
    def name(self) -> str:
        """Short key of the model, the value of ``model.name``."""
        return str(self.settings.model_fields["name"].default)

    @property
    def keeps_weights(self) -> bool:
        """Whether a fit leaves weights of its own."""
        return self.loop == "steps"

    def build(self, settings: ModelSettings, num_classes: int, num_channels: int = 3) -> Any:
        """Build the network; its weights come from the ambient torch generator.

        Args:
            settings: Without a fault in ``faults``.
            num_classes: Classes K, at least 2; 1 under ordered thresholds.
            num_channels: 3 colours, or 2 components of flow.

        Returns:
            A ``torch.nn.Module`` with ``features``, ``classify``, ``num_features`` and
            ``MAP_LAYERS``.
        """
        from pdray.models.layers.time_padding import guard_time_axis

        network = resolve_name(self.builder)(settings, num_classes, num_channels)
        guard_time_axis(network)  # gradients of convolutions over time are right on every processor
        return network


def settings_union(entries: Iterable[ModelEntry], *, default: str) -> Any:
    """Return the type of a section that is of one of several models, chosen by its ``name``.

    Args:
        entries: Models, in the order in which help lists them.
        default: Name that a section without one has.
    """

    def key(section: Any) -> str:
        if isinstance(section, Mapping):
            return str(section.get("name", default))
        return str(getattr(section, "name", default))

    members: list[Any] = [_tagged(one) for one in entries]
    either: Any = Union[tuple(members)]  # noqa: UP007 - made when it is run
    return _annotated(either, Discriminator(key))


def _tagged(entry: ModelEntry) -> Any:
    tagged = _annotated(entry.settings, Tag(entry.name))
    return _annotated(tagged, Field(description=entry.description))


def _annotated(annotated: Any, extra: Any) -> Any:
    return Annotated[annotated, extra]
