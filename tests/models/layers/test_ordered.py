import pytest
import torch
from torch import Tensor, nn

from pdray.losses.ordinal import class_log_probabilities
from pdray.models.layers.ordered import MIN_GAP, OrderedHead


class Scorer(nn.Module):
    """A network of one linear map of the mean colour, that takes segments."""

    MAP_LAYERS = ("first",)
    num_channels = 3
    num_features = 4

    def __init__(self, num_outputs: int = 1) -> None:
        super().__init__()
        self.first = nn.Linear(3, 4)
        self.fc = nn.Linear(4, num_outputs)

    def features(self, x_NCTHW: Tensor, num_segments: int = 1) -> Tensor:
        f_ND = self.first(x_NCTHW.mean(dim=(2, 3, 4)))
        return f_ND.unflatten(0, (-1, num_segments)).mean(dim=1)

    def classify(self, f_BD: Tensor) -> Tensor:
        return self.fc(f_BD)

    def forward(self, x_NCTHW: Tensor, num_segments: int = 1) -> Tensor:
        return self.classify(self.features(x_NCTHW, num_segments=num_segments))


def snippets(num: int = 4) -> Tensor:
    return torch.randn(num, 3, 2, 4, 4, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("num_classes", [2, 3, 5, 101])
def test_at_the_start_a_score_of_zero_means_every_class_equally(num_classes: int) -> None:
    head = OrderedHead(nn.Identity(), num_classes=num_classes)
    shares = class_log_probabilities(head(torch.zeros(1, 1))).exp()
    assert shares.shape == (1, num_classes)
    torch.testing.assert_close(shares, torch.full((1, num_classes), 1 / num_classes))


def test_logits_are_the_score_less_the_thresholds() -> None:
    head = OrderedHead(Scorer(), num_classes=4)
    logits = head(snippets())
    expected = head.scorer(snippets()) - head.thresholds()
    torch.testing.assert_close(logits, expected)
    assert logits.shape == (4, 3)


def test_thresholds_are_in_order_whatever_is_learnt() -> None:
    head = OrderedHead(nn.Identity(), num_classes=5)
    with torch.no_grad():
        head.first_threshold.fill_(3.0)
        head.get_parameter("raw_gap_I").copy_(torch.tensor([-200.0, 5.0, -200.0]))
    theta = head.thresholds()
    assert theta[0] == 3
    assert (theta.diff() > 0.99 * MIN_GAP).all()
    score = torch.linspace(-30, 30, 61)[:, None]
    shares = class_log_probabilities(head(score)).exp()
    above = shares.flip(1).cumsum(dim=1).flip(1)[:, 1:]
    assert (above.diff(dim=1) <= 1e-6).all()  # the share above k falls with k
    assert (above.diff(dim=0) >= -1e-6).all()  # and a higher score means higher grades


def test_every_parameter_has_a_gradient_and_the_order_survives_training() -> None:
    torch.manual_seed(0)
    head = OrderedHead(Scorer(), num_classes=4)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.5)
    for step in range(20):
        loss = -class_log_probabilities(head(snippets()))[:, 1].sum()
        optimizer.zero_grad()
        loss.backward()
        if step == 0:
            assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in head.parameters())
        optimizer.step()
        assert (head.thresholds().diff() > 0).all()


def test_what_the_network_takes_and_offers_passes_through() -> None:
    head = OrderedHead(Scorer(), num_classes=3)
    assert head(snippets(), num_segments=2).shape == (2, 2)
    assert head(snippets(), 4).shape == (1, 2)
    features = head.features(snippets(), num_segments=2)
    torch.testing.assert_close(features, head.scorer.features(snippets(), num_segments=2))
    torch.testing.assert_close(head.classify(features), head(snippets(), num_segments=2))
    assert (head.num_channels, head.num_features) == (3, 4)
    (name,) = head.MAP_LAYERS
    assert head.get_submodule(name) is head.scorer.first


def test_state_makes_the_round_trip() -> None:
    first, second = (OrderedHead(Scorer(), num_classes=4) for _ in range(2))
    with torch.no_grad():
        first.get_parameter("raw_gap_I").add_(1)
    second.load_state_dict(first.state_dict())
    torch.testing.assert_close(first(snippets()), second(snippets()), rtol=0, atol=0)


def test_a_half_precision_score_is_compared_with_thresholds_in_full() -> None:
    head = OrderedHead(nn.Identity(), num_classes=5)
    with torch.no_grad():
        head.get_parameter("raw_gap_I").fill_(-200.0)
    logits = head(torch.full((1, 1), 100.0, dtype=torch.bfloat16))
    assert logits.dtype == torch.float32
    assert (logits.diff(dim=1) < 0).all()
    assert OrderedHead(nn.Identity(), num_classes=5).double()(torch.zeros(1, 1)).dtype == (
        torch.float64
    )


def test_a_network_with_more_outputs_is_refused() -> None:
    head = OrderedHead(Scorer(num_outputs=3), num_classes=3)
    with pytest.raises(
        ValueError, match=r"gave \(4, 3\), expected \(B, 1\); build it for one class"
    ):
        head(snippets())


def test_one_class_is_refused() -> None:
    with pytest.raises(
        ValueError, match="num_classes: 1 is too few for ordered grades; use at least 2"
    ):
        OrderedHead(nn.Identity(), num_classes=1)
