import pytest

from pdray import errors
from pdray.errors import ManifestError, PdrayError, SettingsError, refuse


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
