import numpy as np
import torch

from pdray.models.estimators.modality_attention import ModalityAttention, packed


def example(sizes: list[int], num: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    numbers = [torch.from_numpy(rng.normal(0, 1, (num, size))) for size in sizes]
    logs = torch.from_numpy(rng.normal(0, 2, (len(sizes), num, 3))).log_softmax(2)
    present = torch.from_numpy(rng.random((len(sizes), num)) < 0.6)
    present[0, ~present.any(0)] = True
    return numbers, logs, present


def drawn(sizes: list[int], **settings: float) -> ModalityAttention:
    torch.manual_seed(0)
    network = ModalityAttention(sizes, 3, num_hidden=4, dropout=0.0, **settings).double().eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    return network


def test_it_is_the_formula_of_the_module_in_float64() -> None:
    sizes, lam = [2, 5, 3], 1.5
    numbers, logs, present = example(sizes, 6)
    network = drawn(sizes, uncertainty=lam)
    found = network(packed(numbers, logs, present)).detach().numpy()
    weight = {name: value.detach().numpy() for name, value in network.named_parameters()}

    def linear(name: str, x: np.ndarray) -> np.ndarray:
        return weight[f"{name}.weight"] @ x + weight[f"{name}.bias"]

    for b in range(6):
        has = [m for m in range(3) if present[m, b]]
        h, doubt = {}, {}
        for m in has:
            token = np.maximum(linear(f"tokens.{m}", numbers[m][b].numpy()), 0)
            token = (token - token.mean()) / np.sqrt(token.var() + 1e-5)
            h[m] = token * weight["norm.weight"] + weight["norm.bias"]
            p = np.exp(logs[m, b].numpy())
            doubt[m] = -(p * np.log(p)).sum() / np.log(3)
        fused = weight["bias_K"].copy()
        for m in has:
            score = np.array([
                linear("query", h[m]) @ linear("key", h[n]) / 2 - lam * (doubt[m] + doubt[n])
                for n in has
            ])  # fmt: skip
            share = np.exp(score) / np.exp(score).sum()
            z = sum(a * linear("value", h[n]) for a, n in zip(share, has, strict=True))
            fused += weight["weight_M"][m] * logs[m, b].numpy() / len(has)
            fused += z @ weight["context_MHK"][m]
        np.testing.assert_allclose(found[b], fused, rtol=1e-10, atol=1e-12)


def test_untrained_it_is_the_mean_and_an_absent_modality_plays_no_part() -> None:
    sizes = [2, 3]
    numbers, logs, present = example(sizes, 8, seed=1)
    torch.manual_seed(0)
    fresh = ModalityAttention(sizes, 3, num_hidden=4, uncertainty=1.0, dropout=0.5).double().eval()
    count = present.sum(0)[:, None]
    mean = (logs * present[:, :, None]).sum(0) / count
    torch.testing.assert_close(fresh(packed(numbers, logs, present)), mean)
    network = drawn(sizes, uncertainty=1.0)
    other = [one + 7.0 * ~has[:, None] for one, has in zip(numbers, present, strict=True)]
    shifted = torch.where(present[:, :, None], logs, -1.0)
    torch.testing.assert_close(
        network(packed(other, shifted, present)), network(packed(numbers, logs, present))
    )
