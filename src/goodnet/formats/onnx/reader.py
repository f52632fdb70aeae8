"""Read an ONNX file: audit it, free its batch dimension, take off its softmax, convert it to torch layers."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from goodnet.classifier import PartialShape
from goodnet.errors import MissingExtraError, ModelError, UnsafeModelError
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions

STANDARD_DOMAINS = frozenset({"", "ai.onnx"})
CHANNELS = (1, 3, 4)


class ChannelsLast(nn.Module):
    """A network that wants (B, H, W, C), for images (B, C, H, W)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Move the channels last and run the network."""
        output: Tensor = self.network(images.permute(0, 2, 3, 1).contiguous())
        return output


def _is_onnx(path: Path, head: bytes) -> bool:
    # The first field of a ModelProto is its ir_version, a small number.
    return head[:1] == b"\x08" and 1 <= head[1] <= 20


def read_onnx(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read an ONNX classifier.

    Raises:
        ModelError: the file is damaged, has several inputs, or operators that cannot be converted.
        UnsafeModelError: it keeps weights outside its own folder.
        MissingExtraError: onnx or onnx2torch is missing.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
        from onnx2torch import convert
    except ImportError as error:
        raise MissingExtraError("reading ONNX models", "onnx") from error
    try:
        model = onnx.load(str(path), load_external_data=False)
        _audit(model)
        onnx.load_external_data_for_model(model, str(path.parent.absolute()))
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"expected a whole ONNX model, but it is damaged or cut off: {reason}") from error
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in weights]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelError(
            f"expected an image classifier with one input and one output, got {len(inputs)} inputs and "
            f"{len(model.graph.output)} outputs"
        )
    sizes = [dim.dim_value or None for dim in inputs[0].type.tensor_type.shape.dim]
    if len(sizes) != 4:
        raise ModelError(f"expected an input of images (batch, channels, height, width), got one of shape {sizes}")
    _free_batch(model, inputs[0], sizes[0])
    _drop_allowzero(model)
    removed = _take_off_softmax(model)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network: nn.Module = convert(_in_known_opset(model))
    except NotImplementedError as error:
        raise ModelError(f"the model uses an operator that cannot be converted to torch: {error}") from error
    notes = ("the softmax at the end was taken off, so that goodnet works with logits",) if removed else ()
    if _channels_last(model, inputs[0].name, sizes):
        return LoadedNetwork(ChannelsLast(network), (sizes[3], sizes[1], sizes[2]), None, "onnx", notes)
    shape: PartialShape = (sizes[1], sizes[2], sizes[3])
    return LoadedNetwork(network, shape, None, "onnx", notes)


def _audit(model: Any) -> None:
    """Refuse operators of other domains, and weights outside the model's folder."""
    foreign = sorted({f"{n.domain}.{n.op_type}" for n in model.graph.node if n.domain not in STANDARD_DOMAINS})
    if foreign:
        raise ModelError(f"the model uses operators that are no part of ONNX: {', '.join(foreign[:5])}")
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location" and (Path(entry.value).is_absolute() or ".." in Path(entry.value).parts):
                raise UnsafeModelError(
                    f"the model keeps weights in {entry.value}, outside its own folder; not followed"
                )


def _free_batch(model: Any, image: Any, batch: int | None) -> None:
    """Let the model take any number of images where it was exported for a fixed one."""
    if batch is None:
        return
    for each in (image, *model.graph.output):
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


def _drop_allowzero(model: Any) -> None:
    """Drop an attribute that onnx2torch refuses and that only matters for images without pixels."""
    for node in (node for node in model.graph.node if node.op_type == "Reshape"):
        kept = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(kept)


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


def _in_known_opset(model: Any) -> Any:
    """Return the model as it is, or in the newest opset that onnx2torch knows all of its operators in."""
    from onnx import defs, version_converter
    from onnx2torch.node_converters.registry import _CONVERTER_REGISTRY, OperationDescription

    opset = next((each.version for each in model.opset_import if each.domain in STANDARD_DOMAINS), 0)

    def unknown(version: int) -> list[str]:
        missing = []
        for kind in {node.op_type for node in model.graph.node}:
            try:
                since = defs.get_schema(kind, version, "").since_version
            except defs.SchemaError:
                since = 0
            if OperationDescription(domain="", operation_type=kind, version=since) not in _CONVERTER_REGISTRY:
                missing.append(kind)
        return missing

    if not unknown(opset):
        return model
    for version in range(opset - 1, 10, -1):
        if not unknown(version):
            return version_converter.convert_version(model, version)
    names = ", ".join(sorted(unknown(opset)))
    raise NotImplementedError(f"{names} (opset {opset}); export it with opset 17 or as TorchScript")


ONNX_FORMAT = Format("ONNX", _is_onnx, read_onnx)
