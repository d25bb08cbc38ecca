import math

import numpy as np
import torch

from pdray.training.translators.pictures import as_codes, as_floats, mean_distance

CPU = torch.device("cpu")


def test_every_code_comes_back() -> None:
    codes = np.arange(768, dtype=np.uint8).reshape(1, 16, 16, 3)
    x = as_floats(codes, CPU)
    assert x.shape == (1, 3, 16, 16)
    assert (float(x.min()), float(x.max())) == (-1.0, 1.0)
    np.testing.assert_array_equal(as_codes(x), codes)
    np.testing.assert_array_equal(as_codes(x * 3)[..., 0].max(), 255)


def test_the_distance_is_the_mean_over_pairs() -> None:
    x = torch.zeros(3, 3, 2, 2)
    x[1, 0, 0, 0], x[2, 1, 1, 1] = 3.0, 4.0
    assert math.isclose(mean_distance(x), (3 + 4 + 5) / 3, rel_tol=1e-6)
