import pickle

import pytest

from pdray.errors import DecodeError, PdrayError
from pdray.remote import answer, raise_fault


def halve(number: int) -> int:
    if number % 2:
        raise DecodeError(f"{number} is odd")
    return number // 2


def test_a_result_travels_without_a_fault() -> None:
    found, fault = pickle.loads(pickle.dumps(answer(halve, 4)))
    raise_fault(fault)
    assert found == 2


def test_an_error_arrives_with_its_type_and_words() -> None:
    found, fault = pickle.loads(pickle.dumps(answer(halve, 3)))
    assert found is None
    with pytest.raises(DecodeError, match=r"^3 is odd$") as caught:
        raise_fault(fault)
    assert isinstance(caught.value, PdrayError)


def test_what_the_user_cannot_mend_is_raised_in_the_task() -> None:
    with pytest.raises(TypeError):
        answer(halve, None)
