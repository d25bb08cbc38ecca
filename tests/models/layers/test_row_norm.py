import numpy as np
import torch
from torch import nn

from pdray.models.layers.row_norm import norm_rows


def made() -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(2).double()
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([2.0, 0.5]))
        norm.bias.copy_(torch.tensor([1.0, -1.0]))
        norm.running_mean.copy_(torch.tensor([3.0, -4.0]))
        norm.running_var.copy_(torch.tensor([4.0, 0.25]))
    return norm


def test_rows_are_normalised_together_in_training() -> None:
    x = np.array([[1.0, 5.0], [3.0, 9.0], [8.0, 1.0]])
    share = (x - x.sum(axis=0) / 3) / np.sqrt(((x - x.sum(axis=0) / 3) ** 2).sum(axis=0) / 3 + 1e-5)
    got = norm_rows(made(), torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(got, share * [2.0, 0.5] + [1.0, -1.0], rtol=1e-9)


def test_one_row_is_normalised_by_what_was_seen_and_changes_nothing() -> None:
    norm = made()
    x = torch.tensor([[5.0, -3.0]], dtype=torch.float64)
    expected = [2.0 * 2.0 / np.sqrt(4 + 1e-5) + 1.0, 0.5 * 1.0 / np.sqrt(0.25 + 1e-5) - 1.0]
    for training in (True, False):
        got = norm_rows(norm.train(training), x).detach().numpy()
        np.testing.assert_allclose(got, [expected], rtol=1e-9)
    assert norm.running_mean.tolist() == [3.0, -4.0]
    assert int(norm.num_batches_tracked) == 0
