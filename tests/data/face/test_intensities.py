"""Files of intensities: what is written is read, and what cannot be right is refused."""

from dataclasses import fields

import numpy as np
import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.face.intensities import read_intensities, write_intensities
from pdray.data.store.entry import Entry
from pdray.data.store.frame_store import FrameStore
from pdray.data.store.settings import Recipe
from pdray.errors import DecodeError
from tests.fixtures.intensities_made import CLASSES, ITEMS, made_intensities


def test_what_is_written_is_read_and_absent_is_not_zero(tmp_path):
    made = made_intensities()
    write_intensities(tmp_path / "v.npz", made)
    found = read_intensities(tmp_path / "v.npz")
    for one in fields(made):
        np.testing.assert_array_equal(getattr(found, one.name), getattr(made, one.name))
    assert found.is_present.tolist() == [True, True, False, True]
    np.testing.assert_array_equal(found.log, made.cosines / 0.01)  # NaN equals NaN here


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"cosines": np.zeros((4, 3))}, "4 videos of 3 phrases"),
        ({"cosines": np.full((4, 4), np.nan)}, "no video has cosines"),
        ({"cosines": np.where(np.eye(4) > 0, np.nan, 0.1)}, "absent in part"),
        ({"cosines": np.full((4, 4), 1.5)}, "a cosine is outside -1..1"),
        ({"features": np.zeros((4, 3))}, "features and cosines are not of the same videos"),
        ({"features": np.zeros((3, 3))}, "there are 3 features for 4 videos"),
        ({"items": ITEMS[:2]}, "there are 2 items for 4 videos"),
        ({"items": ITEMS[:1] * 4, "classes": CLASSES[:1] * 4}, "items are not unique"),
        ({"items": ("gait", *ITEMS[1:])}, "item 'gait' is not one of expression_neutral"),
        ({"classes": CLASSES[::-1]}, "are not the expressions of items"),
        ({"tau": 0.0}, "tau is 0; it must be above 0"),
        ({"num_frames": 1.5}, "num_frames is float64"),
    ],
)
def test_what_cannot_be_right_is_not_written(tmp_path, changes, told):
    with pytest.raises(DecodeError, match=told):
        write_intensities(tmp_path / "v.npz", made_intensities(**changes))
    assert not list(tmp_path.iterdir())


def test_a_track_is_no_file_of_intensities(tmp_path):
    np.savez(tmp_path / "v.npz", points=np.zeros((2, 1, 2)), tau=0.01)
    with pytest.raises(DecodeError, match=r"'cosines' is missing(.|\n)*unknown array 'points'"):
        read_intensities(tmp_path / "v.npz")


def test_the_store_keeps_log_intensities_as_one_item_per_video(tmp_path):
    write_intensities(tmp_path / "v.npz", made_intensities())
    row = Recording("S1_V1", "S1", "expressions", intensities=tmp_path / "v.npz")
    stored = FrameStore(tmp_path / "store", Recipe()).add(row, ("intensities",))
    entry = Entry(stored.paths["intensities"])
    assert entry.seconds.tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(entry.read(np.arange(4)), made_intensities().log)
    other = Recipe.model_validate({"decode": {"height": 64}})  # pictures alone depend on it
    assert FrameStore(tmp_path / "store", other).entry(row, "intensities") == entry.path
