import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.modalities import (
    MODALITIES,
    NUMBERS,
    PICTURES,
    SOUND,
    TRACKS,
    in_order,
    needed_field,
)


def test_every_modality_is_of_one_kind() -> None:
    assert sorted((*PICTURES, *SOUND, *TRACKS, *NUMBERS)) == sorted(MODALITIES)


def test_each_table_of_features_has_a_column_of_its_own() -> None:
    assert needed_field("features.smile") == "features.smile"
    assert MODALITIES["features.smile"].kind == "numbers"
    with pytest.raises(KeyError):
        MODALITIES["features.Smile"]
    assert in_order({"features.smile", "features.age", "mfcc"}) == (
        *("mfcc", "features.age", "features.smile"),
    )


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_recording_has_the_field_that_a_modality_needs(modality: str) -> None:
    assert hasattr(Recording, needed_field(modality)) or needed_field(modality) in (
        Recording.__dataclass_fields__
    )
