import numpy as np
import torch

from pdray.models.layers.patch_heads import PatchHeads, draw_places
from tests.fixtures.networks import draw, seeded


def test_only_the_sampled_places_are_projected_as_the_formula_says() -> None:
    heads = seeded(lambda: PatchHeads((3, 5))).double()
    maps = [draw(2, 3, 4, 6, seed=1), draw(2, 5, 2, 3, seed=2)]
    places = [torch.tensor([23, 0, 7]), torch.tensor([4, 1])]
    found = heads(maps, places)
    for number, (x, at) in enumerate(zip(maps, places, strict=True)):
        first, second = (
            [tensor.detach().numpy() for tensor in heads.heads[number][layer].parameters()]
            for layer in (0, 2)
        )
        assert found[number].shape == (2, len(at), 256)
        for picture in range(2):
            for row, place in enumerate(at.tolist()):
                pixel = x[picture, :, place // x.shape[3], place % x.shape[3]].numpy()
                hidden = np.maximum(first[0] @ pixel + first[1], 0)
                out = second[0] @ hidden + second[1]
                right = out / np.sqrt((out**2).sum())
                np.testing.assert_allclose(
                    found[number][picture, row].detach().numpy(), right, atol=2e-7
                )


def test_places_are_different_and_follow_from_the_generator_alone() -> None:
    maps = [torch.empty(2, 3, 8, 8), torch.empty(2, 5, 2, 2)]
    first, again, other = (
        draw_places(maps, 20, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4)
    )
    torch.manual_seed(0)  # the global generator plays no part
    assert [len(one) for one in first] == [20, 4]  # a map of four places has no twenty
    assert len(first[0].unique()) == 20
    assert first[0].max() < 64
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
