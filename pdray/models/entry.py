"""Entry of a model in the registry: its facts that are needed before it is built."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import Annotated, Any, ClassVar, Literal, Union

from pydantic import Discriminator, Field, Tag

from pdray.config import Settings

TRAINING = ("snippet", "augment", "segments", "loss", "optim", "stream", "pretrained")


class ModelSettings(Settings):
    """Parent class of the settings of every model: the section ``model`` of a study.

    The properties depend on the settings. Facts that hold for all settings are in the entry.

    Attributes:
        kept_keys: Settings of the frozen layers whose outputs may be cached.
    """

    kept_keys: ClassVar[tuple[str, ...]] = ()

    name: str

    @property
    def modalities(self) -> tuple[Any, ...]:
        """Modalities of its branches; empty if the model reads the modality of the fit."""
        return ()

    @property
    def has_frozen_weights(self) -> bool:
        """Whether the model reads pictures through weights that are never trained."""
        return False

    @property
    def keeps_maps(self) -> bool:
        """Whether enough layers are frozen to compute their outputs once and cache them."""
        return False

    @property
    def idle(self) -> frozenset[str]:
        """Names of its settings without effect, since another setting rules them out."""
        return frozenset()

    @property
    def kept_facts(self) -> Mapping[str, Any]:
        """What the cached outputs depend on beside the weights of the frozen layers."""
        return {}

    @property
    def kept_classes(self) -> int:
        """Classes of a network that is built for its frozen layers alone."""
        return 2

    def start_notes(self, num_classes: int, *, is_random: bool) -> list[str]:
        """Return lines about the network before training, beside those about its weights file.

        Args:
            num_classes: Classes K.
            is_random: Whether no file gives its weights.
        """
        return []


def _none(*_: Any, **__: Any) -> list[str]:
    return []


@dataclass(frozen=True, kw_only=True)
class ModelEntry:
    """Declaration of one model; the defaults describe a network on pictures.

    Attributes:
        settings: Class of its settings, the section ``model`` of a study.
        description: One line for ``--help`` and the page of models.
        builder: ``module:function`` that builds the network from its settings, imported when
            called; empty for an estimator.
        learner: ``module:PARTS`` of an estimator, or ``module:build`` of a translator (see
            :mod:`pdray.training.translators.method`), imported when it is fitted; empty for a
            network.
        loader: ``module:function`` that loads published weights, as
            :func:`pdray.models.weights.pretrained.load_pretrained` does.
        sees: Values of ``modality`` that it accepts; ``pictures`` means all kinds of pictures.
        beside: Modalities that it needs in addition to that of the fit.
        branches: Modalities that its branches can read; one of them is enough for a recording.
        sections: Sections of a fit that it uses, beyond those that every model uses.
            ``optim.epochs=1``: this key must have this value. ``augment.crop_size``: of the section
            only this key is used, and others that are listed so.
        network: Key of the settings of its network on pictures; None if it has none.
        faults: ``faults(settings, num_frames=, height=, width=)`` lists the values that its
            network cannot take (see :mod:`pdray.models.layers.limits`).
        class_faults: ``class_faults(settings, num_classes)`` lists why its network cannot have K
            classes.
        checks: ``checks(fit)`` lists contradictions between the sections of a fit.
        loop: ``steps``: it learns from batches in epochs, on one worker or more, and leaves
            weights. ``once``: it learns from all recordings at once, on one worker. ``translate``:
            it learns from pictures of two kinds to change one into the other, in epochs, on one
            worker or more, and leaves weights; it predicts no class.
        is_guided: Whether a translator learns from a classifier of pictures (``synthesis.guide``),
            and needs one.
        fewest_subjects: Subjects of each class that it needs to learn from.
        has_maps: Whether activation maps of its network can be drawn.
        small: Settings of a small example.
    """

    settings: type[ModelSettings]
    description: str
    builder: str = ""
    learner: str = ""
    loader: str = "pdray.models.weights.pretrained:load_pretrained"
    sees: tuple[str, ...] = ("pictures",)
    beside: tuple[Literal["regions"], ...] = ()
    branches: tuple[str, ...] = ()
    sections: tuple[str, ...] = TRAINING
    network: str | None = "model"
    faults: Callable[..., list[str]] = _none
    class_faults: Callable[..., list[str]] = _none
    checks: Callable[[Any], list[str]] = _none
    loop: Literal["steps", "once", "translate"] = "steps"
    is_guided: bool = False
    fewest_subjects: int = 0
    has_maps: bool = True
    small: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not isinstance(self.settings.model_fields["name"].default, str):
            raise ValueError(f"{self.settings.__name__}.name: its default must be the short key")
        made = self.builder if self.loop == "steps" else self.learner
        if ":" not in made:
            raise ValueError(
                f"{self.name}: got {made!r}; give a builder as 'module:function', or with "
                "loop='once' or loop='translate' a learner"
            )
        if self.loop == "once" and "optim" in self.sections:
            raise ValueError(
                f"{self.name} learns from all recordings at once: list the sections that it uses, "
                "with optim.epochs=1"
            )

    @property
    def name(self) -> str:
        """Short key of the model, the value of ``model.name``."""
        return str(self.settings.model_fields["name"].default)

    @property
    def keeps_weights(self) -> bool:
        """Whether a fit leaves trained weights."""
        return self.loop != "once"

    @property
    def predicts(self) -> bool:
        """Whether a fit predicts the classes of recordings."""
        return self.loop != "translate"

    def build(self, settings: ModelSettings, num_classes: int, num_channels: int = 3) -> Any:
        """Build the network; its weights are drawn from torch's global generator.

        Args:
            settings: Settings for which ``faults`` returns nothing.
            num_classes: Classes K, at least 2; 1 under ordered thresholds.
            num_channels: 3 colours, or 2 components of flow.

        Returns:
            A ``torch.nn.Module`` with ``features``, ``classify``, ``num_features`` and
            ``MAP_LAYERS``.
        """
        from pdray.models.layers.time_padding import guard_time_axis

        network = resolve_name(self.builder)(settings, num_classes, num_channels)
        guard_time_axis(network)  # gradients of convolutions over time are right on every processor
        network.register_load_state_dict_pre_hook(_accept_zero_pixels)
        return network


def _accept_zero_pixels(network: Any, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Prepare a network for weights with zero pixels; few weights have any, so import it late."""
    if any(name.endswith(".zero_pixel") for name in state):
        from pdray.models.layers.zero_pixel import accept_zero_pixels

        accept_zero_pixels(network, state, prefix)


def settings_union(entries: Iterable[ModelEntry], *, default: str) -> Any:
    """Return the type of a settings section whose ``name`` chooses one of several models.

    Args:
        entries: Models, in the order of ``--help``.
        default: Name that is used if the section has none.
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
