"""ONNX operators on what is known without an image: weights, and the arithmetic of shapes.

Sizes may be symbols while a network is traced; arrays of them have dtype object, on which NumPy calls Python's own
operators.
"""

from __future__ import annotations

import operator
from functools import reduce
from typing import Any

import numpy as np

from goodnet.formats.onnx.graph import Array, Attributes, Function

KINDS = {1: "f4", 2: "u1", 3: "i1", 5: "i2", 6: "i4", 7: "i8", 9: "?", 10: "f4", 11: "f4", 16: "f4"}
"""NumPy types of ONNX' numbers for element types; all floating point numbers are float32 here."""


def integers(value: Any) -> list[Any]:
    """Return the numbers of an array as a flat list: ints, or symbols while tracing."""
    return [int(each) if isinstance(each, np.integer) else each for each in np.asarray(value).reshape(-1).tolist()]


def sizes(values: Any) -> Array:
    """Return sizes, which may be symbols, as an array."""
    return np.array(list(values), dtype=np.int64 if all(type(value) is int for value in values) else object)


def axes_of(attributes: Attributes, given: Array | None) -> list[int] | None:
    """Return the axes from the second input (newer operator sets) or from the attribute (older ones)."""
    if given is not None:
        return [int(axis) for axis in integers(given)]
    return list(attributes["axes"]) if "axes" in attributes else None


def cast(attributes: Attributes, x: Array) -> Array:
    """Cast; symbols stay what they are."""
    kind = KINDS.get(int(attributes["to"]))
    if kind is None:
        raise NotImplementedError(f"Cast to ONNX type {attributes['to']}")
    return x if x.dtype == object and kind[0] in "iu" else x.astype(kind)


def clip(attributes: Attributes, x: Array, low: Array | None = None, high: Array | None = None) -> Array:
    """Bound from below and above, by the further inputs or by the attributes of older operator sets."""
    lowest = attributes.get("min") if low is None else low
    highest = attributes.get("max") if high is None else high
    x = x if lowest is None else np.maximum(x, lowest)
    return np.asarray(x if highest is None else np.minimum(x, highest))


def divide(attributes: Attributes, x: Array, y: Array) -> Array:
    """Divide; integers towards zero."""
    if x.dtype.kind == "f" or y.dtype.kind == "f":
        return np.asarray(x / y)
    if x.dtype == object or y.dtype == object:
        return np.asarray(x // y)  # sizes are positive
    return np.asarray(np.sign(x) * np.sign(y) * (np.abs(x) // np.abs(y))).astype(x.dtype)


def gather(attributes: Attributes, x: Array, indices: Array) -> Array:
    """Gather along one axis."""
    return np.asarray(np.take(x, np.asarray(indices, dtype=np.int64), axis=int(attributes.get("axis", 0))))


def unbind(attributes: Attributes, x: Array) -> tuple[Array, ...]:
    """Take apart along one axis."""
    return tuple(np.asarray(part, dtype=x.dtype) for part in np.moveaxis(x, int(attributes["axis"]), 0))


def gather_nd(attributes: Attributes, x: Array, indices: Array) -> Array:
    """Gather by the index tuples in the last axis of `indices`."""
    if attributes.get("batch_dims"):
        raise NotImplementedError("GatherND of constants with batch axes")
    return np.asarray(x[tuple(np.moveaxis(np.asarray(indices, dtype=np.int64), -1, 0))])


def scatter_nd(attributes: Attributes, x: Array, indices: Array, updates: Array) -> Array:
    """Return a copy with other values at the index tuples in the last axis of `indices`."""
    if attributes.get("reduction", "none") != "none":
        raise NotImplementedError(f"ScatterND with reduction {attributes['reduction']}")
    changed = x.copy()
    changed[tuple(np.moveaxis(np.asarray(indices, dtype=np.int64), -1, 0))] = updates
    return changed


def gather_elements(attributes: Attributes, x: Array, indices: Array) -> Array:
    """Gather one element for each index along one axis."""
    return np.take_along_axis(x, np.asarray(indices, dtype=np.int64), axis=int(attributes.get("axis", 0)))


def running_sum(attributes: Attributes, x: Array, axis: Array) -> Array:
    """Sum up to each place along one axis."""
    along = int(axis.item())
    turned = np.flip(x, along) if attributes.get("reverse") else x
    total = np.cumsum(turned, along, dtype=x.dtype) - (turned if attributes.get("exclusive") else 0)
    return np.flip(total, along) if attributes.get("reverse") else np.asarray(total)


def triangle(attributes: Attributes, x: Array, diagonal: Array | None = None) -> Array:
    """Keep the upper or lower triangle."""
    place = 0 if diagonal is None else int(diagonal.item())
    return np.triu(x, place) if attributes.get("upper", 1) else np.tril(x, place)


def slices(attributes: Attributes, rank: int, *inputs: Array | None) -> tuple[slice, ...]:
    """Return the slices of a Slice operator, one an axis."""
    if inputs:
        parts = [None if part is None else integers(part) for part in inputs]
        starts, ends, axes, steps = (*parts, None, None, None)[:4]
    else:
        starts, ends, axes, steps = attributes["starts"], attributes["ends"], attributes.get("axes"), None
    assert starts is not None
    assert ends is not None
    chosen = [slice(None)] * rank
    for position, axis in enumerate(axes if axes is not None else range(len(starts))):
        step = steps[position] if steps is not None else 1
        end = ends[position]
        if type(end) is int and step < 0 and end < -(2**30):
            end = None
        chosen[axis] = slice(starts[position], end, step)
    return tuple(chosen)


def reshaped(target: Array, shape: Any, attributes: Attributes) -> list[Any]:
    """Return the target of a Reshape with 0 replaced by the size in that place."""
    wanted = integers(target)
    if attributes.get("allowzero"):
        return wanted
    return [shape[place] if type(size) is int and size == 0 else size for place, size in enumerate(wanted)]


def unsqueeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
    """Insert axes of size 1."""
    return np.expand_dims(x, tuple(axes_of(attributes, axes) or ()))


def squeeze(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
    """Remove axes of size 1."""
    chosen = axes_of(attributes, axes)
    return np.squeeze(x, None if chosen is None else tuple(chosen))


def filled(attributes: Attributes, shape: Array) -> Array:
    """Return a new array of one value."""
    value = attributes.get("value", np.zeros(1, dtype=np.float32))
    if any(type(size) is not int for size in integers(shape)):
        raise NotImplementedError("a constant whose shape depends on the batch")
    return np.full(integers(shape), value.reshape(-1)[0], dtype=value.dtype)


def split(attributes: Attributes, x: Array, lengths: Array | None = None) -> tuple[Array, ...]:
    """Split along one axis."""
    axis = int(attributes.get("axis", 0))
    given = integers(lengths) if lengths is not None else attributes.get("split")
    if given is None:
        return tuple(np.array_split(x, int(attributes["outputs"]), axis))
    return tuple(np.split(x, np.cumsum(given)[:-1].tolist(), axis))


def reduction(function: Function) -> Function:
    """Return the operator that reduces axes by a NumPy function."""

    def reduced(attributes: Attributes, x: Array, axes: Array | None = None) -> Array:
        chosen = axes_of(attributes, axes)
        where = None if chosen is None else tuple(chosen)
        return np.asarray(function(x, axis=where, keepdims=bool(attributes.get("keepdims", 1))))

    return reduced


def _where(attributes: Attributes, condition: Array, x: Array, y: Array) -> Array:
    return np.where(condition.astype(bool), x, y)


def _pointwise(function: Function) -> Function:
    return lambda attributes, *inputs: np.asarray(function(*inputs))


def _folded(function: Function) -> Function:
    return lambda attributes, *inputs: np.asarray(reduce(function, inputs))


CONSTANT_OPERATORS: dict[str, Function] = {
    "Abs": _pointwise(np.abs),
    "Add": _pointwise(operator.add),
    "And": _pointwise(np.logical_and),
    "Cast": cast,
    "Ceil": _pointwise(np.ceil),
    "Clip": clip,
    "Concat": lambda a, *x: np.concatenate(x, axis=int(a["axis"])),
    "Constant": lambda a: a["value"],
    "ConstantOfShape": filled,
    "Cos": _pointwise(np.cos),
    "CumSum": running_sum,
    "Div": divide,
    "Equal": _pointwise(np.equal),
    "Exp": _pointwise(np.exp),
    "Expand": lambda a, x, shape: x * np.ones(integers(shape), dtype=x.dtype),
    "Floor": _pointwise(np.floor),
    "Gather": gather,
    "Greater": _pointwise(np.greater),
    "GatherElements": gather_elements,
    "GatherND": gather_nd,
    "GreaterOrEqual": _pointwise(np.greater_equal),
    "Identity": lambda a, x: x,
    "Less": _pointwise(np.less),
    "LessOrEqual": _pointwise(np.less_equal),
    "Log": _pointwise(np.log),
    "Max": _folded(np.maximum),
    "Min": _folded(np.minimum),
    "Mod": _pointwise(np.mod),
    "Mul": _pointwise(operator.mul),
    "Neg": _pointwise(operator.neg),
    "Not": _pointwise(np.logical_not),
    "Or": _pointwise(np.logical_or),
    "Pow": _pointwise(np.power),
    "Range": lambda a, start, end, step: np.arange(start.item(), end.item(), step.item(), dtype=start.dtype),
    "Reciprocal": _pointwise(np.reciprocal),
    "ReduceMax": reduction(np.max),
    "ReduceMean": reduction(np.mean),
    "ReduceMin": reduction(np.min),
    "ReduceProd": reduction(np.prod),
    "ReduceSum": reduction(np.sum),
    "Reshape": lambda a, x, target: x.reshape(reshaped(target, x.shape, a)),
    "Round": _pointwise(np.round),
    "ScatterND": scatter_nd,
    "Shape": lambda a, x: sizes(x.shape[a.get("start", 0) : a.get("end")]),
    "Sign": _pointwise(np.sign),
    "Sin": _pointwise(np.sin),
    "Size": lambda a, x: np.array(x.size),
    "Slice": lambda a, x, *parts: x[slices(a, x.ndim, *parts)],
    "Split": split,
    "Sqrt": _pointwise(np.sqrt),
    "Squeeze": squeeze,
    "Sub": _pointwise(operator.sub),
    "Tile": lambda a, x, repeats: np.tile(x, integers(repeats)),
    "Transpose": lambda a, x: x.transpose(a.get("perm")),
    "Trilu": triangle,
    "Unbind": unbind,
    "Unsqueeze": unsqueeze,
    "Where": _where,
}
