"""ONNX operators with constant weights, as the torch layers of the same kind."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.formats.clipping import clipped
from goodnet.formats.keras.weighted import parameter
from goodnet.formats.onnx.graph import Array, Attributes
from goodnet.formats.onnx.pooling import window


class Convolution(nn.Conv2d):
    """Conv over images: kernel (out, in/groups, kh, kw), with any padding on each side."""

    def __init__(self, attributes: Attributes, kernel: Array, bias: Array | None = None) -> None:
        outputs, inputs, rows, columns = kernel.shape
        groups = int(attributes.get("group", 1))
        super().__init__(
            inputs * groups,
            outputs,
            (rows, columns),
            stride=tuple(attributes.get("strides") or (1, 1)),
            dilation=tuple(attributes.get("dilations") or (1, 1)),
            groups=groups,
            bias=bias is not None,
        )
        self.attributes = dict(attributes)
        automatic = str(attributes.get("auto_pad", "NOTSET")).startswith("SAME")
        left, right, top, bottom = (0, 0, 0, 0) if automatic else window(attributes, (0, 0), (rows, columns))
        self.uneven = automatic or left != right or top != bottom
        if not self.uneven:
            self.padding = (top, left)
        self.weight = parameter(kernel)
        if bias is not None:
            self.bias = parameter(bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if self.uneven:
            inputs = functional.pad(inputs, window(self.attributes, inputs.shape, self.kernel_size))
        return super().forward(inputs)


class TransposedConvolution(nn.ConvTranspose2d):
    """ConvTranspose over images: kernel (in, out/groups, kh, kw)."""

    def __init__(self, attributes: Attributes, kernel: Array, bias: Array | None = None) -> None:
        inputs, outputs, rows, columns = kernel.shape
        groups = int(attributes.get("group", 1))
        left, right, top, bottom = window(attributes, (0, 0), (rows, columns))
        if str(attributes.get("auto_pad", "NOTSET")) != "NOTSET" or left != right or top != bottom:
            raise NotImplementedError("ConvTranspose with uneven padding")
        if attributes.get("output_shape"):
            raise NotImplementedError("ConvTranspose with output_shape")
        super().__init__(
            inputs,
            outputs * groups,
            (rows, columns),
            stride=tuple(attributes.get("strides") or (1, 1)),
            padding=(top, left),
            output_padding=tuple(attributes.get("output_padding") or (0, 0)),
            groups=groups,
            bias=bias is not None,
            dilation=tuple(attributes.get("dilations") or (1, 1)),
        )
        self.weight = parameter(kernel)
        if bias is not None:
            self.bias = parameter(bias)


class BatchNormalization(nn.BatchNorm2d):
    """BatchNormalization over (B, C, ...) by the stored statistics: scale, bias, mean, variance."""

    def __init__(self, attributes: Attributes, scale: Array, bias: Array, mean: Array, variance: Array) -> None:
        super().__init__(len(scale), eps=float(attributes.get("epsilon", 1e-5)))
        self.weight, self.bias = parameter(scale), parameter(bias)
        self.running_mean = torch.from_numpy(np.array(mean, dtype=np.float32))
        self.running_var = torch.from_numpy(np.array(variance, dtype=np.float32))

    def _check_input_dim(self, input: Tensor) -> None:  # noqa: A002
        """Accept vectors as well as images."""


def linear(weight: Array, bias: Array | None = None) -> nn.Linear:
    """Return the layer for x @ weight + bias, weight (in, out)."""
    layer = nn.Linear(weight.shape[0], weight.shape[1], bias=bias is not None)
    layer.weight = parameter(weight, 1, 0)
    if bias is not None:
        layer.bias = parameter(np.broadcast_to(bias.reshape(-1), (weight.shape[1],)))
    return layer


def general_product(attributes: Attributes, weight: Array, bias: Array | None = None) -> nn.Linear:
    """Return the layer for Gemm: alpha * x @ weight + beta * bias."""
    if attributes.get("transA"):
        raise NotImplementedError("Gemm of a transposed image")
    weight = float(attributes.get("alpha", 1.0)) * (weight.T if attributes.get("transB") else weight)
    if bias is not None:
        if bias.ndim == 2 and bias.shape[0] != 1:
            raise NotImplementedError("Gemm with a bias for each image")
        bias = float(attributes.get("beta", 1.0)) * bias
    return linear(weight, bias)


class Clip(nn.Module):
    """Clip with constant bounds: numbers, for the gradient of bounds that are tensors takes ten times as long."""

    def __init__(self, attributes: Attributes, low: Array | None = None, high: Array | None = None) -> None:
        super().__init__()
        self.low, self.high = (None if bound is None else bound.item() for bound in (low, high))

    def forward(self, inputs: Tensor | Array) -> Tensor | Array:
        """Bring each number into the bounds; in the arithmetic of shapes, that is, arrays."""
        if isinstance(inputs, Tensor):
            return clipped(inputs, self.low, self.high)
        return inputs if self.low is None and self.high is None else np.clip(inputs, self.low, self.high)


WEIGHTED: dict[str, Any] = {
    "BatchNormalization": BatchNormalization,
    "Clip": Clip,
    "Conv": Convolution,
    "ConvTranspose": TransposedConvolution,
    "Gemm": general_product,
}
"""Builders of a layer from its attributes and the constants that follow the image among its inputs."""
