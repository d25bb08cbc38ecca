import pytest
import torch

from pdray.losses.soft_target import mean_over_votes, target_shares


def test_a_class_is_one_hot_and_shares_stay() -> None:
    one_hot = target_shares(torch.tensor([2, 0]), 3, torch.float64)
    assert one_hot.dtype == torch.float64
    assert one_hot.tolist() == [[0, 0, 1], [1, 0, 0]]
    shares = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    assert target_shares(shares, 2, torch.float32).tolist() == shares.tolist()


def test_thirds_of_votes_sum_to_one_closely_enough() -> None:
    thirds = torch.full((1, 3), 1 / 3)
    assert target_shares(thirds, 3, torch.float32).tolist() == thirds.tolist()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (torch.tensor([0, 3]), r"target 3 at position 1 is outside 0\.\.2"),
        (torch.tensor([-1, 0]), r"target -1 at position 0 is outside 0\.\.2"),
        (
            torch.tensor([[0.5, 0.5, 0], [0.5, 0.6, 0]]),
            r"\[0\.5, 0\.6, 0\.0\] at position 1 must be",
        ),
        (torch.tensor([[1.5, -0.5, 0]]), r"\[1\.5, -0\.5, 0\.0\] at position 0 must be from 0"),
        (torch.tensor([[torch.nan, 0.5, 0.5]]), r"\[nan, 0\.5, 0\.5\] at position 0"),
        (torch.tensor([[0.5, 0.5]]), r"shape \(1, 2\) and type torch\.float32 is neither"),
        (torch.tensor([0.0, 1.0]), r"shape \(2,\) and type torch\.float32 is neither"),
        (torch.tensor([[0, 1, 0]]), r"shape \(1, 3\) and type torch\.int64 is neither"),
    ],
)
def test_what_is_no_target_is_named(target: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        target_shares(target, 3, torch.float32)


def test_the_mean_over_votes_is_the_mean_of_each_raters_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    votes = torch.tensor([[0, 1, 1, 2], [2, 2, 2, 2], [0, 0, 1, 1], [1, 0, 2, 1]])

    def loss(outputs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return (outputs.gather(1, target[:, None])[:, 0] - 1.5 * target).square()

    shares = torch.nn.functional.one_hot(votes, 3).double().mean(dim=1)
    expected = torch.stack([loss(outputs, votes[:, i]) for i in range(4)]).mean(dim=0)
    torch.testing.assert_close(mean_over_votes(loss, outputs, shares), expected)


def test_votes_that_are_no_shares_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\[0\.2, 0\.2\] at position 0"):
        mean_over_votes(lambda z, y: z[:, 0], torch.zeros(1, 2), torch.tensor([[0.2, 0.2]]))
