"""Networks and estimators by name.

The one table of all models, a line each, from which every list of models is derived.
"""

from pkgutil import resolve_name
from typing import TYPE_CHECKING

from pdray.models.entry import ModelEntry, ModelSettings, settings_union

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
}
# Estimators learn from all recordings at once, from the numbers that describe each of them.
_ESTIMATORS = {
    "landmark_head": "pdray.models.estimators.landmark_settings:HEAD",
    "landmark_choice": "pdray.models.estimators.landmark_settings:CHOICE",
    "landmark_mlp": "pdray.models.estimators.landmark_settings:NETWORK",
    "audio_mlp": "pdray.models.estimators.audio_mlp_settings:ENTRY",
    "fusion": "pdray.models.estimators.fusion_settings:ENTRY",
    "linear_probe": "pdray.models.estimators.linear_probe:ENTRY",
}

NETWORKS: dict[str, ModelEntry] = {name: resolve_name(place) for name, place in _NETWORKS.items()}
"""Entry of every network under its short key."""

# Types that are made when this runs mean nothing to a type checker.
if TYPE_CHECKING:
    BackboneConfig = ModelSettings
    ModelConfig = ModelSettings
else:
    # The section ``model.backbone``: any network on pictures alone.
    BackboneConfig = settings_union(
        [one for one in NETWORKS.values() if not one.beside], default=DEFAULT_BACKBONE
    )

# Below ``BackboneConfig``, since an estimator may stand on one of the networks.
MODELS: dict[str, ModelEntry] = NETWORKS | {
    name: resolve_name(place) for name, place in _ESTIMATORS.items()
}
"""Entry of every model under its short key, networks first."""

if not TYPE_CHECKING:
    # The section ``model`` of a study: any model.
    ModelConfig = settings_union(MODELS.values(), default=DEFAULT)
