import numpy as np
import pytest

from benchmarks.curves import draw, sets
from pdray.search.space import holds, read_space


@pytest.mark.parametrize("name", list(sets()))
def test_settings_are_drawn_from_the_space(name: str) -> None:
    space, wrong = read_space(sets()[name].space)
    assert wrong == []
    drawn = [draw(space, np.random.default_rng(seed)) for seed in range(20)]
    assert all(holds(space[key], value) for one in drawn for key, value in one.items())
    for key in space:
        assert len({one[key] for one in drawn}) > 1
