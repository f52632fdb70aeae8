"""Keras layers with weights, as torch layers that can take their weights from Keras and give them back.

Images are (B, C, H, W) here and (B, H, W, C) in Keras; `load` and `dump` translate the kernels between the two.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

Arrays = list[np.ndarray[Any, Any]]


def pair(value: int | list[int] | tuple[int, ...]) -> tuple[int, int]:
    """Return (rows, columns) from one number or two."""
    if isinstance(value, int):
        return value, value
    rows, columns = value
    return int(rows), int(columns)


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Return how many zeros TensorFlow's "same" padding puts before and after one axis of `size` pixels."""
    total = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
    return total // 2, total - total // 2


def parameter(array: np.ndarray[Any, Any], *axes: int) -> nn.Parameter:
    """Return an array with its axes permuted as a float32 parameter."""
    values = torch.from_numpy(np.array(array, dtype=np.float32))
    return nn.Parameter((values.permute(*axes) if axes else values).contiguous())


class Convolution(nn.Conv2d):
    """Conv2D, DepthwiseConv2D: kernel (kh, kw, in/groups, out), with TensorFlow's asymmetric "same" padding."""

    def __init__(self, config: dict[str, Any], weights: Arrays, depthwise: bool = False) -> None:
        kernel = weights[0]
        rows, columns, inputs, outputs = kernel.shape
        groups = inputs if depthwise else int(config.get("groups") or 1)
        self.depthwise = depthwise
        super().__init__(
            inputs if depthwise else inputs * groups,
            inputs * outputs if depthwise else outputs,
            (rows, columns),
            stride=pair(config.get("strides", 1)),
            dilation=pair(config.get("dilation_rate", 1)),
            groups=groups,
            bias=len(weights) > 1,
        )
        self.same = config.get("padding", "valid") == "same"
        if self.same and self.stride == (1, 1) and all((k - 1) * d % 2 == 0 for k, d in self._extent()):
            top, left = ((k - 1) * d // 2 for k, d in self._extent())
            self.padding, self.same = (top, left), False
        self.load(weights)

    def _extent(self) -> tuple[tuple[int, int], tuple[int, int]]:
        return (self.kernel_size[0], self.dilation[0]), (self.kernel_size[1], self.dilation[1])

    def load(self, weights: Arrays) -> None:
        """Take kernel and bias in Keras' layout."""
        kernel = parameter(weights[0], 2, 3, 0, 1) if self.depthwise else parameter(weights[0], 3, 2, 0, 1)
        if self.depthwise:
            kernel = nn.Parameter(kernel.detach().flatten(0, 1).unsqueeze(1))
        self.weight = kernel
        if self.bias is not None:
            self.bias = parameter(weights[1])

    def dump(self) -> Arrays:
        """Return kernel and bias in Keras' layout."""
        kernel = self.weight.detach().cpu()
        if self.depthwise:
            kernel = kernel.squeeze(1).unflatten(0, (self.groups, -1)).permute(2, 3, 0, 1)
        else:
            kernel = kernel.permute(2, 3, 1, 0)
        return [kernel.numpy()] + ([] if self.bias is None else [self.bias.detach().cpu().numpy()])

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        if self.same:
            (k0, d0), (k1, d1) = self._extent()
            rows = same_padding(inputs.shape[2], k0, self.stride[0], d0)
            columns = same_padding(inputs.shape[3], k1, self.stride[1], d1)
            inputs = functional.pad(inputs, (*columns, *rows))
        return super().forward(inputs)


class SeparableConvolution(nn.Module):
    """SeparableConv2D: a depthwise convolution, then a pointwise one with the bias."""

    def __init__(self, config: dict[str, Any], weights: Arrays) -> None:
        super().__init__()
        self.depthwise = Convolution(config, weights[:1], depthwise=True)
        self.pointwise = Convolution({}, weights[1:])

    def load(self, weights: Arrays) -> None:
        """Take depthwise kernel, pointwise kernel and bias in Keras' layout."""
        self.depthwise.load(weights[:1])
        self.pointwise.load(weights[1:])

    def dump(self) -> Arrays:
        """Return depthwise kernel, pointwise kernel and bias in Keras' layout."""
        return self.depthwise.dump() + self.pointwise.dump()

    def forward(self, inputs: Tensor) -> Tensor:
        """Convolve (B, C, H, W)."""
        output: Tensor = self.pointwise(self.depthwise(inputs))
        return output


class TransposedConvolution(nn.ConvTranspose2d):
    """Conv2DTranspose: kernel (kh, kw, out, in); "same" gives an output of exactly stride times the input."""

    def __init__(self, config: dict[str, Any], weights: Arrays) -> None:
        rows, columns, outputs, inputs = weights[0].shape
        stride = pair(config.get("strides", 1))
        if config.get("output_padding") is not None or pair(config.get("dilation_rate", 1)) != (1, 1):
            raise NotImplementedError("a transposed convolution with output padding or dilation")
        super().__init__(inputs, outputs, (rows, columns), stride, bias=len(weights) > 1)
        # Where the kernel is smaller than the stride Keras still fills the whole stride.
        self.output_padding = (max(stride[0] - rows, 0), max(stride[1] - columns, 0))
        self.same = config.get("padding", "valid") == "same"
        self.load(weights)

    def load(self, weights: Arrays) -> None:
        """Take kernel and bias in Keras' layout."""
        self.weight = parameter(weights[0], 3, 2, 0, 1)
        if self.bias is not None:
            self.bias = parameter(weights[1])

    def dump(self) -> Arrays:
        """Return kernel and bias in Keras' layout."""
        kernel = self.weight.detach().cpu().permute(2, 3, 1, 0).numpy()
        return [kernel] + ([] if self.bias is None else [self.bias.detach().cpu().numpy()])

    def forward(self, inputs: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Convolve (B, C, H, W) to a larger image."""
        output = super().forward(inputs)
        if self.same:
            rows, columns = (s * n for s, n in zip(self.stride, inputs.shape[2:], strict=True))
            top, left = (max(k - s, 0) // 2 for k, s in zip(self.kernel_size, self.stride, strict=True))
            output = output[:, :, top : top + rows, left : left + columns]
        return output


class Dense(nn.Linear):
    """Dense: kernel (in, out), applied to the last Keras axis, which is the channels of an image."""

    def __init__(self, weights: Arrays) -> None:
        inputs, outputs = weights[0].shape
        super().__init__(inputs, outputs, bias=len(weights) > 1)
        self.load(weights)

    def load(self, weights: Arrays) -> None:
        """Take kernel and bias in Keras' layout."""
        self.weight = parameter(weights[0], 1, 0)
        if self.bias is not None:
            self.bias = parameter(weights[1])

    def dump(self) -> Arrays:
        """Return kernel and bias in Keras' layout."""
        kernel = self.weight.detach().cpu().T.numpy()
        return [kernel] + ([] if self.bias is None else [self.bias.detach().cpu().numpy()])

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, in), (B, T, in) or (B, in, H, W)."""
        if inputs.ndim == 4:
            return super().forward(inputs.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return super().forward(inputs)


class Scale(nn.Module):
    """LayerScale: gamma (C,)."""

    def __init__(self, weights: Arrays) -> None:
        super().__init__()
        self.load(weights)

    def load(self, weights: Arrays) -> None:
        """Take gamma."""
        self.gamma = parameter(weights[0])

    def dump(self) -> Arrays:
        """Return gamma."""
        return [self.gamma.detach().cpu().numpy()]

    def forward(self, inputs: Tensor) -> Tensor:
        """Scale the channels of (B, C, H, W) or (B, C)."""
        return inputs * (self.gamma.view(-1, 1, 1) if inputs.ndim == 4 else self.gamma)


class ParametricReLU(nn.Module):
    """PReLU: alpha (H, W, C), with 1 where an axis is shared, or (C,)."""

    def __init__(self, weights: Arrays) -> None:
        super().__init__()
        self.load(weights)

    def load(self, weights: Arrays) -> None:
        """Take alpha in Keras' layout."""
        self.alpha = parameter(weights[0], 2, 0, 1) if weights[0].ndim == 3 else parameter(weights[0])

    def dump(self) -> Arrays:
        """Return alpha in Keras' layout."""
        alpha = self.alpha.detach().cpu()
        return [(alpha.permute(1, 2, 0) if alpha.ndim == 3 else alpha).numpy()]

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply to (B, C, H, W) or (B, C)."""
        return inputs.clamp(min=0) + self.alpha * inputs.clamp(max=0)
