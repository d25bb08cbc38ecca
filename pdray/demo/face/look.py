"""Look of a SYNTHETIC face, apart from its form: colours, hair, glasses, wall and light."""

from dataclasses import dataclass

import numpy as np

from pdray.demo.illness.movement import Doubles, Floats


@dataclass(frozen=True)
class Look:
    """Colours, hair and surroundings; independent of the grade.

    Attributes:
        skin: (3,) RGB, 0 to 1; as all colours.
        lips: (3,).
        hair: (3,).
        iris: (3,).
        clothes: (3,).
        hairline: From the eyes up to the hair, in distances between the eyes.
        hair_length: How far below the eyes the hair ends at the sides; below 0 is short hair.
        has_glasses: Whether the person wears them.
        background: (3, H, W) float32 RGB, 0 to 1, smooth.
        light: (3, H, W) float32, factors around 1.
        lamp: (2,) how much brighter the face is to the right and to the bottom.
        noise: Standard deviation of the sensor [grey levels of 255].
    """

    skin: Floats
    lips: Floats
    hair: Floats
    iris: Floats
    clothes: Floats
    hairline: float
    hair_length: float
    has_glasses: bool
    background: Floats
    light: Floats
    lamp: tuple[float, float]
    noise: float


def draw_look(
    subject_rng: np.random.Generator, visit_rng: np.random.Generator, *, size: int
) -> Look:
    """Draw the look of one visit: skin, hair and glasses are the subject's, the rest the visit's.

    Args:
        subject_rng: The same state for every visit of a subject.
        visit_rng: The visit's own.
        size: Height and width of the picture [px].

    Returns:
        The look.
    """
    tan = subject_rng.uniform(0.0, 1.0)
    skin = (1 - tan) * np.array([0.93, 0.75, 0.66]) + tan * np.array([0.5, 0.34, 0.26])
    red = subject_rng.uniform(0.25, 0.5)
    lips = (1 - red) * skin + red * np.array([0.62, 0.16, 0.2])
    grey = subject_rng.uniform(0.0, 1.0)
    brown = np.array([[0.13, 0.1, 0.08], [0.34, 0.22, 0.13], [0.62, 0.47, 0.28]])
    hair = (1 - grey) * brown[subject_rng.integers(0, 2 if tan > 0.5 else 3)] + grey * 0.68
    irises = np.array([[0.2, 0.12, 0.08], [0.3, 0.38, 0.48], [0.3, 0.34, 0.22]])
    iris = irises[0 if tan > 0.5 else subject_rng.integers(0, 3)]
    is_long = subject_rng.uniform() < 0.45
    long, short = subject_rng.uniform(1.0, 2.4), subject_rng.uniform(-0.3, -0.1)
    y, x = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size), indexing="ij")
    slope = visit_rng.uniform(-0.12, 0.12, 2)
    light = visit_rng.uniform(0.85, 1.08) * (1 + slope[0] * x + slope[1] * y)
    tint = 1 + visit_rng.uniform(-0.05, 0.05) * np.array([1.0, 0.0, -1.0])
    clothes = visit_rng.uniform(0.1, 0.8, 3)
    return Look(
        skin=skin.astype(np.float32),
        lips=lips.astype(np.float32),
        hair=hair.astype(np.float32),
        iris=iris.astype(np.float32),
        clothes=clothes.astype(np.float32),
        hairline=subject_rng.uniform(0.85, 1.15),
        hair_length=long if is_long else short,
        has_glasses=bool(subject_rng.uniform() < 0.3),
        background=_wall(x, y, visit_rng),
        light=np.asarray(tint[:, None, None] * light, np.float32),
        lamp=(float(visit_rng.uniform(-0.2, 0.2)), float(visit_rng.uniform(-0.12, 0.0))),
        noise=visit_rng.uniform(1.0, 3.0),
    )


def _wall(x: Doubles, y: Doubles, rng: np.random.Generator) -> Floats:
    """Return (3, H, W) a wall with a few soft shadows."""
    wall = rng.uniform(0.15, 0.8) + rng.uniform(-0.06, 0.06, (3, 1, 1)) + np.zeros((3, *x.shape))
    for _ in range(5):
        middle, width = rng.uniform(-1, 1, 2), rng.uniform(0.25, 0.7, 2)
        reach = ((x - middle[0]) / width[0]) ** 2 + ((y - middle[1]) / width[1]) ** 2
        wall += rng.uniform(-0.1, 0.1, (3, 1, 1)) / (1 + np.exp((4 * (reach - 1)).clip(-10, 10)))
    return np.asarray(wall.clip(0.03, 0.97), np.float32)
