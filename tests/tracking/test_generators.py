import pytest

from pdray.errors import StudyError
from pdray.models import MODELS
from pdray.tracking.generators import generator_of, refuse_generator


@pytest.mark.parametrize("name", MODELS)
def test_every_model_either_grades_or_makes_pictures(name: str) -> None:
    settings = {"model": {"name": name}}
    assert generator_of(settings) == ("" if MODELS[name].predicts else name)
    if not MODELS[name].predicts:
        with pytest.raises(StudyError, match=f"study s: its model {name} makes pictures and"):
            refuse_generator("s", settings)


def test_those_that_make_pictures_are_among_them() -> None:
    found = {name for name in MODELS if generator_of({"model": {"name": name}})}
    assert found >= {"cyclegan", "cut", "hrfae"}


@pytest.mark.parametrize("settings", [{}, {"model": {"name": "of_a_plug_in"}}])
def test_a_model_that_is_not_known_is_none(settings: dict[str, object]) -> None:
    refuse_generator("s", settings)
    assert generator_of(settings) == ""
