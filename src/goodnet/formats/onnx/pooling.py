"""ONNX pooling over images, with padding of any kind."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.formats.keras.weighted import same_padding
from goodnet.formats.onnx.graph import Attributes


def window(attributes: Attributes, shape: Any, kernel: tuple[int, ...]) -> list[int]:
    """Return the padding of a window over an image (..., H, W) as torch orders it: left, right, top, bottom."""
    rank = len(kernel)
    strides = attributes.get("strides") or [1] * rank
    dilations = attributes.get("dilations") or [1] * rank
    automatic = str(attributes.get("auto_pad", "NOTSET"))
    if automatic in ("SAME_UPPER", "SAME_LOWER"):
        pairs = [same_padding(*each) for each in zip(shape[-rank:], kernel, strides, dilations, strict=True)]
        pairs = pairs if automatic == "SAME_UPPER" else [(after, before) for before, after in pairs]
    else:
        pads = attributes.get("pads") if automatic == "NOTSET" else None
        pads = pads or [0] * (2 * rank)
        pairs = list(zip(pads[:rank], pads[rank:], strict=True))
    return [amount for pair in reversed(pairs) for amount in pair]


def max_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """MaxPool."""
    kernel = tuple(attributes["kernel_shape"])
    pads = window(attributes, x.shape, kernel)
    if any(pads):
        x = functional.pad(x, pads, value=-math.inf)
    strides = attributes.get("strides") or [1] * len(kernel)
    dilations, ceiling = attributes.get("dilations") or 1, bool(attributes.get("ceil_mode", 0))
    if len(kernel) == 2:
        return functional.max_pool2d(x, kernel, strides, 0, dilations, ceiling)
    raise NotImplementedError(f"MaxPool over {len(kernel)} axes")


def average_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """AveragePool."""
    kernel = tuple(attributes["kernel_shape"])
    if len(kernel) != 2 or any(each != 1 for each in attributes.get("dilations") or []):
        raise NotImplementedError(f"AveragePool over {len(kernel)} axes or with dilations")
    left, right, top, bottom = window(attributes, x.shape, kernel)
    strides = attributes.get("strides") or [1, 1]
    ceiling, counted = bool(attributes.get("ceil_mode", 0)), bool(attributes.get("count_include_pad", 0))
    if left == right and top == bottom:
        return functional.avg_pool2d(x, kernel, strides, (top, left), ceiling, counted)
    pads = [left, right, top, bottom]
    pooled = functional.avg_pool2d(functional.pad(x, pads), kernel, strides, 0, ceiling)
    if counted:
        return pooled
    inside = functional.pad(torch.ones_like(x[:1, :1]), pads)
    return pooled / functional.avg_pool2d(inside, kernel, strides, 0, ceiling)


def power_pool(attributes: Attributes, x: Tensor) -> Tensor:
    """LpPool."""
    power, kernel = int(attributes.get("p", 2)), tuple(attributes["kernel_shape"])
    if len(kernel) != 2 or any(each != 1 for each in attributes.get("dilations") or []):
        raise NotImplementedError(f"LpPool over {len(kernel)} axes or with dilations")
    padded = functional.pad(x.abs() ** power, window(attributes, x.shape, kernel))
    ceiling, strides = bool(attributes.get("ceil_mode", 0)), attributes.get("strides") or [1, 1]
    return functional.avg_pool2d(padded, kernel, strides, 0, ceiling, divisor_override=1) ** (1 / power)
