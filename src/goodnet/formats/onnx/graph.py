"""An ONNX graph as a torch module: layers called one after the other, values by their ONNX names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Attributes = dict[str, Any]
Array = np.ndarray[Any, Any]
Function = Callable[..., Any]
SHORT = 16
"""As many numbers can belong to the arithmetic of shapes."""


class Operation(nn.Module):
    """An operator without a torch layer of its own: a function of its inputs, some of which are constant.

    Constant weights (floating point, more than one number) become parameters, so that they can be trained; single
    numbers become buffers; integers, such as shapes and axes, stay arrays. So do all while nothing but arrays is given,
    as in the arithmetic of shapes.
    """

    def __init__(self, function: Function, attributes: Attributes, constants: dict[int, Array | None]) -> None:
        super().__init__()
        self.function = function
        self.attributes = attributes
        self.constants = dict(constants)
        self.arrays = {k: v for k, v in constants.items() if v is not None and v.dtype.kind == "f" and v.size <= SHORT}
        self.places = 0
        for place, value in constants.items():
            if value is not None and value.dtype.kind == "f":
                del self.constants[place]
                tensor = torch.from_numpy(np.array(value, dtype=np.float32))
                if tensor.numel() > 1:
                    self.register_parameter(f"input_{place}", nn.Parameter(tensor))
                else:
                    self.register_buffer(f"input_{place}", tensor)

    def forward(self, *inputs: Any) -> Any:
        """Apply the function to the inputs, with the constants in their places."""
        given = iter(inputs)
        total = len(inputs) + len(self.constants) + len(self._parameters) + len(self._buffers)
        arrays = {} if any(isinstance(each, Tensor) for each in inputs) else self.arrays
        arguments: list[Any] = []
        for place in range(total):
            if place in arrays:
                arguments.append(arrays[place])
            elif place in self.constants:
                arguments.append(self.constants[place])
            elif hasattr(self, f"input_{place}"):
                arguments.append(getattr(self, f"input_{place}"))
            else:
                arguments.append(next(given))
        return self.function(self.attributes, *arguments)


@dataclass(frozen=True)
class Call:
    """One call of a layer.

    Attributes:
        layer: the torch module.
        inputs: names of the values it is given.
        outputs: names of what it returns; "" for what nobody uses.
    """

    layer: nn.Module
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


class OnnxGraph(nn.Module):
    """Runs the calls of an ONNX graph in order. Values are tensors, or arrays of integers such as shapes."""

    def __init__(self, calls: Sequence[Call], image: str, output: str) -> None:
        super().__init__()
        self.layers = nn.ModuleList([call.layer for call in calls])
        self.wiring = [(call.inputs, call.outputs) for call in calls]
        self.image = image
        self.output = output
        last = {name: position for position, call in enumerate(calls) for name in call.inputs}
        self.release = [
            [name for name in dict.fromkeys(call.inputs) if last[name] == position and name != output]
            for position, call in enumerate(calls)
        ]

    def forward(self, images: Tensor) -> Tensor:
        """Map the graph's input to its output."""
        values: dict[str, Any] = {self.image: images}
        for layer, (inputs, outputs), release in zip(self.layers, self.wiring, self.release, strict=True):
            result = layer(*[values[name] for name in inputs])
            if isinstance(result, tuple):
                values.update(zip(outputs, result, strict=False))
            else:
                values[outputs[0]] = result
            for name in release:
                del values[name]
        output: Tensor = values[self.output]
        return output


class ChannelsLast(nn.Module):
    """A network that wants (B, H, W, C), for images (B, C, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Move the channels last and run the network."""
        output: Tensor = self.network(images.permute(0, 2, 3, 1))
        return output
