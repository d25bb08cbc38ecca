"""Measures steps of translators, with sampled patches and in bfloat16, for ``synthesis.py``."""

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from benchmarks.compare import Row, best
from pdray.models.layers.patch_heads import PatchHeads
from pdray.models.networks.face_editor_settings import HRFAEConfig
from pdray.models.networks.translator_settings import CUTConfig
from pdray.training.translators.cut import CUT
from pdray.training.translators.hrfae import HRFAE
from pdray.training.translators.method import Method

SIDE, BATCH, ROUNDS = 96, 2, 3
PATCH_GOAL, HALF_GOAL = 1.5, 1.6
SAME = 1e-4  # relative difference of the losses of both ways
SMALL = {"width_factor": 0.125, "num_blocks": 2, "discriminator_layers": 2}


class ProjectAll(PatchHeads):
    """Projects every place of each map, and takes the sampled ones from the projections."""

    def forward(self, maps: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """Return what :class:`PatchHeads` returns."""
        every = [torch.arange(x[0, 0].numel(), device=x.device) for x in maps]
        projected = super().forward(maps, every)
        return [one[:, at] for one, at in zip(projected, places, strict=True)]


def step(method: Method, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """Take one step on random pictures, always the same ones."""
    draws = torch.Generator().manual_seed(0)
    source, target = (2 * torch.rand(2, BATCH, 3, SIDE, SIDE, generator=draws) - 1).unbind()
    with torch.autocast("cpu", dtype=dtype, enabled=dtype != torch.float32):
        return method.step(source, target, torch.ones(BATCH, dtype=torch.int64), draws)


def cut(*, is_quick: bool, projects_all: bool = False) -> CUT:
    """Build CUT in its published size, or a small one; its weights are always the same."""
    torch.manual_seed(0)
    method = CUT(CUTConfig.model_validate(SMALL if is_quick else {}))
    if projects_all:
        method.heads.__class__ = ProjectAll
    return method


def hrfae(*, is_quick: bool, r1_weight: float) -> HRFAE:
    """Build HRFAE in its published size, or a small one, with a guide that costs little."""
    torch.manual_seed(0)
    guide = torch.nn.Sequential(
        torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 2)
    )
    values = {**(SMALL if is_quick else {}), "r1_weight": r1_weight}
    return HRFAE(HRFAEConfig.model_validate(values), 2, guide)


def patch_rows(*, is_quick: bool) -> Iterator[tuple[Row, bool]]:
    """Yield CUT's step with sampled patches beside projecting all, and whether losses agree."""
    mine, rival = (cut(is_quick=is_quick, projects_all=one) for one in (False, True))
    told, other = step(mine), step(rival)
    is_same = all(abs(told[name] / other[name] - 1) <= SAME for name in told)
    ways = [partial(step, mine), partial(step, rival)]
    ours, theirs = best(ways, rounds=1 if is_quick else ROUNDS)
    what = f"CUT, {BATCH} pairs of {SIDE} px, 256 patches"
    yield Row(what, ours, theirs, "projects all places", PATCH_GOAL), is_same


def half_rows(*, is_quick: bool) -> Iterator[Row]:
    """Yield steps in bfloat16 beside float32; no goal where the CPU has no bfloat16.

    The R1 penalty stays in float32, so the whole step of HRFAE has no goal either.
    """
    has_half = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    goal = HALF_GOAL if has_half else 0.0
    for name, method, its_goal in (
        ("CUT", cut(is_quick=is_quick), goal),
        ("HRFAE without R1", hrfae(is_quick=is_quick, r1_weight=0.0), goal),
        ("HRFAE", hrfae(is_quick=is_quick, r1_weight=10.0), 0.0),
    ):
        ways = [partial(step, method, dtype) for dtype in (torch.bfloat16, torch.float32)]
        for way in ways:
            way()
        ours, theirs = best(ways, rounds=1 if is_quick else ROUNDS)
        what = f"{name}, {BATCH} pairs of {SIDE} px, bfloat16"
        yield Row(what, ours, theirs, "float32", its_goal)
