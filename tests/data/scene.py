"""What the tests of drawn figures share: a plain look, and limbs that are held or moved."""

from collections.abc import Callable

import numpy as np

from pdray.data.limb import Appearance, Figure, draw_frames
from pdray.data.movement import Movement

SIZE = 64


def plain_look(size: int = SIZE) -> Appearance:
    """A dark flat wall, even light, no noise, no sway: only the person is left."""
    return Appearance(
        skin=np.array([0.9, 0.7, 0.6], np.float32),
        background=np.full((size, size, 3), 0.1, np.float32),
        light=np.ones((size, size), np.float32),
        scale=1.0,
        rotation=0.0,
        centre=np.zeros(2, np.float32),
        build=1.0,
        curl=0.4,
        noise=0.0,
        sway_px=0.0,
        cloth=np.array([0.5, 0.6, 0.7], np.float32),
        faces_left=False,
    )


def held(opening: float, num_frames: int = 2, shift: float = 0.0, cycles: float = 0.0) -> Movement:
    return Movement(
        opening=np.full(num_frames, opening, np.float32),
        tremor=np.full((num_frames, 2), shift, np.float32),
        cycles=np.full(num_frames, cycles),
    )


def opened(opening: np.ndarray) -> Movement:
    num_frames = len(opening)
    return Movement(
        opening=opening.astype(np.float32),
        tremor=np.zeros((num_frames, 2), np.float32),
        cycles=np.zeros(num_frames),
    )


def draw(
    figure_of: Callable[[Movement, Appearance], Figure],
    movement: Movement,
    look: Appearance,
    side: str = "right",
) -> np.ndarray:
    return draw_frames(figure_of(movement, look), side, look, np.random.default_rng(0))
