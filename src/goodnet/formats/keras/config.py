"""A Keras model's JSON config as a LayerGraph."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from goodnet.errors import ModelError, UnsafeModelError
from goodnet.formats.keras.graph import LayerGraph, Slot, Step, slots
from goodnet.formats.keras.layers import Config, Dialect, build_layer
from goodnet.formats.keras.operations import FUNCTIONS_ALONE, OF_KERAS_2, operation
from goodnet.formats.keras.weights import MODELS, Weights

INSTEAD = "export the model to ONNX (model.export(..., format='onnx'), or tf2onnx) and scan that"


class UnsupportedLayerError(ModelError):
    """A layer that goodnet has no torch module for; Keras itself may still run it."""


def layer_list(config: Config) -> list[Config]:
    """Return the layers of a model config; files from before Keras 2.2.3 have the bare list for Sequential.

    Raises:
        UnsafeModelError: the model is of the author's own class.
    """
    if config.get("class_name") not in MODELS:
        raise UnsafeModelError(
            f"expected a Sequential or Functional Keras model, got the author's own class "
            f"{config.get('registered_name') or config.get('class_name')!r}, which needs the author's code; "
            "export the model to ONNX where that code is trusted"
        )
    inner = config.get("config")
    layers = inner if isinstance(inner, list) else (inner or {}).get("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, dict) for layer in layers):
        raise ModelError("expected a Keras Sequential or Functional model, got a config without a list of layers")
    return layers


def layer_name(layer: Config) -> str:
    """Return a layer's name."""
    return str(layer.get("config", {}).get("name") or layer.get("name") or layer["class_name"])


def build_model(config: Config, weights: Weights, dialect: Dialect) -> LayerGraph:
    """Return the torch module for a Sequential or Functional config with its weights.

    Raises:
        UnsupportedLayerError: a layer that has no torch module here, by name.
        UnsafeModelError: a layer needs code.
    """
    described = layer_list(config)
    sequential = config["class_name"] == "Sequential"
    counted = [
        (layer_name(layer), str(layer["class_name"]))
        for layer in described
        if not (sequential and layer["class_name"] == "InputLayer")
    ]
    stores = weights.children(counted)
    layers: dict[str, Sequence[nn.Module]] = {}
    for layer in described:
        name, class_name = layer_name(layer), str(layer["class_name"])
        if name in layers:
            raise ModelError(f"two layers are both named {name!r}")
        if class_name in MODELS:
            layers[name] = [build_model(layer, stores[name], dialect)]
            continue
        own = stores[name].arrays() if name in stores else []
        layers[name] = _layer(class_name, {**layer.get("config", {}), "name": name}, own, dialect, _function(layer))
    steps, output = _chain(list(layers)) if sequential else _functional(config["config"], dialect)
    return LayerGraph(layers, steps, output)


def _function(layer: Config) -> str | None:
    """Return the name of a Keras function that is called as if it were a layer, None for a layer."""
    if layer["class_name"] in ("TFOpLambda", "SlicingOpLambda"):
        function = str(layer.get("config", {}).get("function"))
        return OF_KERAS_2.get(function, function)
    kind = str(layer["class_name"])
    if "module" in layer:
        return kind if str(layer["module"]).startswith("keras.src.ops") else None
    # HDF5 files do not tell functions from layers of the same name, but only these number their axes so.
    return kind if kind in FUNCTIONS_ALONE or "newshape" in layer.get("config", {}) else None


def _layer(
    class_name: str, config: Config, weights: list[Any], dialect: Dialect, function: str | None
) -> list[nn.Module]:
    try:
        if function is not None:
            return [operation(function, config, dialect.channels_first)]
        return build_layer(class_name, config, weights, dialect)
    except NotImplementedError as error:
        raise UnsupportedLayerError(
            f"layer {config['name']!r} needs {error}, which goodnet cannot convert; {INSTEAD}"
        ) from error
    except UnsafeModelError:
        raise
    except (ModelError, ValueError, IndexError, KeyError, TypeError, RuntimeError) as error:
        shapes = [tuple(array.shape) for array in weights]
        raise ModelError(
            f"layer {config['name']!r} ({class_name}) does not fit its weights of shapes {shapes}: {error}"
        ) from error


def _chain(names: list[str]) -> tuple[list[Step], Slot]:
    return [Step(name, (Slot(position),)) for position, name in enumerate(names)], Slot(len(names))


def _functional(config: Config, dialect: Dialect) -> tuple[list[Step], Slot]:
    inputs, outputs = (_endpoints(config.get(key, [])) for key in ("input_layers", "output_layers"))
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"expected a model with one input and one output, got {len(inputs)} inputs and {len(outputs)} outputs"
        )
    ready: dict[tuple[str, int], Slot] = {(inputs[0][0], inputs[0][1]): Slot(0)}
    waiting = [
        (layer_name(layer), number, node)
        for layer in config["layers"]
        for number, node in enumerate(layer.get("inbound_nodes", []))
        if (layer_name(layer), number) not in ready
    ]
    steps: list[Step] = []
    while waiting:
        later = []
        for name, number, node in waiting:
            try:
                arguments = _arguments(node, lambda layer, index: ready[layer, index], name)
            except KeyError:
                later.append((name, number, node))
                continue
            steps.append(Step(name, tuple(_in_torch_order(each, dialect) for each in arguments)))
            ready[name, number] = Slot(len(steps))
        if len(later) == len(waiting):
            break
        waiting = later
    # A nested model's own calls can be listed too, with inputs outside of this model: those never get ready.
    # Everything leads to the output, so it is the last call of its layer; Keras 3 miscounts those of nested models.
    last = [slot for (name, _), slot in ready.items() if name == outputs[0][0]]
    if not last:
        raise ModelError(f"the output layer {outputs[0][0]!r} is not connected to the input layer {inputs[0][0]!r}")
    return _needed(steps, max(last, key=lambda slot: slot.index))


def _in_torch_order(argument: Any, dialect: Dialect) -> Any:
    """Return a constant with the axes of an image, such as (1, 1, 1, C), in torch's order; else what was given."""
    if isinstance(argument, torch.Tensor) and argument.ndim == 4 and not dialect.channels_first:
        return argument.permute(0, 3, 1, 2)
    return argument


def _needed(steps: list[Step], output: Slot) -> tuple[list[Step], Slot]:
    """Drop the steps that do not lead to the output."""
    keep = {output.index}
    for position in range(len(steps), 0, -1):
        if position in keep:
            keep.update(slots(steps[position - 1].arguments))
    number = {old: new for new, old in enumerate(sorted(keep | {0}))}

    def renumber(argument: Any) -> Any:
        if isinstance(argument, Slot):
            return Slot(number[argument.index])
        return tuple(renumber(each) for each in argument) if isinstance(argument, tuple) else argument

    kept = [Step(s.layer, renumber(s.arguments)) for i, s in enumerate(steps, start=1) if i in keep]
    return kept, Slot(number[output.index])


def _endpoints(value: Any) -> list[list[Any]]:
    """Return [[layer, node, tensor], ...]; Keras 3 leaves the outer list away where there is one."""
    if isinstance(value, dict):
        value = list(value.values())
    return [value] if value and isinstance(value[0], str) else list(value)


def _arguments(node: Any, slot: Callable[[str, int], Slot], layer: str) -> tuple[Any, ...]:
    """Return what one call of a layer is given, from a Keras 3 node (a dict) or a Keras 2 node (a list)."""
    if isinstance(node, dict):
        values = [_value(argument, slot) for argument in node.get("args", [])]
        keywords = node.get("kwargs") or {}
    else:
        if node and isinstance(node[0], str):
            node = [node]
        values = [slot(entry[0], entry[1]) for entry in node]
        keywords = {key: value for entry in node if len(entry) > 3 for key, value in entry[3].items()}
    for key, value in keywords.items():
        if key in ("y", "bias", "slice_spec"):
            is_tensor = (
                isinstance(value, list) and len(value) > 1 and isinstance(value[0], str) and isinstance(value[1], int)
            )
            values.append(slot(value[0], value[1]) if is_tensor else _value(_constant(value), slot))
        elif key not in ("training", "mask", "name", "data_format") and value is not None:
            raise UnsupportedLayerError(
                f"layer {layer!r} is called with {key}={value!r}, which goodnet cannot convert; {INSTEAD}"
            )
    return tuple(values)


def _constant(value: Any) -> Any:
    """Return a constant of Keras 2: a number, an array, or the parts of a slice."""
    if isinstance(value, list) and value and value[0] == "_CONSTANT_VALUE":
        value = value[2]
    if isinstance(value, list) and value and all(isinstance(each, (int, float)) for each in value):
        return {"class_name": "__numpy__", "config": {"value": value}}
    return value


def _value(argument: Any, slot: Callable[[str, int], Slot]) -> Any:
    """Return what stands for an argument of a call: a slot, a number, a tensor, an index, or a tuple of them."""
    if isinstance(argument, list):
        return tuple(_value(each, slot) for each in argument)
    if not isinstance(argument, dict):
        return argument
    kind, config = argument.get("class_name"), argument.get("config") or {}
    if kind == "__keras_tensor__":
        layer, node, _ = config["keras_history"]
        return slot(layer, node)
    if kind in ("__numpy__", "__tensor__"):
        return torch.from_numpy(np.array(config["value"], dtype=np.float32))
    if kind == "__slice__" or argument.keys() == {"start", "stop", "step"}:
        parts = config or argument
        return slice(parts["start"], parts["stop"], parts["step"])
    if kind == "__ellipsis__":
        return ...
    raise UnsupportedLayerError(f"a call with {kind} is more than goodnet can convert; {INSTEAD}")
