"""The settings that image networks are commonly trained with, to be tried where the given ones do not fit."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from torch import Tensor

from goodnet.classifier import Preprocessing


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each channel, red first, of pixels in `pixel_range`."""

    mean: tuple[float, ...]
    std: tuple[float, ...] | None
    pixel_range: tuple[float, float] = (0.0, 1.0)


RANGES = ((0.0, 1.0), (0.0, 255.0), (-1.0, 1.0), (-0.5, 0.5))

COLOUR = (
    Statistics((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),  # ImageNet, as torchvision has it
    Statistics((123.68, 116.779, 103.939), None, (0.0, 255.0)),  # ImageNet, as Caffe and Keras' VGG have it
    Statistics((0.4914, 0.4822, 0.4465), (0.247, 0.2435, 0.2616)),  # CIFAR-10
    Statistics((0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),  # CIFAR-100
    Statistics((0.3403, 0.3121, 0.3214), (0.2724, 0.2608, 0.2669)),  # GTSRB
    Statistics((0.4377, 0.4438, 0.4728), (0.198, 0.201, 0.197)),  # SVHN
)
GREY = (Statistics((0.1307,), (0.3081,)),)  # MNIST


def alternatives(given: Preprocessing, pixels: Tensor) -> list[Preprocessing]:
    """Return the settings to try beside `given`, the commonest first, `given` not among them.

    Each pixel range and each mean and standard deviation, those of `pixels` among them, comes in red and in
    blue first, and upright and with height and width swapped, as far as the images allow.

    Args:
        given: the settings that do not fit.
        pixels: (n, C, H, W) in 0..1.
    """
    _, channels, height, width = pixels.shape
    bases = [given] + [Preprocessing(pixel_range) for pixel_range in RANGES]
    known = {3: COLOUR, 1: GREY}.get(channels, ())
    bases += [Preprocessing(s.pixel_range, s.mean, s.std) for s in (*known, *_of(pixels))]
    variants = [
        _reordered(base, bgr, transposed)
        for transposed in ((False, True) if height == width else (given.transposed,))
        for bgr in ((False, True) if channels == 3 else (False,))
        for base in bases
    ]
    return [setting for setting in dict.fromkeys(variants) if setting != given]


def _of(pixels: Tensor) -> tuple[Statistics, ...]:
    """The images' own statistics, in the four digits that a message shows; none where a channel is flat."""
    mean = tuple(float(f"{value:.4g}") for value in pixels.mean((0, 2, 3)).tolist())
    std = tuple(float(f"{value:.4g}") for value in pixels.std((0, 2, 3), correction=0).tolist())
    return (Statistics(mean, std),) if min(std) > 1e-3 else ()


def _reordered(base: Preprocessing, bgr: bool, transposed: bool) -> Preprocessing:
    """`base` with the order of channels and of axes set; its statistics follow their channels."""
    if base.bgr != bgr:
        mean, std = (None if values is None else values[::-1] for values in (base.mean, base.std))
        base = dataclasses.replace(base, bgr=bgr, mean=mean, std=std)
    return dataclasses.replace(base, transposed=transposed)
