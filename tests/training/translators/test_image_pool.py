import torch
from torch import Tensor

from pdray.training.translators.image_pool import ImagePool


def picture(number: int) -> Tensor:
    return torch.full((1, 3, 2, 2), float(number))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_pool_that_is_not_full_returns_the_new_pictures_and_keeps_them() -> None:
    pool = ImagePool(3)
    x = torch.cat([picture(0), picture(1)])
    assert torch.equal(pool.exchange(x, seeded()), x)
    assert [kept.mean().item() for kept in pool.pictures] == [0, 1]


def test_a_full_pool_returns_an_earlier_picture_about_every_second_time_and_keeps_the_new_one() -> (
    None
):
    pool, generator = ImagePool(5), seeded(1)
    kept: set[float] = set()
    numbers, places = [], []
    for number in range(2005):
        before = [one.mean().item() for one in pool.pictures]
        got = pool.exchange(picture(number), generator).mean().item()
        if number >= 5:
            numbers.append(got != number)
            if got != number:
                assert got in kept
                places.append(before.index(got))
        kept = {one.mean().item() for one in pool.pictures}
        assert len(kept) == min(number + 1, 5)
        assert (number in kept) == (number < 5 or got != number)
    assert abs(sum(numbers) / len(numbers) - 0.5) < 0.05  # 4.5 standard errors
    assert min(places.count(place) for place in range(5)) > 150  # 200 expected, SD 13


def test_pictures_in_the_pool_are_copies_without_gradient() -> None:
    pool = ImagePool(2)
    x = picture(1).requires_grad_()
    out = pool.exchange(x * 2, seeded())
    assert not out.requires_grad
    out.zero_()
    assert pool.pictures[0].mean().item() == 2


def test_a_pool_of_size_0_keeps_nothing() -> None:
    pool = ImagePool(0)
    assert torch.equal(pool.exchange(picture(4), seeded()), picture(4))
    assert pool.pictures == []


def test_a_restored_pool_goes_on_as_the_first_would() -> None:
    first, generator = ImagePool(4), seeded(2)
    for number in range(9):
        first.exchange(picture(number), generator)
    second = ImagePool(4)
    second.load(first.state())
    for number in range(9, 30):
        mine = first.exchange(picture(number), seeded(number))
        assert torch.equal(second.exchange(picture(number), seeded(number)), mine)
