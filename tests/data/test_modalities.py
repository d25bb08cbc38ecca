import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.modalities import MODALITIES, NUMBERS, PICTURES, SOUND, TRACKS, needed_field


def test_every_modality_is_of_one_kind() -> None:
    assert sorted((*PICTURES, *SOUND, *TRACKS, *NUMBERS)) == sorted(MODALITIES)


@pytest.mark.parametrize("modality", MODALITIES)
def test_a_recording_has_the_field_that_a_modality_needs(modality: str) -> None:
    assert hasattr(Recording, needed_field(modality)) or needed_field(modality) in (
        Recording.__dataclass_fields__
    )
