"""Keras activations by their names in a model's config, as torch modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.errors import UnsafeModelError


class Elementwise(nn.Module):
    """An activation given as a function of one tensor, with its Keras name."""

    def __init__(self, name: str, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.name = name
        self.function = function

    def forward(self, inputs: Tensor) -> Tensor:
        """Apply the function to a tensor of any shape."""
        return self.function(inputs)


def _last_axis(softmax: Callable[..., Tensor]) -> Callable[[Tensor], Tensor]:
    # Keras' last axis is the channels, which torch keeps second in a batch of images.
    return lambda inputs: softmax(inputs, dim=1 if inputs.ndim == 4 else -1)


def _hard_sigmoid_of_keras_2(inputs: Tensor) -> Tensor:
    return (0.2 * inputs + 0.5).clamp(0.0, 1.0)


def _sparse_plus(inputs: Tensor) -> Tensor:
    return torch.where(inputs <= -1, 0.0, torch.where(inputs < 1, (inputs + 1) ** 2 / 4, inputs))


FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "celu": functional.celu,
    "elu": functional.elu,
    "exponential": lambda inputs: inputs.exp(),
    "gelu": functional.gelu,
    "hard_shrink": functional.hardshrink,
    "hard_sigmoid": functional.hardsigmoid,
    "hard_silu": functional.hardswish,
    "hard_swish": functional.hardswish,
    "hard_tanh": functional.hardtanh,
    "leaky_relu": lambda inputs: functional.leaky_relu(inputs, 0.2),
    "log_sigmoid": functional.logsigmoid,
    "log_softmax": _last_axis(functional.log_softmax),
    "mish": functional.mish,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "selu": functional.selu,
    "sigmoid": lambda inputs: inputs.sigmoid(),
    "silu": functional.silu,
    "softmax": _last_axis(functional.softmax),
    "soft_shrink": functional.softshrink,
    "softplus": functional.softplus,
    "softsign": functional.softsign,
    "sparse_plus": _sparse_plus,
    "squareplus": lambda inputs: (inputs + (inputs * inputs + 4).sqrt()) / 2,
    "swish": functional.silu,
    "tanh": lambda inputs: inputs.tanh(),
    "tanh_shrink": functional.tanhshrink,
}


def activation(config: Any, layer: str, keras_2: bool) -> nn.Module | None:
    """Return the module for an activation config, None where torch has no equal here.

    Args:
        config: a name such as "relu", None for linear, or a serialized object.
        layer: name of the layer, for messages.
        keras_2: whether the file was written by Keras 2, whose hard_sigmoid differs.

    Raises:
        UnsafeModelError: the activation is a function of the author's own.
    """
    if isinstance(config, dict):
        inner = config.get("config")
        if config.get("class_name") in (None, "function", "__lambda__") or config.get("registered_name") not in (
            None,
            config.get("class_name"),
        ):
            if not (isinstance(inner, str) and inner in FUNCTIONS and config.get("module") in (None, "builtins")):
                own = inner if isinstance(inner, str) else config.get("class_name", "lambda")
                raise UnsafeModelError(
                    f"layer {layer!r} needs the author's own activation {own!r}, which is code; export the model to "
                    "ONNX where that code is trusted"
                )
            config = inner
        else:
            return None
    if config in (None, "linear"):
        return nn.Identity()
    if not isinstance(config, str) or config not in FUNCTIONS:
        return None
    if config == "relu":
        return nn.ReLU()
    function = _hard_sigmoid_of_keras_2 if config == "hard_sigmoid" and keras_2 else FUNCTIONS[config]
    return Elementwise(config, function)
