"""Image sets that are already in memory: arrays and tensors, alone or with labels."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch

from goodnet.errors import ImagesError
from goodnet.images.raw import Array, RawImages, Request


def recognises(source: object) -> bool:
    """Whether `source` is an array or tensor, or a pair (images, labels) that begins with one."""
    if isinstance(source, (list, tuple)) and len(source) == 2:
        return isinstance(source[0], (np.ndarray, torch.Tensor))
    return isinstance(source, (np.ndarray, torch.Tensor))


def read(source: object, request: Request) -> RawImages:
    """Take images from an array (n, ...), or from a pair of images and labels."""
    pixels, labels = cast(tuple[object, object], source) if isinstance(source, (list, tuple)) else (source, None)
    images = as_array(pixels)
    if images.ndim == 0:
        raise ImagesError("expected an array of images, got a single number")
    return RawImages(
        count=len(images),
        read=lambda indices: images[indices],
        labels=None if labels is None else as_array(labels),
        source="array" if isinstance(pixels, np.ndarray) else "tensor",
    )


def as_array(values: object) -> Array:
    """Return an array, tensor or sequence of numbers as a numpy array in main memory."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        return np.asarray((values.float() if values.dtype == torch.bfloat16 else values).numpy())
    return np.asarray(values)
