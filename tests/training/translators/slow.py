"""Losses of the three methods, written out in NumPy and float64 from the papers' equations."""

import numpy as np
from numpy.typing import NDArray

from tests.fixtures import plain_pictures as plain
from tests.fixtures.plain_pictures import Picture, Weights

BLOCKS, LAYERS = 2, 1  # of the generators and discriminators in these tests


def part(weights: Weights, name: str) -> Weights:
    """Return the weights of one network of a method."""
    return {
        key.removeprefix(f"{name}."): value
        for key, value in weights.items()
        if key.startswith(f"{name}.")
    }


def generate(x: Picture, weights: Weights, name: str, *, blurs: bool = False) -> Picture:
    return plain.generate(x, part(weights, name), num_blocks=BLOCKS, is_antialiased=blurs)[0]


def maps(x: Picture, weights: Weights) -> list[Picture]:
    return plain.generate(x, part(weights, "generator"), num_blocks=BLOCKS, is_antialiased=True)[1]


def score(x: Picture, weights: Weights, name: str) -> Picture:
    return plain.score(x, part(weights, name), num_layers=LAYERS)


def class_score(x: Picture, weights: Weights, classes: list[int]) -> Picture:
    """Return the scores of HRFAE's discriminator, of one class of each picture if it has such."""
    scores = score(x, weights, "discriminator")
    if scores.shape[1] == 1:
        return scores
    return np.stack([one[[number]] for one, number in zip(scores, classes, strict=True)])


def far_from(scores: Picture, wanted: float) -> float:
    return float(((scores - wanted) ** 2).mean())


def apart(one: Picture, other: Picture) -> float:
    return float(np.abs(one - other).mean())


def cyclegan(
    source: Picture, target: Picture, weights: Weights, other_weight: float = 0.0
) -> dict[str, float]:
    """Return the losses of Zhu et al. 2017, sections 3 to 5.2 (empty pool), and the change."""
    made, back = generate(source, weights, "generator"), generate(target, weights, "back")
    of_made, of_back = (
        score(made, weights, "discriminator"),
        score(back, weights, "discriminator_back"),
    )
    return {
        "adversarial": far_from(of_made, 1) + far_from(of_back, 1),
        "cycle": apart(generate(made, weights, "back"), source)
        + apart(generate(back, weights, "generator"), target),
        "identity": apart(generate(target, weights, "generator"), target)
        + apart(generate(source, weights, "back"), source),
        "change": apart(made, source) + apart(back, target),
        "discriminator": far_from(score(target, weights, "discriminator"), 1)
        + far_from(of_made, 0)
        + other_weight * far_from(score(source, weights, "discriminator"), 0),
        "discriminator_back": far_from(score(source, weights, "discriminator_back"), 1)
        + far_from(of_back, 0)
        + other_weight * far_from(score(target, weights, "discriminator_back"), 0),
    }


def project(
    x: Picture, places: NDArray[np.int64], weights: Weights, number: int
) -> NDArray[np.float64]:
    """Return the (B, P, 256) vectors of a map's places, each of norm 1."""
    pixels = x.reshape(*x.shape[:2], -1)[:, :, places].swapaxes(1, 2)
    name = f"heads.heads.{number}"
    hidden = pixels @ weights[f"{name}.0.weight"].T + weights[f"{name}.0.bias"]
    out = np.maximum(hidden, 0) @ weights[f"{name}.2.weight"].T + weights[f"{name}.2.bias"]
    return np.asarray(out / np.sqrt((out**2).sum(axis=2, keepdims=True)))


def patch_loss(
    made: Picture,
    given: Picture,
    places: list[NDArray[np.int64]],
    weights: Weights,
    keys_of: Weights,
) -> float:
    """Return PatchNCE, mean over pictures, places and maps; ``keys_of`` are constants."""
    losses = []
    both = zip(maps(made, weights), maps(given, keys_of), strict=True)
    for number, (query_map, key_map) in enumerate(both):
        queries = project(query_map, places[number], weights, number)
        keys = project(key_map, places[number], keys_of, number)
        for query, key in zip(queries, keys, strict=True):
            logits = query @ key.T / 0.07
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            shares /= shares.sum(axis=1, keepdims=True)
            losses.append(-np.log(np.diag(shares)).mean())
    return float(np.mean(losses))


def cut(
    source: Picture,
    target: Picture,
    places: list[NDArray[np.int64]],
    weights: Weights,
    keys_of: Weights,
) -> dict[str, float]:
    """Return the losses of the generator of Park et al. 2020, eq. 5, and the change."""
    made, kept = (generate(x, weights, "generator", blurs=True) for x in (source, target))
    return {
        "adversarial": far_from(score(made, weights, "discriminator"), 1),
        "patches": patch_loss(made, source, places, weights, keys_of),
        "identity": patch_loss(kept, target, places, weights, keys_of),
        "change": apart(made, source),
    }


def edit(x: Picture, weights: Weights, classes: list[int]) -> Picture:
    editor = part(weights, "editor")
    factors = np.stack([plain.class_factors(editor, one, 1.0) for one in classes])
    return plain.edit(x, editor, factors, num_blocks=BLOCKS)


def hrfae(
    pictures: Picture, own: list[int], wanted: list[int], guide: Weights, weights: Weights
) -> dict[str, float]:
    """Return the losses of the editor of Yao et al. 2020, section 3."""
    edited = edit(pictures, weights, wanted)
    logits = edited.mean(axis=(2, 3)) @ guide["weight"].T + guide["bias"]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return {
        "reconstruction": apart(edit(pictures, weights, own), pictures),
        "class": float(-np.log(shares[np.arange(len(wanted)), wanted]).mean()),
        "adversarial": far_from(class_score(edited, weights, wanted), 1),
        "change": apart(edited, pictures),
    }


def hrfae_discriminator(
    pictures: Picture, edited: Picture, own: list[int], wanted: list[int], weights: Weights
) -> dict[str, float]:
    """Return the losses of HRFAE's discriminator; ``other_class`` is not published."""
    real, fake = class_score(pictures, weights, own), class_score(edited, weights, wanted)

    def slope(picture: Picture, number: int) -> float:
        def scores(x: Picture) -> Picture:
            return class_score(x, weights, [number] * len(x))

        return plain.squared_slope(scores, picture[None])

    return {
        "discriminator": far_from(real, 1) + far_from(fake, 0),
        "other_class": far_from(class_score(pictures, weights, wanted), 0),
        "r1": float(np.mean(list(map(slope, pictures, own)))),
    }
