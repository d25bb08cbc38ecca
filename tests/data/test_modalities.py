import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.modalities import (
    MODALITIES,
    NUMBERS,
    PICTURES,
    SOUND,
    TRACKS,
    in_order,
    needed_fields,
)


def test_every_modality_is_of_one_kind() -> None:
    assert sorted((*PICTURES, *SOUND, *TRACKS, *NUMBERS)) == sorted(MODALITIES)


def test_each_table_of_features_has_a_column_of_its_own() -> None:
    assert needed_fields(["features.smile"]) == ("features.smile",)
    assert MODALITIES["features.smile"].kind == "numbers"
    with pytest.raises(KeyError):
        MODALITIES["features.Smile"]
    assert in_order({"features.smile", "features.age", "mfcc"}) == (
        *("mfcc", "features.age", "features.smile"),
    )


def test_portraits_need_the_track_that_places_them() -> None:
    assert needed_fields(["portraits"]) == ("video", "landmarks")
    assert needed_fields(["rgb", "portraits", "mfcc"]) == ("video", "landmarks", "sound")


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_recording_has_the_fields_that_a_modality_needs(modality: str) -> None:
    for field in needed_fields([modality]):
        assert hasattr(Recording, field) or field in Recording.__dataclass_fields__
