import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pdray.data.cohort.rated import RatedRecording
from pdray.data.store.entry import Entry
from pdray.errors import DecodeError, SettingsError
from pdray.models.estimators.audio_mlp_settings import EmbeddingConfig
from pdray.models.layers.vision import load_torchvision
from pdray.models.weights.checkpoint import CheckpointError
from pdray.training.frozen import sound as embedding
from pdray.training.frozen.keep import keep_frozen
from pdray.training.frozen.sound import Embedding, embedding_files, open_embedding

# transformers warns of its own future while it is imported.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
SIZE = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 16,
}
RATE = 16_000


@pytest.fixture(scope="module")
def library() -> Any:
    load_torchvision()
    return pytest.importorskip("transformers", reason="needs the extra '.[audio]'")


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(0, 0.1, round(seconds * RATE))
    return drawn.astype(np.float32)


@pytest.fixture(scope="module")
def speech(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wav2vec 2.0 of two convolutions, its weights drawn."""
    torch.manual_seed(0)
    config = library.Wav2Vec2Config(
        **SIZE, conv_dim=(8, 8), conv_kernel=(10, 3), conv_stride=(5, 64), conv_bias=False,
        num_feat_extract_layers=2, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    return save(library.Wav2Vec2Model(config), tmp_path_factory.mktemp("speech"), do_normalize=True)


@pytest.fixture(scope="module")
def spectrogram(library: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A masked autoencoder's encoder on 128 windows of 128 bands, its weights drawn."""
    torch.manual_seed(0)
    shape = {"image_size": (128, 128), "patch_size": 16, "num_channels": 1}
    network = library.ViTMAEModel(library.ViTMAEConfig(**SIZE, **shape))
    return save(network, tmp_path_factory.mktemp("mae"), max_length=128)


def save(network: Any, folder: Path, **preprocessor: Any) -> Path:
    network.save_pretrained(folder)
    told = {"sampling_rate": RATE, "feature_extractor_type": "ASTFeatureExtractor", **preprocessor}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def test_a_vector_is_the_mean_of_the_hidden_states(library: Any, speech: Path) -> None:
    samples = noise(0.9)
    network = library.Wav2Vec2Model.from_pretrained(speech).eval().double()
    x = samples.astype(np.float64)
    x = (x - x.mean()) / np.sqrt(x.var() + 1e-7)
    with torch.no_grad():
        expected = network(torch.from_numpy(x)[None]).last_hidden_state[0].mean(0).numpy()
    found = Embedding(EmbeddingConfig(folder=speech)).embed(samples)
    assert found.shape == (16,)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_long_sound_is_heard_in_equal_pieces(library: Any, speech: Path) -> None:
    samples = noise(2.5)
    embedded = Embedding(EmbeddingConfig(folder=speech, piece_seconds=1.0))
    network = library.Wav2Vec2Model.from_pretrained(speech).eval()
    x = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    with torch.no_grad():
        states = [
            network(torch.from_numpy(piece)[None]).last_hidden_state[0]
            for piece in np.array_split(x, 3)
        ]
    np.testing.assert_allclose(embedded.embed(samples), torch.cat(states).mean(0), atol=1e-5)


@pytest.mark.filterwarnings("ignore:At least one mel filter")  # of the reference
def test_a_masked_autoencoder_hears_the_patches_of_the_sound(
    library: Any, spectrogram: Path
) -> None:
    embedded = Embedding(EmbeddingConfig(folder=spectrogram))
    samples = noise(0.5)
    found = embedded.embed(samples)
    np.testing.assert_array_equal(found, embedded.embed(samples))  # nothing is masked at random
    network = library.ViTMAEModel.from_pretrained(spectrogram, mask_ratio=0.0).eval()
    extract = library.ASTFeatureExtractor.from_pretrained(spectrogram)
    picture = extract(samples, sampling_rate=RATE, return_tensors="pt").input_values[:, None]
    with torch.no_grad():
        states = network(picture, noise=torch.arange(64.0)[None]).last_hidden_state[0, 1:]
    # 48 windows of 0.5 s are the first three of eight rows of patches, each of eight bands.
    np.testing.assert_allclose(found, states[:24].mean(0), atol=1e-5)
    # The file names a mask; it is not applied.
    assert json.loads((spectrogram / "config.json").read_text())["mask_ratio"] > 0


def test_the_published_spectrogram_network_hears_long_sound(library: Any, tmp_path: Path) -> None:
    config = library.ASTConfig(**SIZE, max_length=128)
    folder = save(library.ASTModel(config), tmp_path, max_length=128)
    embedded = Embedding(EmbeddingConfig(folder=folder))
    long, short = embedded.embed(noise(3.0)), embedded.embed(noise(0.03))
    assert long.shape == short.shape == (16,)
    assert np.isfinite(long).all()
    assert np.isfinite(short).all()


def test_an_embedding_is_computed_once_and_kept(speech: Path, tmp_path: Path, write_entry) -> None:
    path = tmp_path / "ab" / "sound.arrow"
    path.parent.mkdir()
    samples = (noise(0.5) * 32767).astype(np.int16)
    write_entry(path, samples[None], start=0.25)
    one = RatedRecording("r", "S", "face_interview", 0, 0, None, stored={"waveform": path})
    frozen = Embedding(EmbeddingConfig(folder=speech))
    kept = Entry(keep_frozen(frozen, one))
    assert (len(kept), kept.shape, kept.dtype) == (1, (16,), np.float32)
    assert kept.seconds.tolist() == [0.25]
    expected = frozen.embed(samples.astype(np.float32) / 32768)
    np.testing.assert_array_equal(kept.read(np.arange(1))[0], expected)
    frozen.items = None  # type: ignore[assignment,method-assign]  # not asked again
    assert keep_frozen(frozen, one) == kept.path


def test_other_weights_are_another_embedding(speech: Path, library: Any, tmp_path: Path) -> None:
    network = library.Wav2Vec2Model.from_pretrained(speech)
    other = save(network, tmp_path / "same", do_normalize=True)
    first = Embedding(EmbeddingConfig(folder=speech)).decides
    assert Embedding(EmbeddingConfig(folder=other)).decides["weights"] == first["weights"]
    with torch.no_grad():
        network.feature_projection.projection.bias.add_(1)
    changed = save(network, tmp_path / "other", do_normalize=True)
    assert Embedding(EmbeddingConfig(folder=changed)).decides["weights"] != first["weights"]


def test_a_folder_whose_files_change_is_opened_anew(
    speech: Path, library: Any, tmp_path: Path
) -> None:
    network = library.Wav2Vec2Model.from_pretrained(speech)
    config = EmbeddingConfig(folder=save(network, tmp_path / "mine", do_normalize=True))
    first = open_embedding(config)
    assert open_embedding(config) is first
    with torch.no_grad():
        network.feature_projection.projection.bias.add_(1)
    save(network, tmp_path / "mine", do_normalize=True)
    assert open_embedding(config).decides["weights"] != first.decides["weights"]


def test_too_short_sound_is_refused_with_its_length(speech: Path) -> None:
    with pytest.raises(DecodeError, match=r"has 0\.0200 s of sound; an embedding needs 0\.025 s"):
        Embedding(EmbeddingConfig(folder=speech)).embed(noise(0.02))


def test_what_a_folder_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: name)
    with pytest.raises(SettingsError, match=r"embedding\.folder: modality waveform .* name the"):
        embedding_files(EmbeddingConfig())
    config = EmbeddingConfig(folder=tmp_path)
    with pytest.raises(SettingsError, match=r"has no config\.json, prepro.*, model\.safetensors"):
        embedding_files(config)
    for name in ("preprocessor_config.json", "pytorch_model.bin"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(
        SettingsError, match="has model_type 'bert'; expected one of wav2vec2, vit_mae"
    ):
        embedding_files(config)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(SettingsError, match=r"config\.json cannot be read"):
        embedding_files(config)
    (tmp_path / "config.json").write_text("[]")
    with pytest.raises(SettingsError, match=r"config\.json names no settings, it is no JSON obj"):
        embedding_files(config)


def test_without_the_library_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(embedding, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match=r"not installed; in the .* -e '\.\[audio\]'$"):
        embedding_files(EmbeddingConfig(folder=tmp_path))


def test_weights_that_are_not_there_are_never_drawn(
    library: Any, speech: Path, tmp_path: Path
) -> None:
    config = json.loads((speech / "config.json").read_text())
    weights = (speech / "model.safetensors").read_bytes()
    folder = tmp_path
    (folder / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 2}))
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"lacks \d+ weights of Wav2Vec2Model, encoder"):
        Embedding(EmbeddingConfig(folder=folder)).embed(noise(0.5))
    (folder / "preprocessor_config.json").write_text('{"sampling_rate": 8000}')
    with pytest.raises(SettingsError, match="hears 8000 Hz; sound is kept at 16000"):
        Embedding(EmbeddingConfig(folder=folder)).embed(noise(0.5))
    (folder / "preprocessor_config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        Embedding(EmbeddingConfig(folder=folder)).embed(noise(0.5))


def test_pictures_of_three_colours_are_refused(library: Any, tmp_path: Path) -> None:
    shape = {"image_size": (128, 128), "patch_size": 16, "num_channels": 3}
    folder = save(library.ViTMAEModel(library.ViTMAEConfig(**SIZE, **shape)), tmp_path)
    with pytest.raises(SettingsError, match=r"sees 3 channels of .*; its preprocessor makes 1 of"):
        Embedding(EmbeddingConfig(folder=folder)).embed(noise(0.5))
