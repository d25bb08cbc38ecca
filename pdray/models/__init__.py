"""Networks, estimators and translators by name.

One table names all models, one per line. Every list of models is derived from it. Models of
plug-ins come last.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from pdray.models.entry import ModelEntry, ModelSettings, settings_union
from pdray.plugins import parts

if TYPE_CHECKING:  # 0.4 s, for a table alone
    import pandas as pd

DEFAULT = "tsa"
DEFAULT_BACKBONE = "frame_resnet"

# Networks learn from batches of snippets.
_NETWORKS = {
    "tsa": "pdray.models.networks.tsa_settings:ENTRY",
    "resnet3d": "pdray.models.networks.resnet3d_settings:ENTRY",
    "i3d": "pdray.models.networks.i3d_settings:ENTRY",
    "r3d": "pdray.models.networks.torchvision_settings:R3D",
    "s3d": "pdray.models.networks.torchvision_settings:S3D",
    "slowfast": "pdray.models.networks.pytorchvideo_settings:SLOWFAST",
    "x3d": "pdray.models.networks.pytorchvideo_settings:X3D",
    "c2d": "pdray.models.networks.pytorchvideo_settings:C2D",
    "frame_resnet": "pdray.models.networks.frame_resnet_settings:ENTRY",
    "two_stream": "pdray.models.networks.frame_resnet_settings:TWO_STREAM",
    "region_attention": "pdray.models.networks.region_attention_settings:ENTRY",
    "expression_clip": "pdray.models.networks.expression_clip_settings:ENTRY",
}
# Estimators learn from all recordings at once, from the numbers that describe each of them.
_ESTIMATORS = {
    "landmark_head": "pdray.models.estimators.landmark_settings:HEAD",
    "landmark_choice": "pdray.models.estimators.landmark_settings:CHOICE",
    "landmark_mlp": "pdray.models.estimators.landmark_settings:NETWORK",
    "audio_mlp": "pdray.models.estimators.audio_mlp_settings:ENTRY",
    "fusion": "pdray.models.estimators.fusion_settings:ENTRY",
    "linear_probe": "pdray.models.estimators.linear_probe:ENTRY",
    "feature_head": "pdray.models.estimators.feature_settings:HEAD",
    "feature_choice": "pdray.models.estimators.feature_settings:CHOICE",
    "motion_linear": "pdray.models.estimators.motion_linear:ENTRY",
    "intensity_head": "pdray.models.estimators.intensity_settings:ENTRY",
}
# Translators learn from single pictures to change those of class 0 into those of another class.
_TRANSLATORS = {
    "cyclegan": "pdray.models.networks.translator_settings:CYCLEGAN",
    "cut": "pdray.models.networks.translator_settings:CUT",
    "hrfae": "pdray.models.networks.face_editor_settings:ENTRY",
}

if TYPE_CHECKING:
    NETWORKS: dict[str, ModelEntry]
    """Entry of every network under its short key."""
    MODELS: dict[str, ModelEntry]
    """Entry of every model under its short key, networks first."""
    # A type checker cannot follow types that are built at run time.
    BackboneConfig = ModelSettings
    """The section ``model.backbone``: any network on pictures alone."""
    ModelConfig = ModelSettings
    """The section ``model`` of a study: any model."""


def __getattr__(name: str) -> Any:
    """Make the tables on first use, when the module of a plug-in is already imported."""
    if name not in ("NETWORKS", "MODELS", "BackboneConfig", "ModelConfig"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made = globals()
    own = {*_NETWORKS, *_ESTIMATORS, *_TRANSLATORS}
    added = parts("pdray.models", ModelEntry, own, check=_other_name)
    networks = {key: resolve_name(place) for key, place in _NETWORKS.items()}
    networks |= {key: one for key, one in added.items() if one.loop == "steps"}
    made["NETWORKS"] = networks
    made["BackboneConfig"] = settings_union(
        [one for one in networks.values() if not one.beside], default=DEFAULT_BACKBONE
    )
    # Below ``BackboneConfig``: the settings of an estimator may contain those of a network.
    others = {key: resolve_name(place) for key, place in (_ESTIMATORS | _TRANSLATORS).items()}
    made["MODELS"] = networks | others | added
    made["ModelConfig"] = settings_union(made["MODELS"].values(), default=DEFAULT)
    return made[name]


_KINDS = {"steps": "network", "once": "estimator", "translate": "translator"}


def _other_name(name: str, entry: ModelEntry) -> str:
    return "" if entry.name == name else f"its settings have the name '{entry.name}'"


def list_models() -> "pd.DataFrame":
    """List all models: networks, estimators, then translators.

    Returns:
        A data frame with one row per model, whose index is ``name``, the value of ``model.name``.
        Columns: ``kind``, "network" (learns in steps), "estimator" (learns from all recordings at
        once) or "translator" (learns to change pictures); ``description``; ``modality`` that it
        accepts, as text ("pictures" is rgb, portraits, flow or boundaries); ``has_maps``,
        whether class activation maps of it can be drawn.

    Example:
        >>> models = pdray.list_models()
        >>> models.loc["tsa", "kind"], models.loc["landmark_head", "modality"]
        ('network', 'landmarks')
        >>> models.query("kind == 'network' and has_maps").index[:3].tolist()
        ['tsa', 'resnet3d', 'i3d']
    """
    import pandas as pd

    from pdray.models import MODELS  # made at its first use

    rows = [
        {
            "name": name,
            "kind": _KINDS[entry.loop],
            "description": entry.description,
            "modality": ", ".join(entry.sees),
            "has_maps": entry.has_maps,
        }
        for name, entry in MODELS.items()
    ]
    return pd.DataFrame(rows).set_index("name")
