import pickle

import pytest
import ray

from pdray.errors import ClusterError, DecodeError, PdrayError
from pdray.remote import answer, answers, raise_fault


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


@pytest.fixture
def cancelled(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a reference be the text of its answer, and "lost" that of a process that Ray lost."""
    found: list[str] = []

    def get(reference: str) -> object:
        if reference == "lost":
            raise ray.exceptions.WorkerCrashedError
        return answer(str.upper, reference)

    monkeypatch.setattr(ray, "wait", lambda waiting: (waiting[:1], waiting[1:]))
    monkeypatch.setattr(ray, "get", get)
    monkeypatch.setattr(ray, "cancel", found.append)
    return found


def test_answers_come_with_their_keys_and_nothing_is_cancelled(cancelled: list[str]) -> None:
    tasks = {1: "a", 2: "b"}
    assert dict(answers(tasks, who=str, what_stays="")) == {1: ("A", b""), 2: ("B", b"")}
    assert cancelled == []


def test_a_lost_process_is_named_and_the_rest_is_cancelled(cancelled: list[str]) -> None:
    tasks = {1: "a", 2: "lost", 3: "c"}
    found = answers(tasks, who=lambda key: f"task {key}", what_stays="run it again")
    assert next(found) == (1, ("A", b""))
    with pytest.raises(ClusterError, match=r"^task 2 was lost: .*; run it again$"):
        next(found)
    assert cancelled == ["c"]
