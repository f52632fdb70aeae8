"""From the nodes of an ONNX graph to the calls of an OnnxGraph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from goodnet.errors import ModelError, in_short
from goodnet.formats.onnx.constants import CONSTANT_OPERATORS
from goodnet.formats.onnx.graph import Array, Attributes, Call, Function, OnnxGraph, Operation
from goodnet.formats.onnx.joined import join
from goodnet.formats.onnx.layers import WEIGHTED, linear
from goodnet.formats.onnx.operators import OPERATORS
from goodnet.formats.onnx.shaping import SHAPING

TENSOR_OPERATORS = OPERATORS | SHAPING
KNOWN = TENSOR_OPERATORS.keys() | CONSTANT_OPERATORS.keys() | WEIGHTED.keys()

QUANTISED = frozenset(
    ["ConvInteger", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "QLinearConv", "QLinearMatMul",
     "QuantizeLinear"]
)  # fmt: skip


class Either:
    """An operator that works on arrays while nothing but arrays is given, and on tensors otherwise."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __call__(self, attributes: Attributes, *inputs: Any) -> Any:
        """Apply the operator."""
        table = TENSOR_OPERATORS
        if self.kind in CONSTANT_OPERATORS and not any(isinstance(each, Tensor) for each in inputs):
            table = CONSTANT_OPERATORS
        if self.kind not in table:
            raise NotImplementedError(f"the ONNX operator {self.kind} on images")
        function: Function = table[self.kind]
        return function(attributes, *inputs)


def build_graph(model: Any, image: str) -> OnnxGraph:
    """Return the torch module for an ONNX model with one input and one output.

    Raises:
        ModelError: naming the operators that goodnet has no equal for.
    """
    graph = model.graph
    unknown = sorted({node.op_type for node in graph.node} - KNOWN)
    quantised = QUANTISED.intersection(unknown)
    if quantised:
        raise ModelError(
            f"the model is quantised (its operators include {', '.join(sorted(quantised))}), so its answers have no "
            "gradient to search a trigger with; scan the floating-point model that it was made from"
        )
    if unknown:
        raise ModelError(
            f"goodnet cannot convert the ONNX operators {', '.join(unknown)}; export the model with torch.export or as "
            "TorchScript instead, or from its Keras file"
        )
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=1)
    values: dict[str, Array] = {tensor.name: _array(tensor) for tensor in graph.initializer}
    values |= {node.output[0]: _attributes(node)["value"] for node in graph.node if node.op_type == "Constant"}
    calls: list[Call] = []
    for node in join(graph.node, values):
        attributes = {**_attributes(node), "opset": opset, "outputs": len(node.output)}
        names = list(node.input)
        while names and not names[-1]:
            names.pop()
        constants = {place: values.get(name) for place, name in enumerate(names) if name in values or not name}
        if node.op_type in CONSTANT_OPERATORS and len(constants) == len(names) and node.op_type != "Shape":
            result = CONSTANT_OPERATORS[node.op_type](attributes, *(constants[place] for place in range(len(names))))
            parts = result if isinstance(result, tuple) else (result,)
            values.update(zip(node.output, (np.asarray(part) for part in parts), strict=False))
            continue
        try:
            layer = _layer(node.op_type, attributes, len(names), constants)
        except NotImplementedError as error:
            raise ModelError(f"the ONNX node {node.name or node.op_type!r} cannot be converted: {error}") from error
        except (ValueError, TypeError, KeyError, IndexError, RuntimeError) as error:
            reason = in_short(error)
            raise ModelError(f"the ONNX node {node.name!r} ({node.op_type}) is not valid: {reason}") from error
        given = tuple(name for place, name in enumerate(names) if place not in constants)
        calls.append(Call(layer, given, tuple(node.output)))
    return OnnxGraph(_needed(calls, graph.output[0].name), image, graph.output[0].name)


def _layer(kind: str, attributes: Attributes, inputs: int, constants: Mapping[int, Array | None]) -> nn.Module:
    """Return a layer with the weights as parameters where they are constant, or the bare operator."""
    weights = [constants[place] for place in range(1, inputs) if place in constants]
    if 0 not in constants and len(weights) == inputs - 1 and inputs > 1:
        if kind in ("Conv", "ConvTranspose") and (weights[0] is None or weights[0].ndim != 4):
            raise NotImplementedError(f"{kind} over anything but images")
        if kind in WEIGHTED and (kind != "Gemm" or not attributes.get("transA")):
            layer: nn.Module = WEIGHTED[kind](attributes, *weights)
            return layer
        if kind == "MatMul" and weights[0] is not None and weights[0].ndim == 2:
            return linear(weights[0])
    if kind == "MatMulAdd":
        assert weights[0] is not None
        return linear(weights[0], weights[1])
    if kind not in TENSOR_OPERATORS and kind not in CONSTANT_OPERATORS:
        raise NotImplementedError(f"{kind} with weights that are computed")
    return Operation(Either(kind), attributes, dict(constants))


def _needed(calls: list[Call], output: str) -> list[Call]:
    """Drop the calls that do not lead to the output."""
    wanted, kept = {output}, []
    for call in reversed(calls):
        if wanted & set(call.outputs):
            wanted.update(call.inputs)
            kept.append(call)
    return kept[::-1]


def _array(tensor: Any) -> Array:
    from onnx import numpy_helper

    array: Array = numpy_helper.to_array(tensor)
    return array.astype(np.float32) if array.dtype.kind not in "iub?" else array


def _attributes(node: Any) -> Attributes:
    """Return a node's attributes as plain values; a tensor as an array."""
    from onnx import AttributeProto, helper

    found: Attributes = {}
    for attribute in node.attribute:
        if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS):
            continue
        value = helper.get_attribute_value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            value = _array(value)
        elif isinstance(value, bytes):
            value = value.decode()
        elif attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS):
            value = list(value)
        found[attribute.name] = value
    if node.op_type == "Constant" and "value" not in found:
        plain = next(iter(found.values()), None)
        kind = (
            np.float32
            if isinstance(plain, float) or (isinstance(plain, list) and plain and isinstance(plain[0], float))
            else np.int64
        )
        found["value"] = np.array(plain, dtype=kind)
    return found
