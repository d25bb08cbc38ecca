"""Files of several people: links, copies and parts of one file."""

import json
import os
import shlex
import shutil

import pytest
import yaml

from pdray.data.cohort import digests as digests_module
from pdray.data.cohort.manifest import Allowed, load_manifest
from pdray.data.cohort.members import make_cohort, rated
from pdray.data.cohort.settings import DataConfig, FoldsConfig
from pdray.errors import FoldsError, ManifestError


@pytest.fixture
def load(write_manifest, tmp_path):
    """Return a function that loads a row for each (subject, file), and other columns by name."""
    (tmp_path / "a.mp4").write_bytes(b"somebody walks")

    def load_rows(*uses, shared=(), column="video", digests=None, **columns):
        rows = [
            {
                "recording_id": f"r{number}",
                "subject_id": subject,
                "item": "gait",
                "grade": number % 3,
                column: file,
                **{name: cells[number] for name, cells in columns.items()},
            }
            for number, (subject, file) in enumerate(uses)
        ]
        return load_manifest(
            write_manifest(rows), check_files=False, allowed=Allowed((), shared), digests=digests
        )

    return load_rows


def link(folder, how, name):
    source = folder / "a.mp4"
    if how == "absolute":
        return str(source)
    if how == "dots":
        return "x/../a.mp4"
    target = folder / name
    {"symbolic": target.symlink_to, "hard": target.hardlink_to}.get(
        how, lambda one: shutil.copy(one, target)
    )(source)
    return name


@pytest.mark.parametrize("how", ["absolute", "dots", "symbolic", "hard", "copy"])
@pytest.mark.parametrize("column", ["video", "audio", "landmarks", "regions"])
def test_one_file_under_any_name_is_of_one_subject(load, tmp_path, how, column):
    (tmp_path / "x").mkdir()
    name = link(tmp_path, how, "other.mp4")
    assert len(load(("S1", "a.mp4"), ("S1", name), column=column).recordings) == 2
    spans = {"start_seconds": ["0", "0.4"], "end_seconds": ["0.5", "0.9"]}
    with pytest.raises(
        ManifestError, match=rf"row 3: {column} \S*(a|other)\.mp4 is of subject S2, and of S1 in ro"
    ):
        load(("S1", "a.mp4"), ("S2", name), column=column, **spans)


def test_a_link_through_a_folder_and_a_sound_that_is_a_video_are_found(load, tmp_path):
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(ManifestError, match=r"row 3: video again/a\.mp4 is of subject S2"):
        load(("S1", "a.mp4"), ("S2", "again/a.mp4"))
    with pytest.raises(ManifestError, match=r"row 3: video a\.mp4 is of subject S2, and of S1"):
        load(("S1", ""), ("S2", "a.mp4"), audio=["a.mp4", ""])


def test_only_files_of_one_size_and_several_people_are_hashed_and_once(load, tmp_path, monkeypatch):
    hashed = []
    digest = digests_module.file_digest
    monkeypatch.setattr(
        digests_module, "file_digest", lambda file: hashed.append(file.name) or digest(file)
    )
    contents = {
        "b.mp4": b"somebody falls", "c.mp4": b"longer than these", "d": b"", "e": b"",
        "f.mp4": b"one and another of S1", "g.mp4": b"the same size of S1..",
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    uses = [("S1", "a.mp4"), ("S2", "b.mp4"), ("S3", "c.mp4"), ("S4", "d"), ("S5", "e"),
            ("S1", "f.mp4"), ("S1", "g.mp4")]  # fmt: skip
    notes = tmp_path / "store" / "sources"
    for is_kept in (False, True):
        manifest = load(*uses, digests=digests_module.Digests(notes, writes=False))
        assert sorted(hashed) == ["a.mp4", "b.mp4"]
        assert notes.exists() == is_kept
        manifest.keep_digests()
    texts = [json.loads(note.read_text()) for note in notes.iterdir()]
    assert {tuple(sorted(text)) for text in texts} == {("inode", "mtime_ns", "sha256", "size")}
    # Another file in its place, as large and as old: its inode tells.
    status = (tmp_path / "b.mp4").stat()
    shutil.copy(tmp_path / "a.mp4", tmp_path / "new")
    os.utime(tmp_path / "new", ns=(status.st_atime_ns, status.st_mtime_ns))
    (tmp_path / "new").replace(tmp_path / "b.mp4")
    with pytest.raises(ManifestError, match=r"b\.mp4 is of subject S2, and of S1 in row 2"):
        load(*uses, digests=digests_module.Digests(notes, writes=False))


def test_parts_of_a_shared_file_may_be_of_several_people_who_stay_together(load, tmp_path):
    shutil.copy(tmp_path / "a.mp4", tmp_path / "copy.mp4")
    tape = [("S1", "a.mp4"), ("S2", "copy.mp4"), ("S3", "./a.mp4")]
    uses = [*tape, *((f"T{number}", f"{number}.mp4") for number in range(9))]
    spans = {
        "start_seconds": ["", "4", "9", *[""] * 9],
        "end_seconds": ["4", "9", "", *[""] * 9],
    }
    manifest = load(*uses, shared=["a.mp4"], **spans)
    assert {one.group for one in manifest.recordings[:3]} == {"S1"}
    assert manifest.recordings[3].group == "T0"
    data = DataConfig(manifest=manifest.path, grade_cuts=(1,))
    seen = set()
    for seed in range(8):
        config = FoldsConfig(num_outer=2, num_folds=2, seed=seed)
        for searches in (True, False):
            try:
                cohort = make_cohort(manifest, data, config, needs=(), searches=searches)
            except FoldsError:
                continue
            together = [set("123") <= {name[1] for name in side if name[0] == "S"}
                        for _, side in cohort.folds.splits.values()
                        if {"S1", "S2", "S3"} & side]  # fmt: skip
            assert all(together)
            seen.add(searches)
            assert {one.people for one in rated(cohort, data, None)[:3]} == {"S1"}
    assert seen == {True, False}


def test_parts_of_a_shared_file_must_not_overlap(load):
    for ends in (["", ""], ["5", ""]):
        with pytest.raises(
            ManifestError, match=r"video a\.mp4 of subject S2 overlaps the part of S1"
        ):
            load(("S1", "a.mp4"), ("S2", "a.mp4"), shared=["a.mp4"],
                 start_seconds=["", "4"], end_seconds=ends)  # fmt: skip
    load(("S1", "a.mp4"), ("S1", "a.mp4"), ("S2", "a.mp4"), shared=["a.mp4"],
         start_seconds=["", "2", "5"], end_seconds=["3", "5", ""])  # fmt: skip


def test_the_word_that_allows_a_file_can_be_copied_into_a_shell(load, tmp_path):
    (tmp_path / "a.mp4").rename(tmp_path / "two, of one tape.mp4")
    uses = ("S1", "two, of one tape.mp4"), ("S2", "two, of one tape.mp4")
    spans = {"start_seconds": ["", "4"], "end_seconds": ["4", ""]}
    with pytest.raises(ManifestError) as caught:
        load(*uses, **spans)
    word = shlex.split(str(caught.value).partition("of each and ")[2])[0]
    key, _, value = word.partition("=")
    assert key == "data.shared_files"
    assert len(load(*uses, shared=yaml.safe_load(value), **spans).recordings) == 2


def test_a_row_without_a_subject_is_nobody_elses(load):
    with pytest.raises(ManifestError) as caught:
        load(("S1", "a.mp4"), ("", "a.mp4"))
    assert str(caught.value).endswith(": row 3: subject_id is missing")


def test_a_shared_file_that_no_row_has_is_refused(load):
    with pytest.raises(ManifestError, match=r"data\.shared_files names tap\.mp4, and no row has"):
        load(("S1", "a.mp4"), shared=["tap.mp4"])
