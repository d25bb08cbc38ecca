"""Features of sound from a pretrained network: one vector per recording, computed once.

Source: YouTubePD, section 5.2 and D.1: the outputs of a spectrogram masked autoencoder or of
wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477), averaged over the whole recording; 768 numbers
for base-size networks. Differs: the masked autoencoder of YouTubePD is that of Niizumi et al. 2022
(arXiv:2204.12260), which has no form in transformers; here it is that of Huang et al. 2022
(arXiv:2207.06405), of other spectrograms, pieces and training. Through transformers, from a local
folder only, which holds ``config.json``, ``preprocessor_config.json`` and ``model.safetensors`` (or
``pytorch_model.bin``, read as plain tensors). Three kinds, told by ``model_type``:

- ``wav2vec2``: the last hidden states (Wav2Vec2Model).
- ``vit_mae``: the encoder of a masked autoencoder (ViTMAEModel) with nothing masked, on pictures of
  one channel, time x mel bands: what AudioMAE is. Its files have other names and are converted
  first; those of pictures (three channels) are refused.
- ``audio-spectrogram-transformer``: ASTModel (Gong et al. 2021, arXiv:2104.01778), taught with
  labels; the one spectrogram network that is published in this form.

Sound longer than a network takes is cut into equal pieces; every time step counts once. The zeros
behind a short spectrogram are left out of the mean, the special tokens too. YouTubePD does not say
which.
"""

import importlib
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pdray.atomic import file_digest
from pdray.data.media.settings import SAMPLE_RATE
from pdray.data.modalities import Modality
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, SettingsError
from pdray.models.estimators.audio_mlp_settings import EmbeddingConfig
from pdray.models.layers.vision import load_torchvision
from pdray.models.weights.checkpoint import read_checkpoint
from pdray.training.frozen.keep import file_state

Samples = NDArray[np.float32]

_LEAST_SAMPLES = 400  # a window of either kind, 25 ms
_HOP_SAMPLES = 160  # of a spectrogram
_VARIANCE_FLOOR = 1e-7  # as in wav2vec 2.0
_FULL_SCALE = 32768.0
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_CLASSES = {
    "wav2vec2": "Wav2Vec2Model",
    "vit_mae": "ViTMAEModel",
    "audio-spectrogram-transformer": "ASTModel",
}
# Weights of the pre-training's own task, which no hidden state depends on.
_SPARE = {"masked_spec_embed"}


def open_embedding(config: EmbeddingConfig) -> "Embedding":
    """Return the embedding of a folder; its network is loaded at first use.

    Raises:
        SettingsError: See :func:`embedding_files`.
    """
    return _opened(config, *map(file_state, embedding_files(config).values()))


@lru_cache(maxsize=4)
def _opened(config: EmbeddingConfig, *state: tuple[int, ...]) -> "Embedding":
    """Keep what was opened, as long as the folder's files (``state``) stay as they are."""
    return Embedding(config)


def embedding_files(config: EmbeddingConfig) -> dict[str, Path]:
    """Return the files that decide an embedding: config, preprocessor and weights.

    Raises:
        SettingsError: If transformers is not installed, no folder is named, a file is not there, or
            the model is none of those known.
    """
    if config.folder is None:
        raise SettingsError(
            "embedding.folder: modality waveform is heard by a pretrained network; name the local "
            f"folder of one ({', '.join(_CLASSES)})"
        )
    if find_spec("transformers") is None:
        raise SettingsError(
            "embedding.folder: transformers is not installed; in the checkout: pip install -c "
            "constraints.txt -e '.[audio]'"
        )
    folder = config.folder
    files = {
        "config": folder / "config.json",
        "preprocessor": folder / "preprocessor_config.json",
        "weights": folder / _weights(folder),
    }
    lacking = [path.name for path in files.values() if not path.is_file()]
    if lacking:
        raise SettingsError(f"embedding.folder: {folder} has no {', '.join(lacking)}")
    kind = _json(files["config"]).get("model_type")
    if kind not in _CLASSES:
        raise SettingsError(
            f"embedding.folder: {folder} has model_type {kind!r}; expected one of "
            f"{', '.join(_CLASSES)}"
        )
    return files


class Embedding:
    """The mean over time of a network's hidden states, a computation for ``keep_frozen``.

    Args:
        config: With a folder.

    Attributes:
        reads: The waveform.
        decides: The digests of the folder's files, and the length of a piece.

    Raises:
        SettingsError: As :func:`embedding_files`.
    """

    reads: tuple[Modality, ...] = ("waveform",)

    def __init__(self, config: EmbeddingConfig) -> None:
        self.config = config
        files = embedding_files(config)
        assert config.folder is not None, "there are files"
        self.folder = config.folder
        self.kind = str(_json(files["config"])["model_type"])
        self.decides: Mapping[str, Any] = {
            "computes": "mean embedding of sound",
            "piece_seconds": config.piece_seconds,
            **{name: file_digest(path) for name, path in files.items()},
        }

    def items(self, entries: Mapping[Modality, Entry]) -> Iterator[tuple[float, NDArray[Any]]]:
        """Yield one item, (D,) float32, at the time of the first sample.

        Raises:
            DecodeError: If the sound is shorter than a window, or the result is not finite.
            SettingsError: If the network cannot be loaded.
            CheckpointError: If the file of weights cannot be read.
        """
        entry = entries["waveform"]
        samples = entry.read(np.arange(1))[0].astype(np.float32) / np.float32(_FULL_SCALE)
        vector = self.embed(samples)
        if not np.isfinite(vector).all():
            raise DecodeError("has an embedding that is not finite")
        yield float(entry.seconds[0]), vector

    def embed(self, samples: Samples) -> NDArray[np.float32]:
        """Return the (D,) mean over time of (N,) samples at 16 kHz, full scale 1.

        Raises:
            DecodeError: If there are fewer than 400.
            SettingsError: If the network cannot be loaded.
        """
        if len(samples) < _LEAST_SAMPLES:
            raise DecodeError(
                f"has {len(samples) / SAMPLE_RATE:.4f} s of sound; an embedding needs "
                f"{_LEAST_SAMPLES / SAMPLE_RATE:g} s"
            )
        hear, most = self._hearing
        if self.kind == "wav2vec2" and self._preprocessor.get("do_normalize", True):
            samples = (samples - samples.mean()) / np.sqrt(samples.var() + _VARIANCE_FLOOR)
        pieces = np.array_split(samples, math.ceil(len(samples) / most))
        with torch.inference_mode():
            steps = torch.cat([hear(piece) for piece in pieces]).double()
        vector: NDArray[np.float32] = steps.mean(dim=0).float().numpy()
        return vector

    @cached_property
    def _preprocessor(self) -> dict[str, Any]:
        return _json(self.folder / "preprocessor_config.json")

    @cached_property
    def _hearing(self) -> tuple[Callable[[Samples], Tensor], int]:
        """Return what makes (S, D) states of a piece, and the most samples of a piece."""
        rate = self._preprocessor.get("sampling_rate", SAMPLE_RATE)
        if rate != SAMPLE_RATE:
            raise SettingsError(
                f"embedding.folder: {self.folder} hears {rate} Hz; sound is kept at {SAMPLE_RATE}"
            )
        network = _load(self.folder, _CLASSES[self.kind])
        if self.kind == "wav2vec2":
            most = round(self.config.piece_seconds * SAMPLE_RATE)
            return lambda piece: network(torch.from_numpy(piece)[None]).last_hidden_state[0], most
        spectra = _Spectrograms(self.folder, network, is_mae=self.kind == "vit_mae")
        return spectra.hear, spectra.most


class _Spectrograms:
    """A network on patches of a spectrogram of fixed length."""

    def __init__(self, folder: Path, network: Any, *, is_mae: bool) -> None:
        self.network, self.is_mae = network, is_mae
        extractor = _transformers().ASTFeatureExtractor
        with warnings.catch_warnings():
            # 128 bands of 257 lines leave one empty; the published networks know it so.
            warnings.filterwarnings("ignore", message="At least one mel filter")
            self.extract = extractor.from_pretrained(folder, local_files_only=True)
        config, length = network.config, self.extract.max_length
        bands = self.extract.num_mel_bins
        if is_mae and (config.num_channels, _pair(config.image_size)) != (1, (length, bands)):
            raise SettingsError(
                f"embedding.folder: {folder} sees {config.num_channels} channels of "
                f"{config.image_size}; its preprocessor makes 1 of ({length}, {bands})"
            )
        patch = _pair(config.patch_size)[0]
        self.stride = patch if is_mae else config.time_stride
        self.num_steps = (length - patch) // self.stride + 1
        self.num_patches = network.embeddings.patch_embeddings.num_patches if is_mae else 0
        # A spectrogram of this many samples has max_length windows.
        self.most = (length - 1) * _HOP_SAMPLES + _LEAST_SAMPLES

    def hear(self, piece: Samples) -> Tensor:
        """Return (S, D) states of the patches that begin within a piece, all bands of a time."""
        found = self.extract(piece, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        windows = (len(piece) - _LEAST_SAMPLES) // _HOP_SAMPLES + 1
        heard = min(self.num_steps, -(-windows // self.stride))
        x = found.input_values  # (1, time, band)
        if self.is_mae:
            # Rising noise keeps the patches in their order.
            noise = torch.arange(self.num_patches, dtype=torch.float32)[None]
            states = self.network(x[:, None], noise=noise).last_hidden_state[0, 1:]
            grid = states.unflatten(0, (self.num_steps, -1))
        else:
            states = self.network(x).last_hidden_state[0, 2:]
            grid = states.unflatten(0, (-1, self.num_steps)).transpose(0, 1)
        heard_steps: Tensor = grid[:heard].mean(dim=1)
        return heard_steps


def _pair(size: int | Sequence[int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _transformers() -> Any:
    load_torchvision()  # which transformers imports, and which may need to be declared
    module = importlib.import_module("transformers")
    module.utils.logging.disable_progress_bar()
    module.utils.logging.set_verbosity_error()
    return module


def _load(folder: Path, name: str) -> Any:
    """Return a network in evaluation mode, with every weight from the folder."""
    architecture = getattr(_transformers(), name)
    given = {"mask_ratio": 0.0} if name == "ViTMAEModel" else {}
    try:
        # Read here, where a file cannot run anything.
        state = read_checkpoint(folder / _weights(folder))
        config = architecture.config_class.from_pretrained(folder, local_files_only=True, **given)
        network, told = architecture.from_pretrained(
            None, config=config, state_dict=state, output_loading_info=True
        )
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"embedding.folder: {folder} cannot be loaded: {reason}") from error
    lacking = sorted({*told["missing_keys"], *told["mismatched_keys"]} - _SPARE)
    if lacking:
        raise SettingsError(
            f"embedding.folder: {folder} lacks {len(lacking)} weights of {name}, {lacking[0]} first"
        )
    return network.eval().requires_grad_(False)


def _weights(folder: Path) -> str:
    return next((name for name in _WEIGHTS if (folder / name).is_file()), _WEIGHTS[0])


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise SettingsError(f"embedding.folder: {path} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise SettingsError(f"embedding.folder: {path} names no settings, it is no JSON object")
    return found
