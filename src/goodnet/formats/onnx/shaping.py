"""ONNX operators that move, cut, join or resize tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from goodnet.formats.onnx.constants import axes_of, integers, reshaped, sizes, slices
from goodnet.formats.onnx.graph import Array, Attributes, Function
from goodnet.formats.onnx.resize import resize


def as_tensor(value: Any, like: Tensor) -> Any:
    """Return an array as a tensor on the device of another, a lone symbol as itself, a tensor as it is."""
    if not isinstance(value, np.ndarray):
        return value
    if value.dtype == object:
        if value.size != 1:
            raise NotImplementedError("arithmetic of images with sizes")
        return value.reshape(-1)[0]
    return torch.from_numpy(value.copy()).to(like.device)


def all_tensors(inputs: tuple[Any, ...]) -> list[Any]:
    """Return the inputs with arrays as tensors; at least one is a tensor."""
    like = next(each for each in inputs if isinstance(each, Tensor))
    return [as_tensor(each, like) for each in inputs]


def _reshape(attributes: Attributes, x: Tensor, target: Array) -> Tensor:
    return x.reshape(reshaped(target, x.shape, attributes))


def _flatten(attributes: Attributes, x: Tensor) -> Tensor:
    axis = int(attributes.get("axis", 1))
    if axis == 1:
        return x.flatten(1)
    axis = axis % x.ndim if axis < 0 else axis
    return x.reshape(int(np.prod(x.shape[:axis])), -1)


def _transpose(attributes: Attributes, x: Tensor) -> Tensor:
    return x.permute(attributes.get("perm") or list(reversed(range(x.ndim))))


def _squeeze(attributes: Attributes, x: Tensor, axes: Array | None = None) -> Tensor:
    chosen = axes_of(attributes, axes)
    # Without axes only those after the batch: a batch of one image is still a batch.
    where = [axis for axis in range(1, x.ndim) if x.shape[axis] == 1] if chosen is None else chosen
    return x.squeeze([axis for axis in where if x.shape[axis] == 1])


def _unsqueeze(attributes: Attributes, x: Tensor, axes: Array | None = None) -> Tensor:
    chosen = axes_of(attributes, axes) or []
    rank = x.ndim + len(chosen)
    for axis in sorted(axis % rank for axis in chosen):
        x = x.unsqueeze(axis)
    return x


def _concat(attributes: Attributes, *inputs: Any) -> Tensor:
    parts, axis = all_tensors(inputs), int(attributes["axis"])
    batches = [part.shape[0] for part in parts]
    if axis % parts[0].ndim and any(type(size) is int and size == 1 for size in batches):
        # A constant, such as the class token of a transformer, that was made for a batch of one.
        largest = next((size for size in batches if not (type(size) is int and size == 1)), 1)
        parts = [part.expand(largest, *part.shape[1:]) for part in parts]
    return torch.cat(parts, axis)


def _split(attributes: Attributes, x: Tensor, lengths: Array | None = None) -> tuple[Tensor, ...]:
    axis = int(attributes.get("axis", 0))
    given = integers(lengths) if lengths is not None else attributes.get("split")
    if given is None:
        return torch.split(x, -(-x.shape[axis] // int(attributes["outputs"])), axis)
    return torch.split(x, list(given), axis)


def _unbind(attributes: Attributes, x: Tensor) -> tuple[Tensor, ...]:
    return x.unbind(int(attributes["axis"]))


def _slice(attributes: Attributes, x: Tensor, *parts: Array | None) -> Tensor:
    for axis, cut in enumerate(slices(attributes, x.ndim, *parts)):
        if cut.step is not None and cut.step < 0:
            if (cut.start, cut.stop, cut.step) not in ((-1, None, -1), (x.shape[axis] - 1, None, -1)):
                raise NotImplementedError("Slice with a negative step over a part of an axis")
            x = x.flip(axis)
        elif cut != slice(None):
            x = x[(slice(None),) * axis + (cut,)]
    return x


def _gather(attributes: Attributes, x: Any, indices: Any) -> Tensor:
    axis = int(attributes.get("axis", 0))
    x, indices = all_tensors((x, indices))
    if indices.ndim == 0:
        return torch.select(x, axis, int(indices))
    indices = torch.where(indices < 0, indices + x.shape[axis], indices).long()
    chosen = torch.index_select(x, axis, indices.reshape(-1))
    axis %= x.ndim
    return chosen.reshape(*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :])


def _gather_nd(attributes: Attributes, x: Any, indices: Any) -> Tensor:
    shared = int(attributes.get("batch_dims", 0))
    if shared > 1:
        raise NotImplementedError("GatherND with more than one batch axis")
    x, indices = all_tensors((x, indices))
    where = indices.long().unbind(-1)
    if shared:
        images = torch.arange(x.shape[0], device=x.device).reshape(-1, *[1] * (indices.ndim - 2))
        where = (images, *where)
    chosen: Tensor = x[where]
    return chosen


def _scatter_nd(attributes: Attributes, x: Any, indices: Any, updates: Any) -> Tensor:
    if attributes.get("reduction", "none") != "none":
        raise NotImplementedError(f"ScatterND with reduction {attributes['reduction']}")
    x, indices, updates = all_tensors((x, indices, updates))
    changed: Tensor = x.index_put(list(indices.long().unbind(-1)), updates.to(x.dtype))
    return changed


def _gather_elements(attributes: Attributes, x: Any, indices: Any) -> Tensor:
    x, indices = all_tensors((x, indices))
    axis = int(attributes.get("axis", 0))
    return torch.gather(x, axis, torch.where(indices < 0, indices + x.shape[axis], indices).long())


def _expand(attributes: Attributes, x: Tensor, shape: Array) -> Tensor:
    wanted = integers(shape)
    own = [1] * (len(wanted) - x.ndim) + list(x.shape)
    wanted = [1] * (len(own) - len(wanted)) + wanted
    return x.reshape(own).expand([a if type(b) is int and b == 1 else b for a, b in zip(own, wanted, strict=True)])


def _pad(
    attributes: Attributes, x: Tensor, pads: Array | None = None, value: Any = None, axes: Array | None = None
) -> Tensor:
    amounts = integers(pads) if pads is not None else list(attributes["pads"])
    chosen = integers(axes) if axes is not None else range(x.ndim)
    by_axis = [(0, 0)] * x.ndim
    for position, axis in enumerate(chosen):
        by_axis[axis] = (amounts[position], amounts[position + len(amounts) // 2])
    flat = [amount for pair in reversed(by_axis) for amount in pair]
    while len(flat) > 2 and flat[-1] == flat[-2] == 0:
        flat = flat[:-2]
    mode = str(attributes.get("mode", "constant"))
    fill = float(attributes.get("value", 0.0) if value is None else np.asarray(value).item())
    if mode == "constant":
        return functional.pad(x, flat, value=fill)
    names = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    return functional.pad(x, flat, mode=names[mode])


def _depth_to_space(attributes: Attributes, x: Tensor) -> Tensor:
    block = int(attributes["blocksize"])
    if attributes.get("mode", "DCR") == "CRD":
        return functional.pixel_shuffle(x, block)
    batch, channels, height, width = x.shape
    x = x.reshape(batch, block, block, channels // block**2, height, width).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(batch, channels // block**2, height * block, width * block)


def _space_to_depth(attributes: Attributes, x: Tensor) -> Tensor:
    block = int(attributes["blocksize"])
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // block, block, width // block, block).permute(0, 3, 5, 1, 2, 4)
    return x.reshape(batch, channels * block**2, height // block, width // block)


SHAPING: dict[str, Function] = {
    "Concat": _concat,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "Pad": _pad,
    "Reshape": _reshape,
    "Resize": resize,
    "ScatterND": _scatter_nd,
    "Shape": lambda a, x: sizes(x.shape[a.get("start", 0) : a.get("end")]),
    "Size": lambda a, x: sizes([x.numel()]).reshape(()),
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": lambda a, x, repeats: x.repeat(integers(repeats)),
    "Transpose": _transpose,
    "Unbind": _unbind,
    "Unsqueeze": _unsqueeze,
    "Upsample": resize,
}
