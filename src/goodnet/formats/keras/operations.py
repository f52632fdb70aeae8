"""Keras functions that a model calls between its layers (keras.ops, and TensorFlow's in Keras 2), as torch modules.

They number axes in Keras' order, (B, H, W, C), so images are turned into that order and back.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from goodnet.formats.clipping import clipped
from goodnet.formats.keras import shaping
from goodnet.formats.keras.activations import FUNCTIONS, Elementwise

OF_KERAS_2 = {
    "math.add": "Add",
    "__operators__.add": "Add",
    "nn.bias_add": "Add",
    "math.subtract": "Subtract",
    "math.multiply": "Multiply",
    "math.truediv": "TrueDivide",
    "__operators__.getitem": "GetItem",
}
"""Functions of TensorFlow, as TFOpLambda and SlicingOpLambda layers name them, by their names in Keras 3."""

MERGING: dict[str, Callable[[Any, Any], Any]] = {
    "Add": operator.add,
    "Divide": operator.truediv,
    "Maximum": shaping.larger,
    "Minimum": shaping.smaller,
    "Multiply": operator.mul,
    "Power": operator.pow,
    "Subtract": operator.sub,
    "TrueDivide": operator.truediv,
}
REDUCING: dict[str, Callable[..., Tensor]] = {
    "Logsumexp": torch.logsumexp,
    "Max": torch.amax,
    "Mean": torch.mean,
    "Min": torch.amin,
    "Sum": torch.sum,
}
POINTWISE: dict[str, Callable[[Tensor], Tensor]] = {
    "Absolute": torch.abs,
    "Exp": torch.exp,
    "Log": torch.log,
    "Negative": torch.neg,
    "Sign": torch.sign,
    "Sqrt": torch.sqrt,
    "Square": torch.square,
}
ACTIVATIONS = {
    "Elu": "elu",
    "Gelu": "gelu",
    "HardSigmoid": "hard_sigmoid",
    "HardSilu": "hard_silu",
    "LogSoftmax": "log_softmax",
    "Relu": "relu",
    "Relu6": "relu6",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Silu": "silu",
    "Softplus": "softplus",
    "Tanh": "tanh",
}
FUNCTIONS_ALONE = frozenset(
    [
        *REDUCING,
        *POINTWISE,
        *ACTIVATIONS,
        "Argmax",
        "Clip",
        "Divide",
        "ExpandDims",
        "GetItem",
        "OneHot",
        "Power",
        "Squeeze",
        "Stack",
        "Transpose",
    ]
)
"""Functions whose names no layer has."""


class InKerasOrder(nn.Module):
    """A function of one tensor, or of a tuple of them, in Keras' order of axes."""

    def __init__(self, function: Callable[..., Tensor], channels_first: bool) -> None:
        super().__init__()
        self.function = function
        self.channels_first = channels_first

    def forward(self, inputs: Any, *rest: Any) -> Tensor:
        """Apply the function to tensors of any shape."""
        if isinstance(inputs, tuple):
            given: Any = tuple(shaping.to_keras_order(each, self.channels_first) for each in inputs)
        else:
            given = shaping.to_keras_order(inputs, self.channels_first)
        return shaping.from_keras_order(self.function(given, *rest), self.channels_first)


def operation(kind: str, config: dict[str, Any], channels_first: bool) -> nn.Module:
    """Return the module for a function of Keras.

    Raises:
        NotImplementedError: there is none here.
    """
    if kind in MERGING:
        return shaping.Merge(MERGING[kind], channels_first=channels_first)
    if kind in POINTWISE:
        return Elementwise(kind, POINTWISE[kind])
    if kind in ACTIVATIONS:
        if config.get("axis", -1) != -1 or config.get("approximate"):
            raise NotImplementedError(f"{kind} with {config}")
        return Elementwise(ACTIVATIONS[kind], FUNCTIONS[ACTIVATIONS[kind]])
    if kind == "Softmax":
        return shaping.Softmax(int(config.get("axis", -1)), channels_first)
    if kind == "Concatenate":
        return shaping.Concatenate(int(config.get("axis", -1)), channels_first)
    if kind == "Clip":
        low, high = float(config["x_min"]), float(config["x_max"])
        return Elementwise(kind, lambda x: clipped(x, low, high))
    return InKerasOrder(_reshaping(kind, config), channels_first)


def _reshaping(kind: str, config: dict[str, Any]) -> Callable[..., Tensor]:
    axis = config.get("axis")
    if kind == "GetItem":
        return _get_item
    if kind in REDUCING and axis is not None:
        function, keep = REDUCING[kind], bool(config.get("keepdims"))
        axes = [int(each) for each in axis] if isinstance(axis, (list, tuple)) else [int(axis)]
        return lambda x: function(x, axes, keepdim=keep)
    if kind == "Argmax" and isinstance(axis, int):
        place, keep = axis, bool(config.get("keepdims"))
        return lambda x: x.argmax(place, keepdim=keep)
    if kind == "OneHot" and axis == -1:
        classes = int(config["num_classes"])
        return lambda x: (x.unsqueeze(-1) == torch.arange(classes, device=x.device)).float()
    if kind == "Reshape":
        wanted = [int(size) for size in config["newshape"][1:]]  # the batch stays the batch
        return lambda x: x.reshape(x.shape[0], *wanted)
    if kind == "Transpose" and config.get("axes"):
        order = [int(each) for each in config["axes"]]
        return lambda x: x.permute(order)
    if kind == "Stack" and isinstance(axis, int):
        return lambda parts: torch.stack(parts, axis)
    if kind == "Squeeze" and isinstance(axis, int):
        return lambda x: x.squeeze(axis)
    if kind == "ExpandDims" and isinstance(axis, int):
        return lambda x: x.unsqueeze(axis)
    raise NotImplementedError(f"the function {kind}")


def _get_item(inputs: Tensor, index: Any) -> Tensor:
    """Index as NumPy does, with whole axes reversed by a step of -1."""
    wanted = index if isinstance(index, tuple) else (index,)
    if Ellipsis in wanted:
        place = wanted.index(Ellipsis)
        missing = inputs.ndim - len(wanted) + 1
        wanted = (*wanted[:place], *[slice(None)] * missing, *wanted[place + 1 :])
    for axis, part in enumerate(wanted):
        if isinstance(part, slice) and part.step is not None and part.step < 0:
            if (part.start, part.stop, part.step) != (None, None, -1):
                raise NotImplementedError(f"slicing with {part}")
            inputs = inputs.flip(axis)
    return inputs[tuple(slice(None) if isinstance(p, slice) and (p.step or 1) < 0 else p for p in wanted)]
