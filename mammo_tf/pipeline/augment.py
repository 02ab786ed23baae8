"""Augmentation: one affine warp with one interpolation an image, then changes of intensity.

The image is flipped, zoomed, sheared, rotated, translated and cropped, in this order, all about its centre; the crop
is resized back to the full size. The six steps are composed to one matrix first (`pipeline.warp`), so fine detail is
interpolated once. Then come channel shift, contrast about the image's mean, brightness and noise; nothing is clipped,
so values may leave [0, 1]. Each draw is a pure function of (seed, epoch, example index) with a place of its own in
the stream of its example (`pipeline.threefry`): switching a transform on or off leaves the other draws as they were.

Ao and Zhang (2020), section 3.2 - horizontal flip, rotation by any angle of the image and of its flip, random crop of
ratio 0.85 to 1.0 resized to 224 x 224 - is

    Augment(flip_horizontal=True, rotate_deg=(-180.0, 180.0), crop=(0.85, 1.0))

Shen et al. (2019), section 3.1.2 - both flips, rotation by 25 degrees, shear by 0.2 rad, zooms of 0.8 to 1.2, channel
shift by 20 of 255; each axis zoomed and each channel shifted by itself, as their program did - is

    Augment(
        flip_horizontal=True, flip_vertical=True, rotate_deg=(-25.0, 25.0), shear_deg=(-11.459, 11.459),
        zoom_y=(0.8, 1.2), zoom_x=(0.8, 1.2), channel_shift_each=(-20 / 255, 20 / 255), fill="nearest", order=0,
    )
"""

from __future__ import annotations

import dataclasses
import math

import tensorflow as tf

from mammo_tf import cases
from mammo_tf.pipeline import threefry, warp

ALGORITHM_VERSION = 1

Range = tuple[float, float]

# Place of each draw in an example's stream of uniform numbers. Append only: a change of place changes every result.
_SLOTS = {
    "flip_horizontal": 0,
    "flip_vertical": 1,
    "zoom_y": 2,
    "zoom_x": 3,
    "shear_deg": 4,
    "rotate_deg": 5,
    "translate_y": 6,
    "translate_x": 7,
    "crop": 8,
    "crop_y": 9,
    "crop_x": 10,
    "channel_shift": 11,
    "contrast": 12,
    "brightness": 13,
    "channel_shift_0": 14,
    "channel_shift_1": 15,
    "channel_shift_2": 16,
}
_CHANNELS = 3
_FLIPS = ("flip_horizontal", "flip_vertical")
_GEOMETRY = (*_FLIPS, "zoom", "zoom_y", "zoom_x", "shear_deg", "rotate_deg", "translate", "crop")
_POSITIVE = ("zoom", "zoom_y", "zoom_x", "crop")


@dataclasses.dataclass(frozen=True)
class Augment:
    """Ranges (low, high) that transforms are drawn from, uniformly; None or False leaves a transform out.

    Attributes:
        flip_horizontal: mirror left and right with probability 1/2.
        flip_vertical: mirror top and bottom with probability 1/2, by a coin of its own.
        rotate_deg: angle, counter-clockwise.
        shear_deg: angle by which the columns lean; rows slide to the right by its tangent times their distance
            below the centre.
        zoom: one factor for both axes; 1.2 shows everything 1.2 times as large.
        zoom_y, zoom_x: a factor for each axis, drawn apart; not together with `zoom`.
        translate: shift as a fraction of the side, drawn for each axis; positive is down and to the right.
        crop: side of a window as a fraction of the image's, placed at random inside and resized back.
        channel_shift: added to the image (the same thing as brightness while the image has one channel).
        contrast: factor on the differences from the image's mean.
        brightness: added to the image; 0.1 is a tenth of the range of values.
        noise: standard deviation of Gaussian noise, drawn anew for each pixel.
        whole: angles are rounded to whole degrees and shifts to whole pixels; (-0.5, 359.5) gives each angle of 0 to
            359 degrees the same chance.
        channel_shift_each: added to each copy of the gray channel, drawn for each by itself; the last of all.
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
    channel_shift_each: Range | None = dataclasses.field(default=None, metadata={"added": True})
    whole: bool = dataclasses.field(default=False, metadata={"added": True})

    def __post_init__(self):
        for field in dataclasses.fields(self):
            if field.type == "Range | None" and getattr(self, field.name) is not None:
                _check_range(field.name, getattr(self, field.name))
        if self.zoom and (self.zoom_y or self.zoom_x):
            raise cases.MammoError("augment: give either zoom or zoom_y and zoom_x, not both")
        if self.noise is not None and self.noise < 0:
            raise cases.MammoError(f"augment: noise must be 0 or more, found {self.noise}")
        if self.fill not in warp.FILLS or self.order not in (0, 1):
            raise cases.MammoError(
                f"augment: fill must be one of {', '.join(warp.FILLS)}, order 0 or 1; "
                f"found {self.fill!r}, {self.order}"
            )

    @property
    def moves(self) -> bool:
        """Whether pixels change their place; without, no interpolation takes place at all."""
        return any(getattr(self, name) for name in _GEOMETRY)


def _check_range(name: str, limits: Range) -> None:
    if len(limits) != 2 or not -math.inf < limits[0] <= limits[1] < math.inf:
        raise cases.MammoError(f"augment: {name} must be (low, high) with low <= high, found {limits!r}")
    if name in _POSITIVE and limits[0] <= 0:
        raise cases.MammoError(f"augment: {name} must be above 0, found {limits!r}")
    if name == "crop" and limits[1] > 1:
        raise cases.MammoError(f"augment: crop must not exceed 1, the whole image, found {limits!r}")
    if name == "shear_deg" and max(map(abs, limits)) >= 90:
        raise cases.MammoError(f"augment: shear_deg must lie between -90 and 90, found {limits!r}")


def draw(augment: Augment, seed: tf.Tensor | int, epoch: tf.Tensor | int, index: tf.Tensor) -> warp.Parameters:
    """What happens to each example: name -> (B,) float32; flips are 0 or 1, transforms that are off are absent.

    Args:
        augment: the ranges.
        seed: 0 to 2^32 - 1.
        epoch: counted from 0.
        index: (B,) integer, the examples' places in the training set.

    Returns:
        The names of `Augment`, but zoom as "zoom_y" and "zoom_x", translate as "translate_y" and "translate_x", and
        for a crop also "crop_y" and "crop_x", -0.5 to 0.5 between the two ends of the room that the window has;
        "channel_shift_0" to "channel_shift_2" for `channel_shift_each`.
    """
    unit = threefry.uniform(seed, epoch, index, len(_SLOTS))
    found = {}
    for name, (slot, (low, high)) in _limits(augment).items():
        found[name] = low + (high - low) * unit[:, _SLOTS[slot]]
    for name in _FLIPS:
        if getattr(augment, name):
            found[name] = tf.cast(unit[:, _SLOTS[name]] < 0.5, tf.float32)
    return found


def _limits(augment: Augment) -> dict[str, tuple[str, Range]]:
    """The slot and the range of every parameter that is drawn from a range."""
    plain = ("shear_deg", "rotate_deg", "crop", "channel_shift", "contrast", "brightness")
    limits = {name: (name, getattr(augment, name)) for name in plain}
    limits["zoom_y"] = "zoom_y", augment.zoom or augment.zoom_y
    limits["zoom_x"] = ("zoom_y", augment.zoom) if augment.zoom else ("zoom_x", augment.zoom_x)
    for axis in ("y", "x"):
        limits[f"translate_{axis}"] = f"translate_{axis}", augment.translate
        limits[f"crop_{axis}"] = f"crop_{axis}", augment.crop and (-0.5, 0.5)
    for channel in range(_CHANNELS):
        limits[f"channel_shift_{channel}"] = f"channel_shift_{channel}", augment.channel_shift_each
    return {name: (slot, limit) for name, (slot, limit) in limits.items() if limit}


def apply(
    augment: Augment, images: tf.Tensor, seed: tf.Tensor | int, epoch: tf.Tensor | int, index: tf.Tensor
) -> tf.Tensor:
    """The images (B, H, W) float32 in [0, 1] as augmented in `epoch`, same shape; `index` as for `draw`."""
    parameters = draw(augment, seed, epoch, index)
    if augment.whole:
        parameters = _whole(parameters, images.shape[1:])
    if augment.moves:
        matrix = warp.matrix(parameters, images.shape[1:])
        images = warp.warp(images, matrix, fill=augment.fill, fill_value=augment.fill_value, order=augment.order)
    images = intensity(images, parameters)
    if augment.noise:
        pixels = images.shape[1] * images.shape[2]
        noise = threefry.normal(seed, epoch, index, pixels)
        images += augment.noise * tf.reshape(noise, tf.shape(images))
    return images


def _whole(parameters: warp.Parameters, shape: tuple[int, int]) -> warp.Parameters:
    """Angles in whole degrees, shifts in whole pixels of images (H, W)."""
    sizes = {"rotate_deg": 1, "translate_y": shape[0], "translate_x": shape[1]}
    return {name: tf.round(v * sizes[name]) / sizes[name] if name in sizes else v for name, v in parameters.items()}


def copy_channels(
    augment: Augment, images: tf.Tensor, seed: tf.Tensor | int, epoch: tf.Tensor | int, index: tf.Tensor
) -> tf.Tensor:
    """The images (B, H, W) as three channels (B, H, W, 3), each shifted by `channel_shift_each`."""
    parameters = draw(augment, seed, epoch, index)
    shifts = tf.stack([parameters[f"channel_shift_{channel}"] for channel in range(_CHANNELS)], axis=1)
    return images[..., None] + shifts[:, None, None, :]


def intensity(images: tf.Tensor, parameters: warp.Parameters) -> tf.Tensor:
    """Channel shift, then contrast about each image's mean, then brightness, on (B, H, W); not clipped."""
    each = {name: value[:, None, None] for name, value in parameters.items()}
    if "channel_shift" in each:
        images += each["channel_shift"]
    if "contrast" in each:
        mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
        images = mean + each["contrast"] * (images - mean)
    if "brightness" in each:
        images += each["brightness"]
    return images
