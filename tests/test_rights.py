import os
import stat

import pytest

from pdray.atomic import write_text
from pdray.rights import umask, written_for


def rights(path):
    return f"{stat.S_IMODE(path.stat().st_mode):o}"


@pytest.mark.parametrize(
    ("mode", "of_folder", "of_file"),
    [("owner", "700", "600"), ("group", "770", "660"), ("umask", "751", "640")],
)
def test_what_is_made_is_for_those_who_are_named(tmp_path, mode, of_folder, of_file):
    before = os.umask(0o026)
    try:
        with written_for(), written_for(mode):  # a job, and the study that it runs
            write_text(tmp_path / "studies" / "a.json", "{}")
        assert (rights(tmp_path / "studies"), rights(tmp_path / "studies" / "a.json")) == (
            of_folder,
            of_file,
        )
        assert umask() == 0o026
    finally:
        os.umask(before)
