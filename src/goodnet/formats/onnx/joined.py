"""ONNX nodes for which torch has one layer: linear layers with a bias, GELU spelled out, tensors taken apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from goodnet.formats.onnx.graph import Array


class Joined:
    """Several nodes as one.

    Attributes:
        op_type: "MatMulAdd", a matrix product and the bias that follows, "Gelu" or "Unbind".
        name: of one of the nodes.
        input: names of the values it is given.
        output: names of the values it returns.
        attribute: axis of "Unbind", else none.
        parts: the nodes.
        place: the one of them in whose place it is called.
    """

    def __init__(self, op_type: str, inputs: list[str], parts: Sequence[Any]) -> None:
        self.op_type, self.name = op_type, parts[0].name
        self.input, self.output = inputs, list(parts[-1].output)
        self.attribute: list[Any] = []
        self.parts, self.place = parts, parts[-1]

    @classmethod
    def unbind(cls, value: str, axis: int, parts: Sequence[Any], outputs: list[str]) -> Joined:
        """Return what takes a value apart along an axis, before the first of its parts is asked for."""
        from onnx import helper

        joined = cls("Unbind", [value], parts)
        joined.output, joined.attribute, joined.place = outputs, [helper.make_attribute("axis", axis)], parts[0]
        return joined


def join(nodes: Sequence[Any], constants: Mapping[str, Array]) -> list[Any]:
    """Return the nodes with all that belong together as one.

    Args:
        nodes: of the graph, in order.
        constants: values by their names.
    """
    graph = _Wiring(nodes, constants)
    found = [_linear(node, graph) for node in nodes if node.op_type == "MatMul"]
    found += [_gelu(node, graph) for node in nodes if node.op_type == "Erf"]
    found += [_unbind(name, graph) for name in graph.users]
    called = {id(each.place): each for each in found if each}
    dropped = {id(part) for each in called.values() for part in each.parts} - called.keys()
    return [called.get(id(node), node) for node in nodes if id(node) not in dropped]


class _Wiring:
    """Who makes and who uses each value of a graph."""

    def __init__(self, nodes: Sequence[Any], constants: Mapping[str, Array]) -> None:
        self.constants = constants
        self.maker = {name: node for node in nodes for name in node.output}
        self.users: dict[str, list[Any]] = {}
        for node in nodes:
            for name in node.input:
                self.users.setdefault(name, []).append(node)

    def next(self, node: Any, kind: str) -> Any:
        """Return the one node that uses what a node returns if it is of a kind, else None."""
        users = self.users.get(node.output[0], [])
        return users[0] if len(users) == 1 and users[0].op_type == kind else None

    def is_number(self, name: str, number: float) -> bool:
        """Whether a value is a constant with this one number."""
        value = self.constants.get(name)
        return value is not None and value.size == 1 and math.isclose(float(value.item()), number, rel_tol=1e-3)

    def scaled(self, node: Any, number: float) -> str | None:
        """Return the value that a node multiplies by a number, or divides by its inverse; None if it does not."""
        if node.op_type not in ("Mul", "Div"):
            return None
        first, second = node.input
        if node.op_type == "Div":
            return first if self.is_number(second, 1 / number) else None
        return first if self.is_number(second, number) else second if self.is_number(first, number) else None


def _linear(product: Any, graph: _Wiring) -> Joined | None:
    """Return a MatMul by a constant matrix and the Add of a constant vector right behind it as one node."""
    matrix, bias = graph.constants.get(product.input[1]), graph.next(product, "Add")
    if product.input[0] in graph.constants or matrix is None or matrix.ndim != 2 or bias is None:
        return None
    name = _other(bias, product.output[0])
    vector = graph.constants.get(name)
    if vector is None or vector.ndim != 1 or len(vector) != matrix.shape[1]:
        return None
    return Joined("MatMulAdd", [*product.input, name], (product, bias))


def _gelu(erf: Any, graph: _Wiring) -> Joined | None:
    """Return the nodes of x / 2 * (1 + erf(x / sqrt(2))), its factors in any order, as one node."""
    inner = graph.maker.get(erf.input[0])
    values = inner and graph.scaled(inner, math.sqrt(0.5))
    plus = graph.next(erf, "Add")
    if not values or graph.next(inner, "Erf") is None or plus is None:
        return None
    first = graph.next(plus, "Mul")
    if first is None or not graph.is_number(_other(plus, erf.output[0]), 1.0):
        return None
    factor = _other(first, plus.output[0])
    half = graph.maker.get(factor)
    if half is not None and graph.scaled(half, 0.5) == values and graph.next(half, "Mul") is first:
        return Joined("Gelu", [values], (inner, erf, plus, half, first))
    second = graph.next(first, "Mul")
    if second is None:
        return None
    factors = factor, _other(second, first.output[0])
    if values not in factors or not any(graph.is_number(name, 0.5) for name in factors):
        return None
    return Joined("Gelu", [values], (inner, erf, plus, first, second))


def _unbind(value: str, graph: _Wiring) -> Joined | None:
    """Return the nodes that take the places 0, 1, ... along one axis out of a value as one node.

    The gradient of each alone is as large as the whole value, and nearly all zeros.
    """
    taken = [each for each in (_one_place(node, value, graph) for node in graph.users[value]) if each]
    axes, outputs = {axis for axis, *_ in taken}, {place: nodes[-1].output[0] for _, place, nodes in taken}
    count = len(taken)
    if count < 2 or len(axes) > 1 or outputs.keys() != set(range(count)):
        return None
    parts = [node for *_, nodes in taken for node in nodes]
    return Joined.unbind(value, axes.pop(), parts, [outputs[place] for place in range(count)])


def _one_place(node: Any, value: str, graph: _Wiring) -> tuple[int, int, list[Any]] | None:
    """Return axis, place and nodes where a node takes one place along one axis out of a value, else None."""
    if node.op_type == "Gather" and node.input[0] == value:
        place = graph.constants.get(node.input[1])
        axis = next((each.i for each in node.attribute if each.name == "axis"), 0)
        return (axis, int(place), [node]) if place is not None and place.ndim == 0 else None
    if node.op_type != "Slice" or len(node.input) < 4 or node.input[0] != value:
        return None
    squeeze = graph.next(node, "Squeeze")
    if squeeze is None or len(squeeze.input) < 2:
        return None
    names = [*node.input[1:], squeeze.input[1]]
    numbers = [graph.constants.get(name) for name in names]
    if any(each is None or each.size != 1 for each in numbers):
        return None
    start, end, axis, *step, squeezed = (int(each.item()) for each in numbers if each is not None)
    one = end == start + 1 and step in ([], [1]) and axis == squeezed
    return (axis, start, [node, squeeze]) if one else None


def _other(node: Any, name: str) -> str:
    """Return the one of a node's two inputs that is not `name`."""
    return str(node.input[1] if node.input[0] == name else node.input[0])
