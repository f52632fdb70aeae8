"""ONNX' Resize and Upsample, by torch's own interpolation where it has the same one, else by one matrix an axis."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from goodnet.formats.onnx.constants import integers
from goodnet.formats.onnx.graph import Array, Attributes


def resize(attributes: Attributes, x: Tensor, *inputs: Any) -> Tensor:
    """Resize images (B, C, H, W) to given sizes or by given scales."""
    if len(inputs) == 1:  # Upsample, and Resize of operator set 10
        scales, wanted = inputs[0], None
    else:
        scales, wanted = (*inputs[1:], None)[:2]
    if x.ndim != 4 or attributes.get("axes") or attributes.get("antialias"):
        raise NotImplementedError("Resize of anything but the last two axes, or with antialiasing")
    if wanted is not None:
        target = integers(wanted)[2:]
        factors = [new / old for new, old in zip(target, x.shape[2:], strict=True)]
    else:
        given = scales.detach().cpu().tolist() if isinstance(scales, Tensor) else integers(scales)
        factors = given[2:]
        target = [int(np.floor(size * scale + 1e-6)) for size, scale in zip(x.shape[2:], factors, strict=True)]
    mode = str(attributes.get("mode", "nearest"))
    place = str(attributes.get("coordinate_transformation_mode", "half_pixel" if len(inputs) > 1 else "asymmetric"))
    rounding = str(attributes.get("nearest_mode", "round_prefer_floor" if len(inputs) > 1 else "floor"))
    halves = place == "half_pixel" or (place == "pytorch_half_pixel" and min(target) > 1)
    if mode == "nearest" and place == "asymmetric" and rounding == "floor":
        return functional.interpolate(x, target, mode="nearest")
    if mode == "linear" and halves:
        return functional.interpolate(x, target, mode="bilinear", align_corners=False)
    cubic = mode == "cubic" and float(attributes.get("cubic_coeff_a", -0.75)) == -0.75
    if cubic and (halves or place == "align_corners"):
        return functional.interpolate(x, target, mode="bicubic", align_corners=place == "align_corners")
    if mode not in ("nearest", "linear"):
        raise NotImplementedError(f"Resize ({mode}, {place})")
    for axis, (new, factor) in zip((2, 3), zip(target, factors, strict=True), strict=True):
        places = _places(place, x.shape[axis], new, float(factor))
        matrix = _matrix(mode, rounding, x.shape[axis], places)
        weights = torch.from_numpy(matrix.astype(np.float32)).to(x.device, x.dtype)
        x = torch.tensordot(x, weights, dims=([axis], [1])).movedim(-1, axis)
    return x


def _places(place: str, old: int, new: int, factor: float) -> Array:
    """Return where in the old axis each new pixel is."""
    at = np.arange(new, dtype=np.float64)
    if place == "asymmetric":
        return at / factor
    if place == "align_corners":
        return at * ((old - 1) / (new - 1)) if new > 1 else np.zeros(new)
    if place == "half_pixel" or (place == "pytorch_half_pixel" and new > 1):
        return (at + 0.5) / factor - 0.5
    if place == "pytorch_half_pixel":
        return np.zeros(new)
    if place == "half_pixel_symmetric":
        return old / 2 * (1 - new / (factor * old)) + (at + 0.5) / factor - 0.5
    raise NotImplementedError(f"Resize with the places of pixels by {place}")


def _matrix(mode: str, rounding: str, old: int, places: Array) -> Array:
    """Return the weights (new, old) of the old pixels in each new one."""
    places = places.clip(0, old - 1)
    if mode == "linear":
        low = np.minimum(np.floor(places).astype(int), max(old - 2, 0))
        high = np.minimum(low + 1, old - 1)
        matrix = np.zeros((len(places), old))
        np.add.at(matrix, (np.arange(len(places)), low), 1 - (places - low))
        np.add.at(matrix, (np.arange(len(places)), high), places - low)
        return matrix
    if rounding.startswith("round"):
        rounded = np.floor(places + 0.5) if rounding == "round_prefer_ceil" else np.ceil(places - 0.5)
    else:
        rounded = np.ceil(places) if rounding == "ceil" else np.floor(places)
    nearest: Array = np.eye(old)[rounded.astype(int).clip(0, old - 1)]
    return nearest
