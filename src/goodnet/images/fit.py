"""Fit images and labels to a model."""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.classifier import PartialShape
from goodnet.errors import ImagesError
from goodnet.images.clean import CleanImages

_KINDS = {1: "grey", 3: "RGB", 4: "RGBA"}
# ITU-R BT.601 luma, as Pillow's convert("L") has it.
_LUMA = (0.299, 0.587, 0.114)


def fit_to(images: CleanImages, input_shape: PartialShape, resize: bool = False) -> CleanImages:
    """Return `images` in the shape a model wants.

    Images whose height and width are exactly swapped are transposed, with a note. Whatever else changes
    pixels is done only if `resize` allows it: another size (bilinear, antialiased), grey to RGB, RGB to grey.

    Args:
        images: (n, C, H, W) in 0..1.
        input_shape: (C, H, W) that the model wants, None where it takes any.
        resize: whether size and colour may be changed.

    Raises:
        ImagesError: they do not fit and `resize` is off, or the channels cannot be converted.
    """
    channels, height, width = (want or got for want, got in zip(input_shape, images.shape, strict=True))
    if images.shape == (channels, width, height) and height != width:
        note = f"transposed the images: {width} high and {height} wide, but the model wants {height} and {width}"
        images = dataclasses.replace(
            images, pixels=images.pixels.transpose(2, 3).contiguous(), notes=(*images.notes, note)
        )
    if images.shape == (channels, height, width):
        return images
    convertible = {images.shape[0], channels} == {1, 3} or images.shape[0] == channels
    if not resize or not convertible:
        advice = (
            "give --resize (resize=True) to convert them"
            if convertible
            else "goodnet converts only between grey and RGB, so give images with the right channels"
        )
        raise ImagesError(
            f"the images of {images.source} are {_describe(images.shape)}, but the model wants "
            f"{_describe((channels, height, width))}; {advice}"
        )
    pixels = _to_channels(images.pixels, channels)
    if pixels.shape[2:] != (height, width):
        pixels = functional.interpolate(
            pixels, (height, width), mode="bilinear", align_corners=False, antialias=True
        ).clamp(0, 1)
    note = f"converted the images from {_describe(images.shape)} to {_describe((channels, height, width))}"
    return dataclasses.replace(images, pixels=pixels.contiguous(), notes=(*images.notes, note))


def check_labels(images: CleanImages, num_classes: int) -> tuple[str, ...]:
    """Check labels against the number of classes; return warnings in words.

    Raises:
        ImagesError: a label is not in 0..num_classes - 1.
    """
    if images.labels is None:
        return ()
    low, high = int(images.labels.min()), int(images.labels.max())
    if low < 0 or high >= num_classes:
        wrong = int(((images.labels < 0) | (images.labels >= num_classes)).sum())
        first = "; they seem to count from 1, goodnet counts from 0" if 1 <= low <= high == num_classes else ""
        raise ImagesError(
            f"the model has {num_classes} classes (labels 0..{num_classes - 1}), but the labels of "
            f"{images.source} run from {low} to {high}, {wrong} of {len(images)} out of range{first}. "
            "Are these the images the model was trained for? Correct the labels, or leave out: --no-labels"
        )
    present = images.present_classes()
    if len(present) == 1:
        return (
            f"all {len(images)} images are of class {present[0]}; a label's own images are left out of its "
            f"search, so label {present[0]} cannot be scanned: add images of other classes",
        )
    return ()


def _to_channels(pixels: Tensor, channels: int) -> Tensor:
    if pixels.shape[1] == channels:
        return pixels
    if channels == 3:
        return pixels.expand(-1, 3, -1, -1)
    return (pixels * torch.tensor(_LUMA).view(3, 1, 1)).sum(1, keepdim=True)


def _describe(shape: tuple[int, int, int]) -> str:
    channels, height, width = shape
    kind = _KINDS.get(channels, f"{channels}-channel")
    return f"{kind}, {height} high and {width} wide"
