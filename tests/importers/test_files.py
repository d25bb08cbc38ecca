from pathlib import Path

import pytest
import yaml

from pdray.errors import ManifestError
from pdray.importers.files import inside, settings_text, shown, text_faults


def test_a_folder_is_listed_by_name_without_hidden_files(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".hidden"):
        (tmp_path / name).touch()
    assert [path.name for path in inside(tmp_path)] == ["a.txt", "b.txt"]
    with pytest.raises(ManifestError, match=r"absent: cannot be read: No such file"):
        inside(tmp_path / "absent")


def test_a_path_is_relative_where_it_lies_below_the_manifest() -> None:
    folder = Path("/data/set")
    found = [shown(path, folder) for path in (folder / "a/b.mp4", Path("/other/b.mp4"), None)]
    assert found == ["a/b.mp4", "/other/b.mp4", ""]


def test_only_another_content_is_refused_and_settings_are_yaml(tmp_path: Path) -> None:
    text = settings_text({"items": ["action"]}, folds={"from_split": True})
    assert yaml.safe_load(text) == {"data": {"items": ["action"]}, "folds": {"from_split": True}}
    same, other, absent = (tmp_path / name for name in ("same", "other", "absent"))
    same.write_text(text)
    other.write_text("else")
    (fault,) = text_faults(dict.fromkeys((same, other, absent), text))
    assert fault == f"{other}: exists with other content; give another output"
