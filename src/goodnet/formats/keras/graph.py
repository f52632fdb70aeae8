"""A Keras model's graph of layers as a torch module."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Slot:
    """The output of an earlier step: 0 is the model's input, k the output of step k - 1."""

    index: int


@dataclass(frozen=True)
class Fixed:
    """A constant: the name of the graph's buffer that holds it."""

    name: str


@dataclass(frozen=True)
class Step:
    """One call of a layer.

    Attributes:
        layer: the layer's Keras name.
        arguments: what it is called with: slots, numbers, constant tensors, and tuples of them.
    """

    layer: str
    arguments: tuple[Any, ...]


class LayerGraph(nn.Module):
    """Runs Keras layers, each a list of modules, in an order in which every input is ready.

    A layer may be a LayerGraph itself. `layers` gives each by its Keras name, to write weights back.
    """

    def __init__(self, layers: dict[str, Sequence[nn.Module]], steps: Sequence[Step], output: Slot) -> None:
        super().__init__()
        self._keys: dict[str, str] = {}
        for number, (name, modules) in enumerate(layers.items()):
            self._keys[name] = f"l{number}_" + re.sub(r"\W", "_", name)
            self.add_module(self._keys[name], nn.Sequential(*modules) if len(modules) > 1 else modules[0])
        self.steps = tuple(Step(step.layer, self._with_buffers(step.arguments)) for step in steps)
        self.output = output
        self._release = self._last_uses()

    def _with_buffers(self, argument: Any) -> Any:
        """Register the constant tensors in a step's arguments, so that they move with the network."""
        if isinstance(argument, tuple):
            return tuple(self._with_buffers(each) for each in argument)
        if not isinstance(argument, Tensor):
            return argument
        name = f"constant_{len(self._buffers)}"
        self.register_buffer(name, argument)
        return Fixed(name)

    def _last_uses(self) -> list[list[int]]:
        last = {0: 0}
        for position, step in enumerate(self.steps):
            for slot in slots(step.arguments):
                last[slot] = position
        last.pop(self.output.index, None)
        return [[slot for slot, when in last.items() if when == position] for position in range(len(self.steps))]

    @property
    def layers(self) -> dict[str, nn.Module]:
        """Each layer's module by the layer's Keras name; where an activation follows, both in a Sequential."""
        return {name: self.get_submodule(key) for name, key in self._keys.items()}

    def replace_layer(self, name: str, module: nn.Module) -> None:
        """Put another module in the place of a layer."""
        setattr(self, self._keys[name], module)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, C, H, W) to the model's output."""
        values: list[Any] = [inputs]
        for step, release in zip(self.steps, self._release, strict=True):
            arguments = [self._resolve(argument, values) for argument in step.arguments]
            values.append(getattr(self, self._keys[step.layer])(*arguments))
            for slot in release:
                values[slot] = None
        result: Tensor = values[self.output.index]
        return result

    def _resolve(self, argument: Any, values: list[Any]) -> Any:
        if isinstance(argument, Slot):
            return values[argument.index]
        if isinstance(argument, Fixed):
            return self.get_buffer(argument.name)
        if isinstance(argument, tuple):
            return tuple(self._resolve(each, values) for each in argument)
        return argument


def slots(arguments: Any) -> Iterator[int]:
    """Yield the indices of the slots in a step's arguments."""
    if isinstance(arguments, Slot):
        yield arguments.index
    elif isinstance(arguments, tuple):
        for argument in arguments:
            yield from slots(argument)
