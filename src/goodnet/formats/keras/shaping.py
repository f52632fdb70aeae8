"""Keras layers without weights, as torch modules over (B, C, H, W) where Keras has (B, H, W, C)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.formats.clipping import clipped
from goodnet.formats.keras.weighted import pair, same_padding


def torch_axis(axis: int, rank: int, channels_first: bool) -> int:
    """Return where Keras' axis of a tensor of `rank` dimensions is in torch's order."""
    axis = axis % rank
    return axis if channels_first or rank != 4 else (0, 2, 3, 1)[axis]


def to_keras_order(inputs: Tensor, channels_first: bool) -> Tensor:
    """Return images as (B, H, W, C) where the model has them so; anything else as it is."""
    return inputs.permute(0, 2, 3, 1) if inputs.ndim == 4 and not channels_first else inputs


def from_keras_order(inputs: Tensor, channels_first: bool) -> Tensor:
    """Undo `to_keras_order`."""
    return inputs.permute(0, 3, 1, 2) if inputs.ndim == 4 and not channels_first else inputs


class Pooling(nn.Module):
    """MaxPooling2D or AveragePooling2D; with "same" padding the average leaves the padding out."""

    def __init__(self, config: dict[str, Any], maximum: bool) -> None:
        super().__init__()
        self.kernel = pair(config.get("pool_size", 2))
        self.stride = pair(config.get("strides") or self.kernel)
        self.same = config.get("padding", "valid") == "same"
        self.maximum = maximum

    def forward(self, inputs: Tensor) -> Tensor:
        """Pool (B, C, H, W)."""
        pads = (0, 0, 0, 0)
        if self.same:
            rows = same_padding(inputs.shape[2], self.kernel[0], self.stride[0], 1)
            columns = same_padding(inputs.shape[3], self.kernel[1], self.stride[1], 1)
            pads = (*columns, *rows)
        if self.maximum:
            padded = functional.pad(inputs, pads, value=-torch.inf) if any(pads) else inputs
            return functional.max_pool2d(padded, self.kernel, self.stride)
        if not any(pads):
            return functional.avg_pool2d(inputs, self.kernel, self.stride)
        inside = functional.pad(torch.ones_like(inputs[:1, :1]), pads)
        share = functional.avg_pool2d(inside, self.kernel, self.stride)
        return functional.avg_pool2d(functional.pad(inputs, pads), self.kernel, self.stride) / share


class GlobalPooling(nn.Module):
    """GlobalAveragePooling2D or GlobalMaxPooling2D."""

    def __init__(self, config: dict[str, Any], maximum: bool) -> None:
        super().__init__()
        self.keep = bool(config.get("keepdims", False))
        self.maximum = maximum

    def forward(self, inputs: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, C) or (B, C, 1, 1)."""
        if self.maximum:
            return inputs.amax((2, 3), keepdim=self.keep)
        return inputs.mean((2, 3), keepdim=self.keep)


class Flatten(nn.Module):
    """Flatten in the order in which Keras lays out an image: rows, columns, channels."""

    def __init__(self, channels_first: bool) -> None:
        super().__init__()
        self.channels_first = channels_first

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, ...) to (B, n)."""
        return to_keras_order(inputs, self.channels_first).flatten(1)


class Reshape(nn.Module):
    """Reshape to a target shape in Keras' order, without the batch; one size may be -1."""

    def __init__(self, target: list[int], channels_first: bool) -> None:
        super().__init__()
        self.target = tuple(int(size) for size in target)
        self.channels_first = channels_first

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, ...) to (B, *target), with channels second if that is an image."""
        ordered = to_keras_order(inputs, self.channels_first)
        return from_keras_order(ordered.reshape(len(inputs), *self.target), self.channels_first)


class Permute(nn.Module):
    """Permute the axes after the batch, numbered from 1 in Keras' order."""

    def __init__(self, dims: list[int], channels_first: bool) -> None:
        super().__init__()
        self.dims = tuple(int(dim) for dim in dims)
        self.channels_first = channels_first

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, ...) to (B, ...)."""
        ordered = to_keras_order(inputs, self.channels_first).permute(0, *self.dims)
        return from_keras_order(ordered, self.channels_first)


class Affine(nn.Module):
    """Rescaling and Normalization: inputs times a scale plus an offset, each one number or one a channel."""

    def __init__(self, scale: Any, offset: Any, channels_first: bool = False) -> None:
        super().__init__()
        self.channels_first = channels_first
        self.register_buffer("scale", torch.from_numpy(np.array(scale, dtype=np.float32).squeeze()))
        self.register_buffer("offset", torch.from_numpy(np.array(offset, dtype=np.float32).squeeze()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, C, H, W) or (B, C)."""
        scale, offset = (
            values.view(-1, 1, 1) if values.ndim == 1 and inputs.ndim == 4 and not self.channels_first else values
            for values in (self.get_buffer("scale"), self.get_buffer("offset"))
        )
        return inputs * scale + offset


def larger(x: Any, y: Any) -> Tensor:
    """Return the larger of a tensor and a tensor or number."""
    return torch.maximum(x, torch.as_tensor(y))


def smaller(x: Any, y: Any) -> Tensor:
    """Return the smaller of a tensor and a tensor or number."""
    return torch.minimum(x, torch.as_tensor(y))


class Merge(nn.Module):
    """Add, Subtract, Multiply, Average, Maximum, Minimum: fold a function over the inputs."""

    def __init__(
        self, function: Callable[[Any, Any], Any], average: bool = False, channels_first: bool = False
    ) -> None:
        super().__init__()
        self.function = function
        self.average = average
        self.channels_first = channels_first

    def forward(self, *inputs: Any) -> Tensor:
        """Merge two or more tensors (or numbers) that broadcast in Keras' order of axes."""
        flat = list(inputs[0]) if len(inputs) == 1 else list(inputs)
        mixed = len({value.ndim for value in flat if isinstance(value, Tensor) and value.ndim > 0}) > 1
        if mixed:
            flat = [to_keras_order(v, self.channels_first) if isinstance(v, Tensor) else v for v in flat]
        result = flat[0]
        for value in flat[1:]:
            result = self.function(result, value)
        output: Tensor = result / len(flat) if self.average else result
        return from_keras_order(output, self.channels_first) if mixed else output


class Concatenate(nn.Module):
    """Concatenate along an axis in Keras' order."""

    def __init__(self, axis: int, channels_first: bool) -> None:
        super().__init__()
        self.axis = axis
        self.channels_first = channels_first

    def forward(self, *inputs: Any) -> Tensor:
        """Join tensors of one rank."""
        flat: list[Tensor] = list(inputs[0]) if len(inputs) == 1 else list(inputs)
        return torch.cat(flat, torch_axis(self.axis, flat[0].ndim, self.channels_first))


class BoundedReLU(nn.Module):
    """ReLU with Keras' negative slope, threshold and upper bound."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        self.slope = float(config.get("negative_slope") or 0.0)
        self.threshold = float(config.get("threshold") or 0.0)
        self.bound = config.get("max_value")

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply to a tensor of any shape."""
        if self.threshold == 0.0 and not self.slope and self.bound is not None:
            return clipped(inputs, 0.0, float(self.bound))
        if self.threshold == 0.0:
            output = functional.leaky_relu(inputs, self.slope) if self.slope else functional.relu(inputs)
        else:
            low = self.slope * (inputs - self.threshold)
            output = torch.where(inputs >= self.threshold, inputs, low)
        return output if self.bound is None else output.clamp(max=float(self.bound))


class Softmax(nn.Module):
    """Softmax over an axis in Keras' order."""

    def __init__(self, axis: int, channels_first: bool) -> None:
        super().__init__()
        self.axis = axis
        self.channels_first = channels_first

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply to a tensor of any shape."""
        return inputs.softmax(torch_axis(self.axis, inputs.ndim, self.channels_first))
