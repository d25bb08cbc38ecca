import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from pdray.config import build, leaves
from pdray.data.batches.boxes import region_boxes
from pdray.data.batches.normalise import normalise_frames
from pdray.data.batches.settings import StreamConfig
from pdray.data.batches.snippet import frame_indices
from pdray.data.cohort.rated import RatedRecording
from pdray.data.face.points import REGIONS
from pdray.data.media.decode import decode
from pdray.data.media.settings import DecodeConfig
from pdray.data.store.entry import Entry
from pdray.errors import DivergedError, PdrayError, SettingsError
from pdray.explain import place, recording
from pdray.explain import run as module
from pdray.explain.activation import class_activation, on_frames
from pdray.explain.attention import attention_maps
from pdray.explain.embedding import embed
from pdray.explain.held_out import open_held_out, see
from pdray.explain.recording import class_score, explain_recording
from pdray.explain.run import Explanation, explain
from pdray.explain.settings import ExplainConfig
from pdray.explain.severity import Readout, read_out
from pdray.explain.spread import ELSEWHERE, region_shares, shares_over_time
from pdray.tracking.numbering import number_recordings
from pdray.tracking.run_log import StudyLog
from pdray.tracking.scorings import read_scorings, subject_marks
from pdray.training.frozen.features import Features, extract_features
from pdray.training.settings import FitConfig
from tests.fixtures.tiny_study import PROBE, make_study

LAYERS = ["layer2", "layer4"]


def run(study: StudyLog, output: Path, **settings: object) -> tuple[Explanation, list[str]]:
    told: list[str] = []
    tree = {"study": study.folder, "output": output, "layers": LAYERS, **settings}
    return explain(build(ExplainConfig, tree), told.append), told


def name_of(number: int) -> str:
    return f"S{number:03d}_V1_face_interview"


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, faces: Path
) -> tuple[StudyLog, Explanation, list[str]]:
    """Explain all test recordings of a study once."""
    folder = tmp_path_factory.mktemp("finished")
    study = make_study(folder / "output", faces)
    return study, *run(study, folder / "maps")


def test_everything_is_made_of_the_test_group_and_says_so(
    finished: tuple[StudyLog, Explanation, list[str]],
) -> None:
    study, done, told = finished
    assert told[0] == "recordings 3 of 3 test recordings, none used in training"
    assert told[1] == "layers     layer2, layer4"
    numbers = number_recordings(study, {})
    assert [path.name for path in done.videos] == [f"{numbers[name_of(n)]}.mp4" for n in (1, 2, 3)]
    files = sorted(path.name for path in done.folder.iterdir())
    assert files == [
        "attention", "attention.csv", "attention_over_time.csv", "embedding.csv", "embedding.png",
        "regions.csv", "regions_by_frame.parquet", "report.txt", "spread.csv", "videos",
    ]  # fmt: skip
    pictures = sorted(path.name for path in (done.folder / "attention").iterdir())
    assert pictures == sorted(f"{numbers[name_of(n)]}.png" for n in (1, 2, 3))
    assert told[2] == "attention  over time in 2 blocks: layer4.0.conv1, layer4.0.conv2"
    report = (done.folder / "report.txt").read_text()
    assert report == f"{done.report}\n"
    assert report.startswith("SYNTHETIC data: a rendered cohort, not patients")
    assert "spread of the activation for the predicted class" in report
    assert "3 test recordings of 3 subjects, none used in training" in report
    most = report.split("with most activation for the predicted class")[1].splitlines()[1:3]
    table = pd.read_csv(done.folder / "regions.csv")
    for layer, line in zip(LAYERS, most, strict=True):
        mine = table[(table["layer"] == layer) & (table["region"] != ELSEWHERE)]
        shares = mine.groupby("region")["share"].mean().nlargest(3)
        first = [part.split(" (")[0] for part in line.removeprefix(f"{layer}: ").split(", ")[:3]]
        assert first == [f"{region} {share:.2f}" for region, share in shares.items()]
    for name in ("attention", "attention_over_time", "regions", "spread", "embedding"):
        table = pd.read_csv(done.folder / f"{name}.csv")
        assert set(table["recording_id"]) == {name_of(number) for number in (1, 2, 3)}
        assert table["synthetic"].all()


def test_tables_are_those_of_the_maps(study: StudyLog, tmp_path: Path) -> None:
    done, _ = run(study, tmp_path / "maps", recordings=[name_of(2)], videos=False)
    held = open_held_out(study.folder)
    seen = see(held, held.rows[1], pictures=False)
    with torch.no_grad():
        chances = held.network(seen.snippets).softmax(1).mean(0)
    predicted = int(chances.argmax())
    maps = class_activation(held.network, seen.snippets, lambda y: y[:, predicted], LAYERS)
    regions = pd.read_csv(done.folder / "regions.csv")
    frames = pd.read_parquet(done.folder / "regions_by_frame.parquet")
    assert set(regions["region"]) == {*REGIONS, ELSEWHERE}
    assert set(regions["predicted"]) == set(regions["shown_class"]) == {predicted}
    assert regions["probability"].to_numpy() == pytest.approx(float(chances[predicted]), rel=1e-5)
    assert regions["target"].iloc[0] == int((held.rows[1].grade or 0) >= 2)
    for layer in LAYERS:
        activation = on_frames(maps[layer], seen.indices, height=32, width=32)
        shares = region_shares(activation, seen.regions)
        expected = shares_over_time(shares)
        mine = regions[regions["layer"] == layer]
        np.testing.assert_allclose(mine["share"], expected["share"], rtol=1e-4)
        each = frames[(frames["layer"] == layer) & (frames["region"] == "mouth")]
        assert each["frame"].tolist() == seen.frames.tolist()
        assert each["seconds"].tolist() == seen.seconds.tolist()
        mouth = shares.inside[:, REGIONS.index("mouth")] / shares.total
        np.testing.assert_allclose(each["share"], mouth, rtol=1e-4)


def test_attention_is_that_of_the_blocks_at_the_times_of_the_recording(
    finished: tuple[StudyLog, Explanation, list[str]],
) -> None:
    study, done, _ = finished
    held = open_held_out(study.folder)
    blocks = ["layer4.0.conv1", "layer4.0.conv2"]
    tables = [pd.read_csv(done.folder / f"attention{name}.csv") for name in ("", "_over_time")]
    for row in held.rows:
        seen = see(held, row, pictures=False)
        for block, found in attention_maps(held.network, [seen.snippets], blocks).items():
            numbers, each = (
                one[(one["layer"] == block) & (one["recording_id"] == row.recording_id)]
                for one in tables
            )
            assert numbers["entropy"].item() == pytest.approx(found.entropy.mean(), rel=1e-6)
            # Time has no stride in this network: a time step is a frame.
            assert each["seconds"].tolist() == seen.seconds.tolist()
            np.testing.assert_allclose(each["received"], found.received[0], rtol=1e-6)
            assert each["received"].max() == numbers["most_share"].item()
            most = each.loc[each["received"].idxmax(), "seconds"]
            assert most == numbers["most_seconds"].item()


def test_a_network_without_attention_leaves_none(tmp_path: Path, faces: Path) -> None:
    study = make_study(tmp_path / "output", faces, {"model": {"attention_depth": 0}})
    done, told = run(study, tmp_path / "maps", recordings=[name_of(1)], videos=False)
    assert "attention" not in " ".join([*told, done.report])
    assert not list(done.folder.glob("attention*"))


def test_another_class_has_other_maps(study: StudyLog, tmp_path: Path) -> None:
    settings = {"recordings": [name_of(1)], "videos": False}
    both = [run(study, tmp_path / f"maps{k}", shown_class=k, **settings) for k in (0, 1)]
    tables = [pd.read_csv(done.folder / "regions.csv") for done, _ in both]
    assert [set(one["shown_class"]) for one in tables] == [{0}, {1}]
    assert tables[0]["predicted"].equals(tables[1]["predicted"])
    assert not np.allclose(tables[0]["share"], tables[1]["share"], equal_nan=True)
    np.testing.assert_allclose(
        tables[0].drop_duplicates("recording_id")["probability"].to_numpy()
        + tables[1].drop_duplicates("recording_id")["probability"].to_numpy(),
        1,
    )
    assert "for class 1" in both[1][0].report


def test_a_video_lasts_as_long_as_what_the_network_saw(
    finished: tuple[StudyLog, Explanation, list[str]],
) -> None:
    study, done, _ = finished
    path = done.videos[0]
    clip = decode(path, DecodeConfig(height=228, width=576))
    held = open_held_out(study.folder)
    seen = see(held, held.rows[0], pictures=False)
    shown = seen.seconds - seen.seconds[0]
    assert clip.pts_seconds[:-1] == pytest.approx(shown, abs=2e-3)


def test_tables_alone_show_nobody(study: StudyLog, tmp_path: Path) -> None:
    done, _ = run(study, tmp_path / "maps", recordings=[name_of(1)], videos=False)
    assert done.videos == ()
    assert not (done.folder / "videos").exists()
    assert not list(done.folder.rglob("*.mp4"))


def test_nothing_is_written_into_the_study(study: StudyLog, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    run(study, tmp_path / "maps", recordings=[name_of(1)])
    after = {path: path.read_bytes() for path in study.folder.rglob("*") if path.is_file()}
    assert after == before


def test_the_plane_shows_all_test_recordings_whatever_is_mapped(
    study: StudyLog, tmp_path: Path
) -> None:
    done, told = run(study, tmp_path / "maps", recordings=[name_of(3)], videos=False)
    assert told[0].startswith("recordings 1 of 3 test recordings")
    table = pd.read_csv(done.folder / "embedding.csv")
    assert table["recording_id"].tolist() == [name_of(number) for number in (1, 2, 3)]
    held = open_held_out(study.folder)
    recordings = [held.rated(row) for row in held.rows]
    vectors = extract_features(held.network, recordings, held.config).vectors.astype(np.float64)
    # Of three points a plane keeps the distances.
    places = table[["pca_1", "pca_2"]].to_numpy()
    for first, second in ((0, 1), (0, 2), (1, 2)):
        expected = np.linalg.norm(vectors[first] - vectors[second])
        assert np.linalg.norm(places[first] - places[second]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("kind", ["cumulative_link", "coral"])
def test_under_ordered_thresholds_the_score_is_the_log_probability(
    tmp_path: Path, faces: Path, kind: str
) -> None:
    study = make_study(tmp_path / "output", faces, {"loss": {"kind": kind}})
    held = open_held_out(study.folder)
    outputs = torch.tensor([[0.5], [-2.0]])
    chance = torch.sigmoid(outputs[:, 0])  # of "grade > 0"
    torch.testing.assert_close(class_score(outputs, 1, held), chance.log())
    torch.testing.assert_close(class_score(outputs, 0, held), (1 - chance).log())
    layers = ["scorer.layer4"]
    done, _ = run(study, tmp_path / "maps", layers=layers, videos=False)
    assert set(pd.read_csv(done.folder / "spread.csv")["layer"]) == set(layers)
    blocks = {"scorer.layer4.0.conv1", "scorer.layer4.0.conv2"}
    assert set(pd.read_csv(done.folder / "attention.csv")["layer"]) == blocks


def test_segments_with_attention_are_mapped_snippet_by_snippet(tmp_path: Path, faces: Path) -> None:
    settings = {
        "snippet": {"mode": "segments", "num_segments": 3, "num_frames": 4},
        "segments": {"consensus": "attention"},
    }
    study = make_study(tmp_path / "output", faces, settings)
    done, _ = run(study, tmp_path / "maps", layers=["backbone.layer3"], videos=False)
    table = pd.read_csv(done.folder / "spread.csv")
    assert set(table["num_frames"]) == {12}
    attention = pd.read_csv(done.folder / "attention_over_time.csv")
    counts = attention.groupby(["recording_id", "layer", "snippet"]).size()
    assert (len(counts), set(counts)) == (3 * 2 * 3, {4})


def test_no_cluster_is_started_for_a_study_that_streamed_through_one(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = []

    def listen(network: nn.Module, recordings: list[RatedRecording], config: FitConfig,
               **options: torch.device) -> Features:  # fmt: skip
        readers.append(config.stream.reader)
        return extract_features(network, recordings, config, **options)

    monkeypatch.setattr(place, "extract_features", listen)
    study = make_study(tmp_path / "output", faces, {"stream": {"reader": "ray"}})
    run(study, tmp_path / "maps", recordings=[name_of(1)], videos=False)
    assert readers == ["local"] * 2  # test recordings, and those learnt from


def test_all_layers_are_mapped_where_none_is_named(study: StudyLog, tmp_path: Path) -> None:
    done, _ = run(study, tmp_path / "maps", layers=None, recordings=[name_of(1)], videos=False)
    table = pd.read_csv(done.folder / "spread.csv")
    assert tuple(table["layer"]) == open_held_out(study.folder).network.MAP_LAYERS


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layers": ["layer9"]}, r"layers: got 'layer9'; .*layers of this network: layer1"),
        ({"shown_class": 2}, r"shown_class: got 2; choose a class of the study, 0\.\.1"),
        ({"recordings": [name_of(4)]}, "of a development subject, not a test one"),
        ({"recordings": ["x"]}, "recording x is not a test recording of the study"),
    ],
)
def test_what_cannot_be_shown_is_refused_before_anything_is_written(
    study: StudyLog, tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(PdrayError, match=message):
        run(study, tmp_path / "maps", **settings)
    assert not (tmp_path / "maps").exists()


@pytest.mark.parametrize(
    ("output", "message"),
    [("maps", "output: got 'maps'; write an absolute path, such as /")],
)
def test_a_relative_output_is_refused(study: StudyLog, output: str, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        run(study, Path(output))


@pytest.mark.parametrize("inside", [".", "winner", "maps/here"])
def test_the_studys_own_folder_is_refused(study: StudyLog, inside: str) -> None:
    with pytest.raises(SettingsError, match="inside the study's folder, which may be shared"):
        run(study, study.folder / inside)


def test_an_activation_that_is_not_finite_names_recording_and_layer(
    study: StudyLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def endless(network: object, x: torch.Tensor, score: object, layers: list[str]) -> object:
        return {name: torch.full((len(x), 1, 1, 1), torch.inf) for name in layers}

    monkeypatch.setattr(recording, "class_activation", endless)
    with pytest.raises(DivergedError, match=f"recording {name_of(1)}: the activation of layer2"):
        run(study, tmp_path / "maps")


def test_ids_that_are_no_file_names_become_such(
    study: StudyLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = ("../S01", "a" * 300, ".hidden")
    held = open_held_out(study.folder)
    rows = tuple(replace(row, recording_id=name) for row, name in zip(held.rows, odd, strict=True))
    monkeypatch.setattr(module, "open_held_out", lambda folder: replace(held, rows=rows))
    done, _ = run(study, tmp_path / "maps", layers=["layer4"])
    assert len(set(done.videos)) == 3
    for path in done.videos:
        assert path.is_file()
        assert path.parent == done.folder / "videos"
        assert len(path.name) < 110
        assert not path.name.startswith(".")


def test_every_setting_says_what_it_is() -> None:
    assert [key for key, field in leaves(ExplainConfig) if not field.description] == []


def test_severity_is_read_out_of_what_the_winner_learnt_from_and_noted_as_a_scoring(
    study: StudyLog, tmp_path: Path
) -> None:
    settings = {"recordings": [name_of(1)], "layers": ["layer4"], "videos": False}
    done, _ = run(study, tmp_path / "maps", **settings)
    held = open_held_out(study.folder)
    tables = []
    for rows in (held.learnt, held.rows):
        vectors = extract_features(held.network, [held.rated(row) for row in rows], held.config)
        facts = {
            "subject_id": [one.subject_id for one in rows],
            "grade": [one.grade for one in rows],
        }
        tables.append((vectors.vectors, pd.DataFrame(facts)))
    assert {one.subject_id for one in held.learnt}.isdisjoint(one.subject_id for one in held.rows)
    expected = read_out("grade", *tables)
    assert isinstance(expected, Readout)
    table = pd.read_csv(done.folder / "embedding.csv")
    np.testing.assert_allclose(table["readout_grade"], expected.values, rtol=1e-5)
    assert table["grade"].tolist() == [row.grade for row in held.rows]
    assert expected.sentence in done.report
    log = study.folder.parents[1] / "tables" / "scorings.csv"
    lines = log.read_text(encoding="utf-8").splitlines()
    assert ",explain,faces,0," in lines[1]
    (line,) = read_scorings(study.folder.parents[1])
    assert line.digest == study.read()["tags"]["manifest_digest"]
    assert line.subjects == subject_marks(row.subject_id for row in held.rows)
    run(study, tmp_path / "again", **settings)
    assert len(log.read_text(encoding="utf-8").splitlines()) == 3


def test_without_the_recordings_learnt_from_the_others_are_placed_all_the_same(
    tmp_path: Path, faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = make_study(tmp_path / "output", faces, PROBE)
    held = open_held_out(study.folder)
    gone = tuple(replace(row, video=tmp_path / "gone.mp4") for row in held.learnt)
    monkeypatch.setattr(module, "open_held_out", lambda folder: replace(held, learnt=gone))
    done, _ = run(study, tmp_path / "maps", layers=None)
    assert "severity was not predicted: " in done.report
    table = pd.read_csv(done.folder / "embedding.csv")
    assert len(table) == 3
    assert "readout_grade" not in table
    assert not (study.folder.parents[1] / "tables").exists()


def test_a_real_cohort_carries_no_mark(study: StudyLog, tmp_path: Path, faces: Path) -> None:
    content = faces.read_text(encoding="utf-8").replace(",synthetic,", ",clinic,")
    manifest = faces.with_name("clinic.csv")
    manifest.write_text(content, encoding="utf-8")
    told = json.loads((study.folder / "study.json").read_text())["tags"]
    assert told["synthetic"] == "true"
    plain = make_study(tmp_path / "plain", manifest, tags={"manifest_digest": digest_of(manifest)})
    done, _ = run(plain, tmp_path / "maps", recordings=[name_of(1)], videos=False)
    assert "SYNTHETIC" not in done.report
    assert not pd.read_csv(done.folder / "regions.csv")["synthetic"].any()


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_probe_has_its_frozen_features_placed_and_no_map(tmp_path: Path, faces: Path) -> None:
    study = make_study(tmp_path / "output", faces, PROBE)
    done, told = run(study, tmp_path / "maps", layers=None)
    assert told == [
        "maps       none: the frozen frame_resnet (random weights) of the linear_probe was "
        "not trained on these classes",
        "recordings 3 test recordings, shown by their features",
    ]
    assert (done.videos, done.synthetic) == ((), True)
    files = sorted(path.name for path in done.folder.iterdir())
    assert files == ["embedding.csv", "embedding.png", "report.txt"]
    report = (done.folder / "report.txt").read_text()
    assert report == f"{done.report}\n"
    assert report.startswith("SYNTHETIC data: a rendered cohort, not patients")
    assert "features of the frozen frame_resnet (random weights); no maps" in report
    held = open_held_out(study.folder)
    config = held.config.model_copy(update={"stream": StreamConfig(reader="local")})
    recordings = [held.rated(row) for row in held.rows]
    vectors = extract_features(held.network, recordings, config).vectors
    table = pd.read_csv(done.folder / "embedding.csv")
    assert table["recording_id"].tolist() == [name_of(number) for number in (1, 2, 3)]
    np.testing.assert_allclose(table["pca_1"], embed(vectors).pca[:, 0], atol=1e-4)
    with pytest.raises(SettingsError, match="2 faults") as caught:
        run(study, tmp_path / "more", shown_class=1)
    for key in ("layers", "shown_class"):
        assert f"{key}: there are no maps: the frozen frame_resnet" in str(caught.value)


def test_a_winner_on_regions_has_its_features_placed_and_no_map(
    tmp_path: Path, faces: Path
) -> None:
    settings = {
        "decode": {"height": 32, "width": 32},
        "snippet": {"num_frames": 4},
        "model": {
            "name": "region_attention", "depth": 18, "layout": "torchvision",
            "width_factor": 0.0625, "token_dim": 12,
        },
        "loss": {"kind": "hierarchy"},
        "optim": {"batch_size": 2},
    }  # fmt: skip
    study = make_study(tmp_path / "output", faces, settings)
    done, told = run(study, tmp_path / "maps", layers=None)
    assert told[0] == "maps       none: region_attention needs regions as a second input"
    assert "input features of the last layer of region_attention; no maps" in done.report
    table = pd.read_csv(done.folder / "embedding.csv")
    held = open_held_out(study.folder)
    network, found = held.network.network, []
    for row in held.rows:
        stored = held.rated(row, "regions").stored
        entries = [Entry(stored[name]) for name in ("rgb", "regions")]
        (indices,) = frame_indices(len(entries[0]), held.config.snippet, None, recording_id="")
        frames, points = (torch.from_numpy(entry.read(indices))[None] for entry in entries)
        boxes = region_boxes(points, None, (32, 32))
        with torch.inference_mode():
            found.append(network.features(normalise_frames(frames, torch.float32), boxes)[0])
    np.testing.assert_allclose(
        table["pca_1"], embed(torch.stack(found).numpy()).pca[:, 0], atol=1e-4
    )
    with pytest.raises(SettingsError, match="layers: there are no maps: region_attention needs"):
        run(study, tmp_path / "more")


@pytest.mark.gpu
def test_a_gpu_finds_what_the_cpu_finds(study: StudyLog, tmp_path: Path) -> None:
    tables = []
    for device in ("cpu", "cuda"):
        tree = {"study": study.folder, "output": tmp_path / device, "videos": False}
        done = explain(build(ExplainConfig, tree), lambda line: None, device=torch.device(device))
        tables.append(pd.read_csv(done.folder / "regions.csv"))
    # Sums in another order; a share is a part of 1.
    np.testing.assert_allclose(tables[0]["share"], tables[1]["share"], atol=1e-3)


def test_a_recording_explained_alone_has_the_numbers_of_the_job(
    finished: tuple[StudyLog, Explanation, list[str]],
) -> None:
    study, done, _ = finished
    found = explain_recording(study.folder, name_of(1), layers=LAYERS)
    assert list(found.maps) == LAYERS
    table = pd.read_csv(done.folder / "spread.csv").query(f"recording_id == '{name_of(1)}'")
    assert table["probability"].tolist() == pytest.approx(
        [found.probabilities[found.predicted]] * 2
    )
    assert found.shown_class == found.predicted == table["predicted"].iloc[0]
    assert found.synthetic
    other = explain_recording(study.folder, name_of(1), shown_class=1 - found.predicted)
    assert not np.array_equal(other.maps["layer4"], found.maps["layer4"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"recording_id": name_of(5)}, "of a development subject, not a test one"),
        ({"shown_class": 2}, "shown_class: got 2; choose a class of the study, 0..1"),
        ({"layers": ["layer9"]}, "got 'layer9'; did you mean"),
    ],
)
def test_a_recording_that_cannot_be_explained_is_refused(
    finished: tuple[StudyLog, Explanation, list[str]], asked: dict[str, Any], said: str
) -> None:
    with pytest.raises(PdrayError, match=said):
        explain_recording(finished[0].folder, **{"recording_id": name_of(1), **asked})


def test_a_probe_has_no_maps_of_a_recording(tmp_path: Path, faces: Path) -> None:
    study = make_study(tmp_path / "output", faces, PROBE)
    with pytest.raises(SettingsError, match="there are no maps: the frozen frame_resnet"):
        explain_recording(study.folder, name_of(1))
