import math

import numpy as np
import pytest
import torch

from pdray.losses.patch_nce import patch_nce
from tests.fixtures.networks import draw


def unit(*shape: int, seed: int) -> torch.Tensor:
    return torch.nn.functional.normalize(draw(*shape, seed=seed), dim=-1)


def slow_patch_nce(query: np.ndarray, key: np.ndarray, temperature: float) -> list[float]:
    """Return eq. 3 of Park et al. 2020 for each picture, one place after the other."""
    losses = []
    for picture in range(len(query)):
        of_places = []
        for place in range(query.shape[1]):
            alike = [
                math.exp(float(query[picture, place] @ key[picture, other]) / temperature)
                for other in range(query.shape[1])
            ]
            of_places.append(-math.log(alike[place] / sum(alike)))
        losses.append(sum(of_places) / len(of_places))
    return losses


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_it_is_the_published_formula(temperature: float) -> None:
    query, key = unit(3, 7, 5, seed=1), unit(3, 7, 5, seed=2)
    found = patch_nce(query, key, temperature=temperature)
    right = slow_patch_nce(query.numpy(), key.numpy(), temperature)
    np.testing.assert_allclose(found.numpy(), right, rtol=2e-5)


def test_keys_that_are_alike_cost_the_logarithm_of_their_number() -> None:
    key = unit(2, 1, 4, seed=1).expand(2, 9, 4)
    found = patch_nce(unit(2, 9, 4, seed=2), key, temperature=0.07)
    torch.testing.assert_close(found, torch.full((2,), math.log(9)))


def test_negatives_are_places_of_the_same_picture_only() -> None:
    query, key = unit(2, 6, 4, seed=1), unit(2, 6, 4, seed=2)
    both = patch_nce(query, key, temperature=0.07)
    alone = patch_nce(query[:1], key[:1], temperature=0.07)
    torch.testing.assert_close(both[:1], alone)


def test_the_gradient_leads_to_the_query_alone_and_to_the_key_of_its_place() -> None:
    query, key = unit(1, 4, 8, seed=1).requires_grad_(), unit(1, 4, 8, seed=2).requires_grad_()
    patch_nce(query, key, temperature=0.5).sum().backward()
    assert key.grad is None
    assert query.grad is not None
    towards = (-query.grad * key.detach()).sum(dim=-1)
    assert (towards > 0).all()  # each query moves towards the key at its place


def test_it_is_computed_in_float32_under_autocast() -> None:
    query, key = unit(2, 6, 4, seed=1).float(), unit(2, 6, 4, seed=2).float()
    plainly = patch_nce(query, key, temperature=0.07)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(patch_nce(query, key, temperature=0.07), plainly)
