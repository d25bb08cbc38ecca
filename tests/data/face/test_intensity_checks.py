"""Files of intensities of one study: one network, and nobody that it learnt from."""

import pytest

from pdray.data.cohort.manifest import Recording
from pdray.data.face.intensities import text_digest, write_intensities
from pdray.data.face.intensity_checks import check_intensities
from pdray.errors import DecodeError
from tests.fixtures.intensities_made import CLASSES, ITEMS, made_intensities


@pytest.fixture
def visits(tmp_path):
    """Return a function that writes the file of each visit; the first is as it is made."""

    def write(subject="S2", **changes):
        for number, some in enumerate(({}, changes)):
            write_intensities(tmp_path / f"{number}.npz", made_intensities(**some))
        people = ("S1", subject)
        return [
            Recording(f"V{number}", people[number], "expressions",
                      intensities=tmp_path / f"{number}.npz")
            for number in (0, 1)
        ] + [Recording("V2", "S3", "expressions")]  # fmt: skip

    return write


def test_visits_of_one_network_are_accepted_with_or_without_a_file(visits):
    check_intensities(visits(other_people=True, subject="A1"))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tau": 0.02}, "recording V1: its tau 0.02 differ from 0.01 of recording V0"),
        ({"phrases": tuple("abcd")}, "its phrases .* differ from"),
        ({"weights": text_digest("others")}, "its weights .* differ from"),
        ({"num_frames": 8}, "its num_frames 8 differ from 16"),
        ({"items": ITEMS[::-1], "classes": CLASSES[::-1]}, "its items .* differ from"),
        ({"subject": "A-01"}, "learnt from subject A-01; remove the row"),
        ({"learnt_contents": (text_digest("file"),), "other_people": True},
         "learnt from a file of this visit"),
    ],
)  # fmt: skip
def test_another_network_and_people_that_it_learnt_from_are_refused(visits, changes, told):
    with pytest.raises(DecodeError, match=told):
        check_intensities(visits(**changes))


def test_a_damaged_file_is_named_by_its_recording(visits):
    rows = visits()
    rows[1].intensities.write_bytes(b"PK nothing")
    with pytest.raises(DecodeError, match="recording V1: its file of intensities is not an"):
        check_intensities(rows)
