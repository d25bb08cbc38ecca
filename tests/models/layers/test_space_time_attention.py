import pytest
import torch
from torch import Tensor

from pdray.models.layers.space_time_attention import SpaceTimeAttention, TokenAttention

BATCH, STEPS, TOKENS, DIM, HEADS = 2, 4, 3, 6, 2


def seeded(*, over_space: bool = True, over_time: bool = True) -> SpaceTimeAttention:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        block = SpaceTimeAttention(
            DIM, num_heads=HEADS, dropout=0.0, over_space=over_space, over_time=over_time
        ).double()
        for parameter in block.parameters():
            torch.nn.init.normal_(parameter)
    return block


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def all_there() -> Tensor:
    return torch.ones(BATCH, STEPS, TOKENS, dtype=torch.bool)


def some_absent() -> Tensor:
    """Token 1 lacks in the first frame of the first snippet, token 2 in all of the second's."""
    is_there = all_there()
    is_there[0, 0, 1] = False
    is_there[1, :, 2] = False
    return is_there


# An independent attention: one query, one key, one head at a time.


def slow_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    centred = x - x.mean()
    return centred / (centred.square().mean() + 1e-5).sqrt() * weight + bias


def slow_attend(
    rows: list[Tensor], is_there: list[bool], attention: TokenAttention
) -> list[Tensor]:
    norm, maps, out = attention.norm, attention.query_key_value, attention.out
    read = [maps.weight @ slow_norm(row, norm.weight, norm.bias) + maps.bias for row in rows]
    size = DIM // HEADS
    results = []
    for i, row in enumerate(rows):
        heads = []
        for head in range(HEADS):
            part = slice(head * size, (head + 1) * size)
            query = read[i][:DIM][part]
            seen = [j for j in range(len(rows)) if is_there[j] or j == i]
            scores = [
                torch.exp((query * read[j][DIM : 2 * DIM][part]).sum() / size**0.5) for j in seen
            ]
            values = [read[j][2 * DIM :][part] for j in seen]
            total = sum(score * value for score, value in zip(scores, values, strict=True))
            heads.append(total / sum(scores))
        results.append(row + out.weight @ torch.cat(heads) + out.bias)
    return results


def slow_forward(block: SpaceTimeAttention, x: Tensor, is_there: Tensor) -> Tensor:
    y = x.clone()
    for b in range(BATCH):
        if block.space is not None:
            for t in range(STEPS):
                rows = slow_attend(list(y[b, t]), is_there[b, t].tolist(), block.space)
                y[b, t] = torch.stack(rows)
        if block.time is not None:
            for r in range(TOKENS):
                rows = slow_attend(list(y[b, :, r]), is_there[b, :, r].tolist(), block.time)
                y[b, :, r] = torch.stack(rows)
    return y


@pytest.mark.parametrize("over_space", [True, False])
@pytest.mark.parametrize("over_time", [True, False])
def test_tokens_of_a_frame_attend_and_then_frames_of_a_token(
    over_space: bool, over_time: bool
) -> None:
    block = seeded(over_space=over_space, over_time=over_time)
    x = draw(BATCH, STEPS, TOKENS, DIM)
    with torch.no_grad():
        for is_there in (all_there(), some_absent()):
            torch.testing.assert_close(block(x, is_there), slow_forward(block, x, is_there))


def test_permuted_frames_give_permuted_frames() -> None:
    # Reshaped without a transpose, a "region" would be a run of tokens of several regions.
    block, x, order = seeded(), draw(BATCH, STEPS, TOKENS, DIM), [2, 0, 3, 1]
    is_there = some_absent()
    with torch.no_grad():
        moved = block(x[:, order], is_there[:, order])
        torch.testing.assert_close(moved, block(x, is_there)[:, order])


def test_permuted_tokens_give_permuted_tokens() -> None:
    block, x, order = seeded(), draw(BATCH, STEPS, TOKENS, DIM), [2, 0, 1]
    with torch.no_grad():
        moved = block(x[:, :, order], all_there())
        torch.testing.assert_close(moved, block(x, all_there())[:, :, order])


def reached(block: SpaceTimeAttention, place: tuple[int, int, int]) -> Tensor:
    """Return (B, T, R) which outputs hang on the token of a snippet, a frame and a place."""
    x = draw(BATCH, STEPS, TOKENS, DIM)
    other = x.clone()
    other[place] += torch.linspace(1, 2, DIM, dtype=torch.float64) ** 2
    with torch.no_grad():
        return (block(x, all_there()) - block(other, all_there())).abs().amax(3) > 1e-9


def test_attention_over_time_stays_with_its_token_and_over_space_within_its_frame() -> None:
    place = (1, 2, 0)
    in_time = torch.zeros(BATCH, STEPS, TOKENS, dtype=torch.bool)
    in_space = in_time.clone()
    in_time[1, :, 0], in_space[1, 2] = True, True
    assert torch.equal(reached(seeded(over_space=False), place), in_time)
    assert torch.equal(reached(seeded(over_time=False), place), in_space)
    everywhere = torch.zeros_like(in_time)
    everywhere[1] = True
    assert torch.equal(reached(seeded(), place), everywhere)


def test_what_stands_where_a_token_is_absent_changes_nothing_elsewhere() -> None:
    block, is_there = seeded(), some_absent()
    x = draw(BATCH, STEPS, TOKENS, DIM).requires_grad_()
    other = torch.where(is_there[..., None], x.detach(), 1e3)
    torch.testing.assert_close(block(x, is_there)[is_there], block(other, is_there)[is_there])
    (slopes,) = torch.autograd.grad(block(x, is_there)[is_there].square().sum(), x)
    assert not slopes[~is_there].any()
    assert slopes[is_there].any(dim=1).all()


def test_sequences_without_a_token_are_finite() -> None:
    block = seeded()
    x = draw(BATCH, STEPS, TOKENS, DIM).requires_grad_()
    y = block(x, torch.zeros(BATCH, STEPS, TOKENS, dtype=torch.bool))
    (slopes,) = torch.autograd.grad(y.square().sum(), x)
    assert y.isfinite().all()
    assert slopes.isfinite().all()


def test_dropout_acts_in_training_only() -> None:
    block = SpaceTimeAttention(DIM, num_heads=1, dropout=0.5, over_space=True, over_time=True)
    x = draw(BATCH, STEPS, TOKENS, DIM).float()
    assert not torch.equal(block(x, all_there()), block(x, all_there()))
    block.eval()
    assert torch.equal(block(x, all_there()), block(x, all_there()))


def test_heads_that_do_not_divide_the_features_are_refused() -> None:
    with pytest.raises(ValueError, match="num_heads 4 must divide the 6 features"):
        TokenAttention(6, num_heads=4, dropout=0.0)
