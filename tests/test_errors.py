import errno

import pytest

from pdray import errors
from pdray.errors import ManifestError, PdrayError, SettingsError, StoreError, full_disk, refuse


def test_every_error_is_a_user_mistake():
    classes = [
        one
        for one in vars(errors).values()
        if isinstance(one, type) and one.__module__ == errors.__name__
    ]
    assert len(classes) > 5
    assert all(issubclass(one, PdrayError) for one in classes)


def test_no_fault_raises_nothing():
    refuse([], ManifestError, "m.csv")


def test_one_fault_is_one_line():
    with pytest.raises(ManifestError, match=r"^m\.csv: row 2: no grade$"):
        refuse(["row 2: no grade"], ManifestError, "m.csv")


def test_several_faults_are_counted_and_listed_in_order():
    with pytest.raises(SettingsError) as caught:
        refuse(["b is wrong", "a is wrong"], SettingsError, "settings")
    assert str(caught.value) == "settings, 2 faults:\n  - b is wrong\n  - a is wrong"


def caused(error, cause):
    error.__cause__ = cause
    return error


FULL = OSError(errno.ENOSPC, "No space left on device", "/x/y")


@pytest.mark.parametrize(
    ("error", "code", "place"),
    [
        (FULL, errno.ENOSPC, "/x/y"),
        (OSError(errno.EDQUOT, "quota"), errno.EDQUOT, None),
        (caused(StoreError("no entry"), caused(StoreError("none"), FULL)), errno.ENOSPC, "/x/y"),
        (RuntimeError(f"Traceback\nOSError: {FULL}\nmore"), errno.ENOSPC, "/x/y"),
        (StoreError("recording r: Disk quota exceeded; mend it"), errno.EDQUOT, None),
    ],
)
def test_a_full_disk_is_found_beneath_what_it_caused(error, code, place):
    found = full_disk(error)
    assert (found.errno, found.filename) == (code, place)


def test_other_faults_are_no_full_disk():
    assert full_disk(caused(StoreError("no entry"), OSError(errno.EROFS, "read-only"))) is None
    assert full_disk(ValueError("the list is full")) is None
