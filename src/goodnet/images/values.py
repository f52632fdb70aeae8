"""Bring pixel values to 0..1."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from goodnet.errors import ImagesError
from goodnet.images.raw import Array, Indices

Float32 = NDArray[np.float32]

# Sets whose brightest pixel is below this are more likely 0..16 or the like than very dark 0..255.
_DIM = 64
_ADVICE = "say which values are black and white: --value-range LOW,HIGH (value_range=(LOW, HIGH))"


def to_unit(
    images: Array, value_range: tuple[float, float] | None, indices: Indices, source: str
) -> tuple[Float32, str]:
    """Return `images` (n, ...) as float32 in 0..1, and a note that says from which values.

    Args:
        images: numbers of any real type.
        value_range: the values of black and white; None to tell from type and extremes: whole numbers up to
            255 (or uint16 up to 65535), floats 0..1, 0..255 or -1..1.
        indices: (n,) the place of each image in its set, for messages.
        source: where the images came from, for messages.

    Raises:
        ImagesError: NaN or infinite pixels, or values in none of these ranges.
    """
    if images.dtype.kind not in "uifb":
        raise ImagesError(f"{source}: expected pixels that are numbers, got {images.dtype}")
    if images.dtype.kind == "f":
        _require_finite(images, indices, source)
    low, high = float(images.min()), float(images.max())
    black, white = value_range if value_range is not None else _range_of(images.dtype, low, high, source)
    if black == white:
        raise ImagesError(f"black and white need different values, got value_range=({black:g}, {white:g})")
    slack = 1e-3 * abs(white - black)
    if low < min(black, white) - slack or high > max(black, white) + slack:
        raise ImagesError(
            f"{source}: expected pixels in {black:g}..{white:g}, got {low:g}..{high:g}; clip them, or {_ADVICE}"
        )
    unit = images.astype(np.float32)
    if (black, white) != (0.0, 1.0):
        unit = (unit - np.float32(black)) / np.float32(white - black)
    return unit.clip(0, 1), f"{images.dtype} pixels, {black:g}..{white:g} taken as black..white"


def _range_of(dtype: np.dtype[np.generic], low: float, high: float, source: str) -> tuple[float, float]:
    """The values of black and white, told from the type and the extremes of the pixels."""
    came = f"{source}: pixels are {dtype} from {low:g} to {high:g}"
    if dtype.kind == "b":
        return 0, 1
    if dtype.kind in "ui":
        if dtype == np.uint16 and high > 255:
            return 0, 65535
        if low >= 0 and 1 < high <= 255 and (dtype == np.uint8 or high >= _DIM):
            return 0, 255
        raise ImagesError(f"{came}, expected {'more than one value' if low == high else '0 to 255'}; {_ADVICE}")
    if low >= -1e-3 and high <= 1.001:
        return 0, 1
    if low >= 0 and _DIM <= high <= 255.3:
        return 0, 255
    if -1.001 <= low < -0.5 and high <= 1.001:
        return -1, 1
    hint = (
        "they look normalised by mean and standard deviation: give the images as they were before, or "
        if low < 0
        else ""
    )
    raise ImagesError(f"{came}, expected 0..1, 0..255 or -1..1; {hint}{_ADVICE}")


def _require_finite(images: Array, indices: Indices, source: str) -> None:
    bad = ~np.isfinite(images)
    if bad.any():
        affected = np.flatnonzero(bad.reshape(len(images), -1).any(1))
        raise ImagesError(
            f"{source}: {int(bad.sum())} pixels in {len(affected)} images are NaN or infinite, the first in "
            f"image {indices[affected[0]]}; repair or leave out these images"
        )
