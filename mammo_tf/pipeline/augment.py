"""Augmentation: one affine warp with one interpolation an image, then changes of intensity.

The image is flipped, zoomed, sheared, rotated, translated and cropped, in this order, all about its centre; the crop is
resized back to the full size. The six steps are composed to one matrix first, so fine detail is interpolated once.
Then come channel shift, contrast about the image's mean, brightness and noise; nothing is clipped, so values may leave
[0, 1]. Every draw is a pure function of (seed, epoch, example index) with a stream of its own (`pipeline.threefry`):
switching one transform on or off leaves the draws of the others as they were.

Ao and Zhang (2020), section 3.2 - horizontal flip, rotation by any angle of the image and of its flip, random crop of
ratio 0.85 to 1.0 resized to 224 x 224 - is

    Augment(flip_horizontal=True, rotate_deg=(-180.0, 180.0), crop=(0.85, 1.0))
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import threefry

ALGORITHM_VERSION = 1

Range = tuple[float, float]
Parameters = Mapping[str, tf.Tensor]

_FILLS = ("constant", "nearest", "reflect")
# Place of each draw in an example's stream of uniform numbers. Append only: a change of place changes every result.
_SLOTS = {
    name: place
    for place, name in enumerate(
        "flip_horizontal flip_vertical zoom_y zoom_x shear_deg rotate_deg translate_y translate_x "
        "crop crop_y crop_x channel_shift contrast brightness".split()
    )
}
_GEOMETRY = ("flip_horizontal", "flip_vertical", "zoom", "zoom_y", "zoom_x", "shear_deg", "rotate_deg", "translate")
_POSITIVE = ("zoom", "zoom_y", "zoom_x", "crop")


@dataclasses.dataclass(frozen=True)
class Augment:
    """Ranges (low, high) that transforms are drawn from, uniformly; None or False leaves a transform out.

    Attributes:
        flip_horizontal: mirror left and right with probability 1/2.
        flip_vertical: mirror top and bottom with probability 1/2, by a coin of its own.
        rotate_deg: angle, counter-clockwise.
        shear_deg: angle by which the columns lean; rows slide to the right by its tangent times the distance below the
            centre.
        zoom: one factor for both axes; 1.2 shows everything 1.2 times as large.
        zoom_y, zoom_x: a factor for each axis, drawn apart; not together with `zoom`.
        translate: shift as a fraction of the side, drawn for each axis; positive is down and to the right.
        crop: side of a window as a fraction of the image's, placed at random inside and resized back.
        channel_shift: added to the image (the same thing as brightness while the image has one channel).
        contrast: factor on the differences from the image's mean.
        brightness: added to the image; 0.1 is a tenth of the range of values.
        noise: standard deviation of Gaussian noise, drawn anew for each pixel.
        fill: what lies outside the image: "constant" (`fill_value`), "nearest" (a a a | a b c d | d d d) or
            "reflect" (c b a | a b c d | d c b).
        fill_value: for "constant".
        order: interpolation, 0 nearest neighbour, 1 bilinear.

    Raises:
        MammoError: a range is not two ascending numbers, a factor is not positive, an option is unknown.
    """

    flip_horizontal: bool = False
    flip_vertical: bool = False
    rotate_deg: Range | None = None
    shear_deg: Range | None = None
    zoom: Range | None = None
    zoom_y: Range | None = None
    zoom_x: Range | None = None
    translate: Range | None = None
    crop: Range | None = None
    channel_shift: Range | None = None
    contrast: Range | None = None
    brightness: Range | None = None
    noise: float | None = None
    fill: str = "constant"
    fill_value: float = 0.0
    order: int = 1

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.type == "Range | None" and getattr(self, field.name) is not None:
                _check_range(field.name, getattr(self, field.name))
        if self.zoom and (self.zoom_y or self.zoom_x):
            raise cases.MammoError("augment: give either zoom or zoom_y and zoom_x, not both")
        if self.noise is not None and self.noise < 0:
            raise cases.MammoError(f"augment: noise must be 0 or more, found {self.noise}")
        if self.fill not in _FILLS or self.order not in (0, 1):
            raise cases.MammoError(
                f"augment: fill must be one of {', '.join(_FILLS)} and order 0 or 1, found {self.fill!r}, {self.order}"
            )

    @property
    def moves(self) -> bool:
        """Whether pixels change their place; without, no interpolation takes place at all."""
        return any(getattr(self, name) for name in (*_GEOMETRY, "crop"))


def _check_range(name: str, limits: Range) -> None:
    if len(limits) != 2 or not -math.inf < limits[0] <= limits[1] < math.inf:
        raise cases.MammoError(f"augment: {name} must be (low, high) with low <= high, found {limits!r}")
    if name in _POSITIVE and limits[0] <= 0:
        raise cases.MammoError(f"augment: {name} must be above 0, found {limits!r}")
    if name == "crop" and limits[1] > 1:
        raise cases.MammoError(f"augment: crop must not exceed 1, the whole image, found {limits!r}")
    if name == "shear_deg" and max(map(abs, limits)) >= 90:
        raise cases.MammoError(f"augment: shear_deg must lie between -90 and 90, found {limits!r}")


def draw(augment: Augment, seed: tf.Tensor | int, epoch: tf.Tensor | int, index: tf.Tensor) -> Parameters:
    """What happens to each example: name -> (B,) float32, flips bool; transforms that are off are absent.

    Args:
        augment: the ranges.
        seed: 0 to 2^32 - 1.
        epoch: counted from 0.
        index: (B,) integer, the examples' places in the training set.
    """
    unit = threefry.uniform(seed, epoch, index, len(_SLOTS))
    pairs = {"zoom_y": ("zoom", "zoom_y"), "zoom_x": ("zoom", "zoom_y"), "translate_y": ("translate",)}
    found = {}
    for name in ("flip_horizontal", "flip_vertical"):
        if getattr(augment, name):
            found[name] = unit[:, _SLOTS[name]] < 0.5
    for name, limits in _limits(augment).items():
        slot = _SLOTS["zoom_y" if augment.zoom and name == "zoom_x" else name]
        found[name] = limits[0] + (limits[1] - limits[0]) * unit[:, slot]
    del pairs
    return found


def _limits(augment: Augment) -> dict[str, Range]:
    same = ("shear_deg", "rotate_deg", "crop", "channel_shift", "contrast", "brightness")
    limits = {name: getattr(augment, name) for name in same}
    limits |= {"zoom_y": augment.zoom or augment.zoom_y, "zoom_x": augment.zoom or augment.zoom_x}
    limits |= {"translate_y": augment.translate, "translate_x": augment.translate}
    if augment.crop:
        limits |= {"crop_y": (-0.5, 0.5), "crop_x": (-0.5, 0.5)}
    return {name: limits[name] for name in _SLOTS if limits.get(name)}


def matrix(parameters: Parameters, shape: tuple[int, int]) -> tf.Tensor:
    """The affine map of an output pixel (y, x, 1) to the place (y, x) in the input that it shows, (B, 2, 3) float32.

    `matrix[i]` is what `scipy.ndimage.affine_transform` takes. Coordinates count pixel centres from 0; the steps work
    about the centre of the image, ((H - 1) / 2, (W - 1) / 2). The map runs backwards, so the steps come in the
    reverse of the order in which the image undergoes them.
    """
    height, width = shape
    map_ = _Affine(1.0, 0.0, 0.0, 1.0, 0.0, 0.0)
    p = {name: tf.cast(value, tf.float32) for name, value in parameters.items()}
    if "crop" in p:
        rest = 1.0 - p["crop"]
        map_ = map_.then(p["crop"], 0.0, 0.0, p["crop"])
        map_ = map_.shifted(p["crop_y"] * rest * height, p["crop_x"] * rest * width)
    if "translate_y" in p:
        map_ = map_.shifted(-p["translate_y"] * height, -p["translate_x"] * width)
    if "rotate_deg" in p:
        angle = p["rotate_deg"] * (math.pi / 180.0)
        map_ = map_.then(tf.cos(angle), tf.sin(angle), -tf.sin(angle), tf.cos(angle))
    if "shear_deg" in p:
        map_ = map_.then(1.0, 0.0, -tf.tan(p["shear_deg"] * (math.pi / 180.0)), 1.0)
    map_ = map_.then(1.0 / p.get("zoom_y", 1.0), 0.0, 0.0, 1.0 / p.get("zoom_x", 1.0))
    map_ = map_.then(1.0 - 2.0 * p.get("flip_vertical", 0.0), 0.0, 0.0, 1.0 - 2.0 * p.get("flip_horizontal", 0.0))
    return map_.about((height - 1) / 2, (width - 1) / 2)
