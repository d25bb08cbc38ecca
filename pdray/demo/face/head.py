"""Draw what hardly changes in a SYNTHETIC person: shoulders, hair, ears, the head, glasses.

The head is the ellipse on which the contour's landmarks lie, in every frame.
"""

from dataclasses import dataclass

import numpy as np

from pdray.data.face.points import INDEX
from pdray.demo.face.look import Look
from pdray.demo.face.raster import Window, blend, paint_line, paint_spot, window
from pdray.demo.face.shape import MIDDLE_Y, Placement, Shape
from pdray.demo.illness.movement import Doubles, Floats


@dataclass(frozen=True)
class Creases:
    """Folds of the skin that a posed expression makes, in each of N frames.

    Attributes:
        frown: (N, 1, 1) float32, between the brows, 0 none to 1 deep.
        cheek: (N, 1, 1) float32, beside nose, mouth and eyes, and of the lifted cheek.
    """

    frown: Floats
    cheek: Floats


@dataclass(frozen=True)
class Scene:
    """A few frames that are drawn together.

    Attributes:
        shape: The person's.
        look: The visit's.
        placement: Of the head in each frame.
        chin: (N,) from the eyes down [distances between the eyes].
        points: (N, 106, 2) landmarks [px].
        picture: (3, N, H, W) float32 RGB, 0 to 1, painted in place.
        creases: Of a face that performs an expression; None of one that talks.
        fold: Depth of the fold between nose and mouth at rest, around 1.
    """

    shape: Shape
    look: Look
    placement: Placement
    chin: Doubles
    points: Floats
    picture: Floats
    creases: Creases | None = None
    fold: float = 1.0

    def part(self, *names: str) -> Floats:
        """Return (N, len(names), 2) landmarks by name [px]."""
        return self.points[:, [INDEX[name] for name in names]]

    @property
    def steps(self) -> int:
        """Return how many pieces a curve has between two landmarks, by the picture's size."""
        return max(1, round(self.placement.unit_px / 25))

    def px(self, units: float) -> float:
        """Return a length in pixels."""
        return units * self.placement.unit_px

    def line(
        self,
        points: Floats,
        colour: Floats,
        width: float,
        strength: Floats | float = 1,
        soft: float = 0,
    ) -> None:
        """Paint a line; half its width and what its edges fade beyond a pixel are in units."""
        softness = self.px(soft) + 1
        paint_line(
            self.picture, points, colour, self.px(width), strength=strength, softness=softness
        )

    def spot(
        self,
        centre: Floats,
        radii: tuple[float, float],
        colour: Floats,
        strength: Floats | float,
    ) -> None:
        """Paint a spot, its radii in units."""
        across, down = radii
        paint_spot(self.picture, centre, (self.px(across), self.px(down)), colour, strength)


@dataclass(frozen=True)
class Plane:
    """The part of the pictures that hair and head can reach, in coordinates of the head.

    Attributes:
        place: That part.
        u: (N, h, w) float32 to the right of the head's middle [distances between the eyes].
        v: (N, h, w) float32 below it.
        unit_px: Length of one unit [px].
    """

    place: Window
    u: Floats
    v: Floats
    unit_px: float

    def between(self, top: float, bottom: float) -> "Plane":
        """Return the rows that show something of a range of v."""
        seen = (self.v.max(axis=(0, 2)) > top) & (self.v.min(axis=(0, 2)) < bottom)
        rows = np.flatnonzero(seen)
        part = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
        start = self.place.rows.start
        whole = Window(
            slice(start + part.start, start + part.stop), self.place.columns,
            self.place.x, self.place.y[:, part],
        )  # fmt: skip
        return Plane(whole, self.u[:, part], self.v[:, part], self.unit_px)

    def ellipse(self, centre_v: float, radii: tuple[float, float]) -> Floats:
        """Return (N, h, w) about the signed distance to an ellipse, exact at its edge [px]."""
        x, y = self.u * np.float32(1 / radii[0]), (self.v - centre_v) * np.float32(1 / radii[1])
        y *= y
        level: Floats = x * x + y - 1
        np.minimum(y, 1, out=y)
        # Level over its slope; along the edge that goes from one radius to the other.
        y *= np.float32(0.5 * self.unit_px * (radii[1] - radii[0]))
        y += np.float32(0.5 * self.unit_px * radii[0])
        level *= y
        return level


def plane_between(
    scene: Scene, left_top: tuple[float, float], right_bottom: tuple[float, float]
) -> Plane:
    """Return what lies between two corners round the head's middle [distances between the eyes]."""
    unit = scene.placement.unit_px
    pivot = scene.placement.pivot.astype(np.float32)[:, None]
    reach = np.array([left_top, right_bottom], np.float32) * np.float32(unit)
    place = window(pivot + reach, scene.picture.shape[-1])
    roll = scene.placement.turn[:, 2, None, None]
    cos, sin = ((turn(roll) / unit).astype(np.float32) for turn in (np.cos, np.sin))
    x, y = place.x - pivot[..., :1], place.y - pivot[..., 1:]
    return Plane(place, cos * x + sin * y, cos * y - sin * x, unit)


def paint_body(scene: Scene, plane: Plane) -> None:
    """Shoulders, neck, the hair behind the head and the ears."""
    shape, look, unit = scene.shape, scene.look, scene.placement.unit_px
    lower = plane_between(scene, (-9.0, 1.3), (9.0, 9.0))
    blend(scene.picture, lower.place, _cover(lower.ellipse(3.05, (2.4, 1.25))), look.clothes)
    is_long = look.hair_length > 0
    width, end = (1.15 if is_long else 1.05) * shape.width, look.hair_length - MIDDLE_Y
    upper = plane.between(-9.0, end + 0.2)
    cap = upper.ellipse(0.0, (width, 1.08 * shape.top))
    side = np.abs(upper.u) - np.float32(width)
    tips = upper.v + np.float32(0.12) * upper.u * upper.u - np.float32(end)
    cover = _cover(np.maximum(np.where(upper.v < 0, cap, side * unit), tips * unit))
    blend(scene.picture, upper.place, cover, 0.7 * look.hair)
    neck = plane.between(0.9, 2.4)
    across = np.abs(neck.u) * np.float32(1 / (0.56 * shape.width))
    collar = neck.v + np.float32(0.25) * across * across - np.float32(2.25)
    cover = _cover(np.maximum((across - 1) * np.float32(0.56 * shape.width), collar) * unit)
    blend(scene.picture, neck.place, cover, 0.72 * look.skin)
    if not is_long:
        for centre in (-1.02 * shape.width, 1.02 * shape.width):
            _paint_ear(scene, centre)


def _paint_ear(scene: Scene, across: float) -> None:
    ear = plane_between(scene, (across - 0.2, -0.5), (across + 0.2, 0.5))
    shifted = Plane(ear.place, ear.u - np.float32(across), ear.v, ear.unit_px)
    cover = _cover(shifted.ellipse(0.05, (0.14, 0.27)))
    blend(scene.picture, ear.place, cover, 0.88 * scene.look.skin)


def paint_head(scene: Scene, plane: Plane) -> None:
    """Paint the ellipse of the contour's landmarks, lit from one side."""
    shape, look = scene.shape, scene.look
    right, down = (np.float32(share) for share in look.lamp)
    below = (1 / (scene.chin - MIDDLE_Y)).astype(np.float32)[:, None, None]
    jaw = plane.v.clip(0) * below
    jaw *= jaw
    high = plane.v.clip(None, 0) * np.float32(1 / shape.top)
    level = high * high + jaw
    jaw *= 1 - jaw
    # As in the contour: a square jaw is wider half-way down.
    x = plane.u * (np.float32(1 / shape.width) - np.float32(shape.jaw / shape.width) * jaw)
    x *= x
    level += x
    # Level over slope, as for an ellipse as high below as above.
    np.minimum(x, 1, out=x)
    inwards = np.float32(0.5 * plane.unit_px) * (1.6 - np.float32(1.6 - shape.width) * x)
    cover = _cover((level - 1) * inwards)
    level *= level
    shade = np.float32(1) + right * plane.u + down * plane.v - np.float32(0.16) * level
    _blend_shaded(scene.picture, plane.place, cover, shade, look.skin)


def paint_hair(scene: Scene, plane: Plane) -> None:
    """Paint the hair over the forehead; its line goes aside when the head turns."""
    shape, look = scene.shape, scene.look
    top = plane.between(-9.0, 0.1 - MIDDLE_Y)
    turned = (0.75 * np.sin(scene.placement.turn[:, 0, None, None])).astype(np.float32)
    bend = top.u - turned
    bend *= bend * np.float32(look.hairline / shape.width**2)
    edge = (top.v + np.float32(look.hairline + MIDDLE_Y) - bend) * np.float32(top.unit_px)
    outer = top.ellipse(0.0, (1.07 * shape.width, 1.08 * shape.top))
    cover = _cover(np.maximum(edge, outer))
    tone = 1 + np.float32(look.lamp[0]) * top.u - np.float32(0.12) * top.u * top.u
    _blend_shaded(scene.picture, top.place, cover, tone, look.hair)


def _cover(distance: Floats) -> Floats:
    return np.asarray((np.float32(0.5) - distance).clip(0, 1))


def _blend_shaded(
    picture: Floats, place: Window, cover: Floats, shade: Floats, colour: Floats
) -> None:
    """Blend a colour that is brighter where the (N, h, w) shade is."""
    kept = 1 - cover
    lit = cover * shade
    for channel in range(3):
        part = picture[channel, :, place.rows, place.columns]
        part *= kept
        part += lit * colour[channel]


def paint_glasses(scene: Scene) -> None:
    """Two rings and what holds them, before the face and fixed to it."""
    width = scene.shape.width
    spots = [(-0.5, 0.04), (0.5, 0.04), (-0.15, 0.0), (0.15, 0.0), (-0.85, 0.0), (0.85, 0.0)]
    count = len(scene.points)
    points = scene.placement.on_surface(np.repeat(np.array([spots]), count, axis=0), 0.1)
    temples = np.repeat(np.array([[(-width, -0.05), (width, -0.05)]]), count, axis=0)
    ends = scene.placement.on_plane(temples)
    frame, thin = np.array([0.12, 0.1, 0.1], np.float32), 0.018
    for number in (0, 1):
        place = window(points[:, number : number + 1], scene.picture.shape[-1], scene.px(0.4))
        away = np.hypot(
            *(axis - points[:, number, k, None, None] for k, axis in enumerate((place.x, place.y)))
        )
        ring = np.abs(away - np.float32(scene.px(0.35))) - scene.px(thin)
        blend(scene.picture, place, (0.5 - ring).clip(0, 1), frame)
        side = np.stack([points[:, 4 + number], ends[:, number]], axis=1)
        scene.line(side, frame, thin)
    scene.line(points[:, 2:4], frame, thin)
