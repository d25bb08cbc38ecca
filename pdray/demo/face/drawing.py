"""Draw a SYNTHETIC talking face around its landmarks: eyes, brows, nose and mouth on a head.

Eyes, brows and lips are curves through their landmarks, so a landmark lies where it does because
the picture is drawn from it.
"""

import numpy as np

from pdray.demo.face.head import (
    Creases,
    Scene,
    paint_body,
    paint_glasses,
    paint_hair,
    paint_head,
    plane_between,
)
from pdray.demo.face.raster import blend, paint_polygon, polygon_distance, smooth, window
from pdray.demo.face.shape import IRIS
from pdray.demo.illness.movement import Floats

SIDES = ("left", "right")


def paint_face(scene: Scene) -> None:
    """Paint a person, from the back to the front, over the background."""
    half = 1.4 * scene.shape.width
    plane = plane_between(scene, (-half, -9.0), (half, 9.0))
    paint_body(scene, plane)
    paint_head(scene, plane)
    paint_hair(scene, plane)
    _paint_nose(scene)
    if scene.creases is not None:
        _paint_creases(scene, scene.creases)
    for side in SIDES:
        _paint_eye(scene, side)
        _paint_brow(scene, side)
    _paint_mouth(scene)
    if scene.look.has_glasses:
        paint_glasses(scene)


def _paint_nose(scene: Scene) -> None:
    """Soft shadows of sockets, cheeks and nose; its wings and nostrils."""
    skin, px = scene.look.skin, scene.px
    dark, bright = 0.55 * skin, np.minimum(1.25 * skin, 1)
    blush = np.array([0.8, 0.35, 0.32], np.float32) * skin.max()
    is_lit = scene.look.lamp[0] < 0  # from the left
    for side in SIDES:
        eye, cheek = scene.part(f"{side}_eye_center"), scene.part(f"nose_{side}_contour3")
        outer = scene.part(f"{side}_eye_{side}_corner")
        below = 0.5 * (cheek + outer)[:, 0] + np.array([0, px(0.25)], np.float32)
        scene.spot(eye[:, 0], (0.48, 0.34), dark, 0.35)
        scene.spot(below, (0.4, 0.4), blush, 0.22)
        ridge = scene.part(*(f"nose_{side}_contour{k}" for k in (1, 2, 3)))
        ridge = 0.6 * ridge + 0.4 * scene.part("nose_bridge2", "nose_bridge3", "nose_tip")
        is_shaded = (side == "right") == is_lit
        scene.line(ridge, dark, 0.09, 0.35 if is_shaded else 0.12, soft=0.16)
        fold = scene.part(f"nose_{side}_contour3", f"mouth_{side}_corner")
        outwards = px(0.13 if side == "right" else -0.13)
        fold[:, :, 0] += np.array([0.5, 1.0], np.float32) * outwards
        scene.line(fold, dark, 0.06, min(0.25 * scene.fold, 1.0), soft=0.1)
        wing = scene.part(*(f"nose_{side}_contour{k}" for k in (3, 4, 5)), "nose_middle_contour")
        scene.line(smooth(wing, scene.steps), dark, 0.03, 0.8, soft=0.03)
        nostril = scene.part(f"nose_{side}_contour4", f"nose_{side}_contour5").mean(axis=1)
        nostril[:, 1] -= px(0.03)
        scene.spot(nostril, (0.09, 0.055), 0.3 * dark, 0.9)
    scene.spot(scene.part("nose_tip")[:, 0], (0.2, 0.22), bright, 0.4)
    chin = scene.part("mouth_lower_lip_bottom")[:, 0] + np.array([0, px(0.1)], np.float32)
    scene.spot(chin, (0.3, 0.13), dark, 0.35)


def _paint_creases(scene: Scene, creases: Creases) -> None:
    """Paint the folds of an expression: between the brows, beside nose and mouth, at the eyes."""
    skin, px = scene.look.skin, scene.px
    dark, bright = 0.42 * skin, np.minimum(1.3 * skin, 1)
    for side, way in (("left", -1), ("right", 1)):
        wing, corner = (
            scene.part(name) for name in (f"nose_{side}_contour3", f"mouth_{side}_corner")
        )
        outer = scene.part(f"{side}_eye_{side}_corner")
        apple = (0.45 * corner + 0.55 * outer)[:, 0] + np.array([0, px(0.1)], np.float32)
        scene.spot(apple, (0.34, 0.26), bright, 0.45 * creases.cheek)
        beside = np.array([[0.06, -0.02], [0.2, 0.0], [0.17, 0.12]]) * (way, 1)
        ends = np.concatenate([wing, 0.4 * wing + 0.6 * corner, corner], axis=1)
        fold = ends + px(1) * beside.astype(np.float32)
        scene.line(smooth(fold, scene.steps), dark, 0.025, 0.65 * creases.cheek, soft=0.06)
        for down in (-0.07, 0.02, 0.1):  # crow's feet
            step = px(1) * np.array([[0.04 * way, 0.4 * down], [0.2 * way, down]], np.float32)
            scene.line(outer + step, dark, 0.012, 0.5 * creases.cheek, soft=0.02)
        inner = "right" if side == "left" else "left"
        brow = scene.part(f"{side}_eyebrow_lower_{inner}_corner")
        step = px(1) * np.array([[-0.07 * way, 0.1], [-0.055 * way, -0.12]], np.float32)
        scene.line(brow + step, dark, 0.018, 0.85 * creases.frown, soft=0.03)
    bridge = scene.part("nose_bridge1")[:, 0]
    scene.spot(bridge, (0.22, 0.12), dark, 0.3 * creases.frown)


def _paint_eye(scene: Scene, side: str) -> None:
    """The white, iris and pupil between the lids, and the edge of the upper lid over them."""
    picture, look, px = scene.picture, scene.look, scene.px
    upper = ("left_corner", "upper_left_quarter", "top", "upper_right_quarter", "right_corner")
    lower = ("right_corner", "lower_right_quarter", "bottom", "lower_left_quarter", "left_corner")
    lid, under = (
        smooth(scene.part(*(f"{side}_eye_{part}" for part in arc)), scene.steps)
        for arc in (upper, lower)
    )
    corners = np.concatenate([lid[:, :-1], under[:, :-1]], axis=1)
    place = window(corners, picture.shape[-1])
    opened = (0.5 - polygon_distance(corners, place)).clip(0, 1)
    blend(picture, place, opened, np.array([0.9, 0.88, 0.86], np.float32))
    pupil = scene.part(f"{side}_eye_pupil")
    away = np.hypot(place.x - pupil[..., :1], place.y - pupil[..., 1:])
    for radius, colour in ((IRIS, look.iris), (0.045, np.full(3, 0.03, np.float32))):
        blend(picture, place, opened * (px(radius) + 0.5 - away).clip(0, 1), colour)
    glint = np.hypot(place.x - pupil[..., :1] + px(0.03), place.y - pupil[..., 1:] + px(0.03))
    glint_cover = opened * (px(0.022) + 0.5 - glint).clip(0, 0.8)
    blend(picture, place, glint_cover, np.ones(3, np.float32))
    lash = 0.35 * look.skin * np.array([0.8, 0.7, 0.7], np.float32)
    scene.line(lid, lash, 0.02, 0.9)
    scene.line(under, lash, 0.01, 0.5)


def _paint_brow(scene: Scene, side: str) -> None:
    """A polygon along the brow's landmarks."""
    along = ("left_corner", "left_quarter", "middle", "right_quarter", "right_corner")
    *spots, far = along if side == "right" else along[::-1]
    upper, lower = (
        scene.part(*(f"{side}_eyebrow_{edge}_{spot}" for spot in spots), f"{side}_eyebrow_{far}")
        for edge in ("upper", "lower")
    )
    back = smooth(lower, scene.steps)[:, -2::-1]
    corners = np.concatenate([smooth(upper, scene.steps), back], axis=1)
    paint_polygon(scene.picture, corners, 0.8 * scene.look.hair)


def _paint_mouth(scene: Scene) -> None:
    """Lips, what is dark between them, and the upper teeth."""
    picture, look, px = scene.picture, scene.look, scene.px
    edge, (parting, under) = (
        [smooth(curve, scene.steps) for curve in curves] for curves in _lip_edges(scene)
    )
    paint_polygon(picture, np.concatenate([one[:, :-1] for one in edge], axis=1), look.lips)
    hollow = np.concatenate([parting[:, :-1], under[:, :-1]], axis=1)
    place = window(hollow, picture.shape[-1])
    cover = (0.5 - polygon_distance(hollow, place)).clip(0, 1)
    blend(picture, place, cover, np.array([0.17, 0.05, 0.06], np.float32))
    teeth = scene.part("mouth_upper_lip_bottom")[:, 0, 1] + np.float32(px(0.09))
    above = (0.5 + teeth[:, None, None] - place.y).clip(0, 1)
    blend(picture, place, 0.85 * cover * above, np.array([0.86, 0.84, 0.78], np.float32))
    scene.line(parting, 0.45 * look.lips, 0.02, 0.8, soft=0.01)


def _lip_edges(scene: Scene) -> tuple[tuple[Floats, Floats], tuple[Floats, Floats]]:
    """Return the upper and lower line of the lips' outside and of their inside."""
    upper, lower = "mouth_upper_lip_", "mouth_lower_lip_"
    outside = (
        scene.part("mouth_left_corner", *(upper + name for name in (
            "left_contour2", "left_contour1", "top", "right_contour1", "right_contour2",
        )), "mouth_right_corner"),
        scene.part("mouth_right_corner", *(lower + name for name in (
            "right_contour2", "right_contour3", "bottom", "left_contour3", "left_contour2",
        )), "mouth_left_corner"),
    )  # fmt: skip
    ends = (upper + "left_contour3", upper + "right_contour3")
    inside = (
        scene.part(ends[0], *(upper + name for name in (
            "left_contour4", "bottom", "right_contour4")), ends[1]),
        scene.part(ends[1], *(lower + name for name in (
            "right_contour1", "top", "left_contour1")), ends[0]),
    )  # fmt: skip
    return outside, inside
