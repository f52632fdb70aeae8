"""Read an ONNX file: audit it, free its batch dimension, take off its softmax, convert it to torch layers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn

from goodnet.classifier import PartialShape
from goodnet.errors import MissingExtraError, ModelError, UnsafeModelError, in_short
from goodnet.formats.each_alone import EachAlone
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions
from goodnet.formats.onnx.build import build_graph
from goodnet.formats.onnx.graph import ChannelsLast

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
CHANNELS = (1, 3, 4)


def _is_onnx(path: Path, head: bytes) -> bool:
    # The first field of a ModelProto is its ir_version, a small number.
    return head[:1] == b"\x08" and 1 <= head[1] <= 20


def read_onnx(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read an ONNX classifier.

    Raises:
        ModelError: the file is damaged, has several inputs, or operators that cannot be converted.
        UnsafeModelError: it keeps weights outside its own folder.
        MissingExtraError: the package onnx is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingExtraError("reading ONNX models", "onnx") from error
    try:
        model = onnx.load(str(path), load_external_data=False)
        _audit(model, path.parent.resolve())
        try:
            onnx.load_external_data_for_model(model, str(path.parent.absolute()))
        except (onnx.checker.ValidationError, OSError, ValueError) as error:
            reason = in_short(error)
            raise ModelError(f"the model keeps weights in other files, which cannot be read: {reason}") from error
        for each in model.graph.output:
            each.type.tensor_type.shape.SetInParent()  # some producers leave it out, which the checker does not allow
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        reason = in_short(error)
        raise ModelError(f"expected a whole ONNX model, but it is damaged or cut off: {reason}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    _keep_logits(model.graph)
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelError(
            f"expected an image classifier with one input and one output, or one called logits, got {len(inputs)} "
            f"inputs and the outputs {', '.join(each.name for each in model.graph.output) or 'none'}; export it again "
            "with the scores of the classes alone"
        )
    sizes = [dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4:
        raise ModelError(f"expected an input of images (batch, channels, height, width), got one of shape {sizes}")
    removed = _take_off_softmax(model)
    network = _for_any_batch(model, inputs[0], sizes)
    notes = ("the softmax at the end was taken off, so that goodnet works with logits",) if removed else ()
    if _channels_last(model, inputs[0].name, sizes):
        return LoadedNetwork(ChannelsLast(network), (sizes[3], sizes[1], sizes[2]), None, "onnx", notes)
    shape: PartialShape = (sizes[1], sizes[2], sizes[3])
    return LoadedNetwork(network, shape, None, "onnx", notes)


def _keep_logits(graph: Any) -> None:
    """Of several outputs keep the one called logits, if there is one."""
    logits = [each for each in graph.output if each.name == "logits"]
    if len(logits) == 1:
        del graph.output[:]
        graph.output.extend(logits)


def _audit(model: Any, folder: Path) -> None:
    """Refuse operators of other domains, and weights outside the model's folder."""
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in STANDARD_DOMAINS})
    if foreign:
        raise ModelError(f"the model uses operators that are no part of ONNX: {', '.join(foreign[:5])}")
    for tensor in _tensors(model.graph):
        for entry in tensor.external_data:
            if entry.key == "location" and not (folder / entry.value.replace("\\", "/")).resolve().is_relative_to(
                folder
            ):
                raise UnsafeModelError(
                    f"the model keeps weights in {entry.value}, outside its own folder; not followed"
                )


def _tensors(graph: Any) -> Iterator[Any]:
    """Yield the tensors stored in a graph, its nodes and the graphs inside of them."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs) if attribute.g.node or attribute.graphs else ():
                yield from _tensors(inner)


def _for_any_batch(model: Any, image: Any, sizes: list[int | None]) -> nn.Module:
    """Build the network; where it was exported for one image, one that takes any number."""
    alone = build_graph(model, image.name) if sizes[0] == 1 and None not in sizes else None
    _free_batch(model, image, sizes[0])
    network = build_graph(model, image.name)
    if alone is None:
        return network
    pair = torch.rand(2, *[size for size in sizes[1:] if size is not None], generator=torch.Generator().manual_seed(0))
    try:
        with torch.no_grad():
            together, single = network.eval()(pair), alone.eval()(pair[1:])
    except RuntimeError:  # sizes of one image all over the graph, as in an attention layer
        return EachAlone(alone)
    same = together.shape == (2, *single.shape[1:]) and torch.allclose(together[1:], single, rtol=1e-3, atol=1e-3)
    return network if same else EachAlone(alone)


def _free_batch(model: Any, image: Any, batch: int | None) -> None:
    """Let the model take any number of images where it was exported for a fixed one."""
    if batch is None:
        return
    for each in (image, *[output for output in model.graph.output if output.type.tensor_type.shape.dim]):
        each.type.tensor_type.shape.dim[0].ClearField("dim_value")
        each.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    from onnx import numpy_helper

    shapes = {node.input[1] for node in model.graph.node if node.op_type == "Reshape"}
    constants = [tensor for tensor in model.graph.initializer if tensor.name in shapes]
    constants += [
        node.attribute[0].t for node in model.graph.node if node.op_type == "Constant" and node.output[0] in shapes
    ]
    for tensor in constants:
        target = numpy_helper.to_array(tensor).copy()
        if target.ndim == 1 and len(target) and target[0] == batch:
            target[0] = 0 if (target == -1).any() else -1
            tensor.CopyFrom(numpy_helper.from_array(target, tensor.name))


def _take_off_softmax(model: Any) -> bool:
    """Remove a softmax that makes the output; return whether there was one."""
    graph = model.graph
    last = next((node for node in graph.node if graph.output[0].name in node.output), None)
    if last is None or last.op_type not in ("Softmax", "LogSoftmax"):
        return False
    before = last.input[0]
    graph.node.remove(last)
    for node in graph.node:
        for position, name in enumerate(node.output):
            if name == before:
                node.output[position] = graph.output[0].name
        for position, name in enumerate(node.input):
            if name == before:
                node.input[position] = graph.output[0].name
    return True


def _channels_last(model: Any, image: str, sizes: list[int | None]) -> bool:
    """Whether the model takes (B, H, W, C): by its first node, or else by its sizes."""
    users = [node for node in model.graph.node if image in node.input]
    for node in users:
        if node.op_type == "Transpose":
            order = next((list(a.ints) for a in node.attribute if a.name == "perm"), None)
            if order == [0, 3, 1, 2]:
                return True
    return sizes[3] in CHANNELS and sizes[1] not in CHANNELS and sizes[1] is not None


ONNX_FORMAT = Format("ONNX", _is_onnx, read_onnx)
