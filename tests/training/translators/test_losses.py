"""One step of each method: its losses and gradients are those of independent float64 code."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pdray.models.networks.face_editor_settings import HRFAEConfig
from pdray.models.networks.translator_settings import CUTConfig, CycleGANConfig
from pdray.training.translators.cut import CUT
from pdray.training.translators.cyclegan import CycleGAN
from pdray.training.translators.hrfae import HRFAE
from pdray.training.translators.method import Method
from tests.fixtures.networks import draw
from tests.fixtures.plain_pictures import Weights, fill_by_rule
from tests.training.translators import slow

SIZES = {
    "width_factor": 1 / 32,
    "num_blocks": slow.BLOCKS,
    "discriminator_layers": slow.LAYERS,
}
SOURCE, TARGET = (draw(2, 3, 16, 16, seed=seed).clamp(-1, 1) for seed in (1, 2))


class MeanColours(nn.Module):
    """A guide: three classes from the mean colours."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.linear(x.mean(dim=(2, 3)))
        return out


def one_step(
    method: Method, classes: Sequence[int] = (1, 1)
) -> tuple[dict[str, float], list[list[Tensor]]]:
    """Return the losses of a step, and the gradients of each optimiser in turn."""
    seen: list[list[Tensor]] = []
    method.average = lambda tensors: seen.append([one.clone() for one in tensors[:-1]])
    told = method.step(
        SOURCE.float(), TARGET.float(), torch.tensor(classes), torch.Generator().manual_seed(5)
    )
    return told, seen


def weights_of(method: Method) -> Weights:
    return {name: one.double().numpy().copy() for name, one in method.networks.state_dict().items()}


def check_slopes(
    total: Callable[[Weights], float], weights: Weights, gradients: Mapping[str, Tensor]
) -> None:
    """Compare gradients of some weights of each tensor with central differences."""
    assert gradients
    for name, gradient in gradients.items():
        place, step = gradient.numel() // 3, 1e-5
        totals = []
        for sign in (1, -1):
            moved = dict(weights)
            moved[name] = weights[name].copy()
            moved[name].flat[place] += sign * step
            totals.append(total(moved))
        slope = (totals[0] - totals[1]) / (2 * step)
        found = gradient.flatten()[place].item()
        assert found == pytest.approx(slope, rel=3e-3, abs=2e-4), name


def named(
    method: Method, networks: Sequence[str], gradients: Sequence[Tensor]
) -> dict[str, Tensor]:
    """Return the gradients by the names of their weights."""
    names = [
        f"{network}.{name}"
        for network in networks
        for name, _ in method.networks[network].named_parameters()
    ]
    return dict(zip(names, gradients, strict=True))


def chosen(gradients: Mapping[str, Tensor], *ends: str) -> dict[str, Tensor]:
    found = {name: one for name, one in gradients.items() if name.endswith(ends)}
    assert len(found) >= len(ends)
    return found


@pytest.mark.parametrize("change_weight", [0.0, 4.0])
def test_cyclegan(change_weight: float) -> None:
    other = change_weight / 8  # of both, either is there or none
    settings = {
        **SIZES, "cycle_weight": 3.0, "change_weight": change_weight, "other_weight": other,
    }  # fmt: skip
    method = CycleGAN(CycleGANConfig.model_validate(settings))
    fill_by_rule(method.networks)
    weights = weights_of(method)
    told, (of_generators, of_discriminators) = one_step(method)
    inputs = SOURCE.numpy(), TARGET.numpy()
    assert told == pytest.approx(
        asked(slow.cyclegan(*inputs, weights, other), change_weight), rel=1e-4
    )

    def total(moved: Weights) -> float:
        losses = slow.cyclegan(*inputs, moved)
        kept = 3 * losses["cycle"] + 3 * 0.5 * losses["identity"]
        return losses["adversarial"] + kept + change_weight * losses["change"]

    found = named(method, ["generator", "back"], of_generators)
    check_slopes(total, weights, chosen(found, "generator.stem.weight", "back.head.weight"))

    def half(moved: Weights) -> float:
        losses = slow.cyclegan(*inputs, moved, other)
        return (losses["discriminator"] + losses["discriminator_back"]) / 2

    found = named(method, ["discriminator", "discriminator_back"], of_discriminators)
    check_slopes(half, weights, chosen(found, "convs.0.weight", "head.weight"))


def asked(losses: dict[str, float], change_weight: float) -> dict[str, float]:
    """Return the losses that a method tells: without the change, if that has no weight."""
    return {name: one for name, one in losses.items() if name != "change" or change_weight > 0}


@pytest.mark.parametrize("change_weight", [0.0, 4.0])
def test_cut(change_weight: float) -> None:
    other = change_weight / 8
    settings = {
        **SIZES, "patch_weight": 2.0, "identity_weight": 0.7, "num_patches": 20,
        "change_weight": change_weight, "other_weight": other,
    }  # fmt: skip
    method = CUT(CUTConfig.model_validate(settings))
    fill_by_rule(method.networks)
    weights = weights_of(method)
    told, (of_discriminator, of_generator) = one_step(method)
    # The generator is judged by the discriminator after its step.
    after = {
        name: one if "discriminator" in name else weights[name]
        for name, one in weights_of(method).items()
    }
    draws = torch.Generator().manual_seed(5)
    places = [torch.randperm(size, generator=draws)[:20].numpy() for size in (256, 256, 64, 16, 16)]
    inputs = SOURCE.numpy(), TARGET.numpy(), places
    right = slow.cut(*inputs, after, after)
    made = slow.generate(SOURCE.numpy(), weights, "generator", blurs=True)
    right["discriminator"] = slow.far_from(
        slow.score(TARGET.numpy(), weights, "discriminator"), 1
    ) + slow.far_from(slow.score(made, weights, "discriminator"), 0)
    of_source = slow.far_from(slow.score(SOURCE.numpy(), weights, "discriminator"), 0)
    right["discriminator"] += other * of_source
    assert told == pytest.approx(asked(right, change_weight), rel=1e-4)

    def total(moved: Weights) -> float:
        losses = slow.cut(*inputs, moved, after)  # keys are constants
        kept = 2 * losses["patches"] + 0.7 * losses["identity"]
        return losses["adversarial"] + kept + change_weight * losses["change"]

    found = named(method, ["generator", "heads"], of_generator)
    wanted = chosen(found, "stem.weight", "head.weight", "heads.4.0.weight", "heads.0.2.bias")
    check_slopes(total, after, wanted)
    assert len(of_discriminator) == len(list(method.discriminator.parameters()))


@pytest.mark.parametrize("by_class", [False, True])
def test_hrfae(by_class: bool) -> None:
    guide = MeanColours()
    of_guide = fill_by_rule(guide.linear)
    settings = {**SIZES, "width_factor": 1 / 16, "class_weight": 0.4, "r1_weight": 6.0}
    unpublished = {"class_discriminator": True, "change_weight": 0.8} if by_class else {}
    method = HRFAE(HRFAEConfig.model_validate(settings | unpublished), 3, guide)
    fill_by_rule(method.networks)
    weights = weights_of(method)
    told, (of_discriminator, of_editor) = one_step(method, classes=(2, 1))
    after = {
        name: one if "discriminator" in name else weights[name]
        for name, one in weights_of(method).items()
    }
    pictures = np.concatenate([SOURCE.numpy(), TARGET.numpy()])
    own, wanted = [0, 0, 2, 1], [2, 1, 0, 0]
    edited = slow.edit(pictures, weights, wanted)
    right = slow.hrfae(pictures, own, wanted, of_guide, after)
    right |= slow.hrfae_discriminator(pictures, edited, own, wanted, weights)
    names = {*right} - (set() if by_class else {"change", "other_class"})
    assert told == pytest.approx({name: right[name] for name in names}, rel=1e-4)

    def total(moved: Weights) -> float:
        losses = slow.hrfae(pictures, own, wanted, of_guide, moved)
        change = 0.8 * losses["change"] if by_class else 0.0
        return (
            10 * losses["reconstruction"] + 0.4 * losses["class"] + losses["adversarial"] + change
        )

    found = named(method, ["editor"], of_editor)
    check_slopes(total, after, chosen(found, "stem.weight", "modulation.weight", "up2.1.weight"))

    def of_judge(moved: Weights) -> float:
        losses = slow.hrfae_discriminator(pictures, edited, own, wanted, moved)
        other = losses["other_class"] if by_class else 0.0
        return losses["discriminator"] + 3 * losses["r1"] + other

    found = named(method, ["discriminator"], of_discriminator)
    check_slopes(of_judge, weights, chosen(found, "convs.1.weight", "discriminator.head.weight"))
    assert all(weight.grad is None for weight in guide.parameters())
