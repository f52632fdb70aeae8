"""Files that torch writes: TorchScript, exported programs, and weights for a named architecture.

Only weights go through a pickle, and only through torch's reader for weights, which builds nothing but tensors and
plain containers. Everything else that is a pickle is refused, with the names that it wanted to import.
"""

from __future__ import annotations

import io
import pickletools
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from goodnet.errors import ModelError, UnsafeModelError
from goodnet.formats.architectures import with_weights
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions

WHAT_TO_DO = (
    "goodnet never unpickles what can run code; save the weights alone (torch.save(model.state_dict(), ...), or "
    "safetensors) and give --arch, or export the model to ONNX or with torch.export where its code is trusted"
)

ALLOWED = frozenset(
    {
        "collections OrderedDict",
        "torch._utils _rebuild_tensor_v2",
        "torch._utils _rebuild_parameter",
        "torch._utils _rebuild_parameter_with_state",
        "torch Size",
        *(
            f"torch {kind}Storage"
            for kind in ("Float", "Half", "BFloat16", "Double", "Long", "Int", "Short", "Char", "Byte", "Bool")
        ),
        "torch.storage UntypedStorage",
        "torch.storage TypedStorage",
    }
)


def _members(path: Path) -> list[str]:
    """Return the names in a zip archive without their first folder; nothing for any other file."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name.split("/", 1)[-1] for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return []


def _is_script(path: Path, head: bytes) -> bool:
    return "constants.pkl" in _members(path)


def _is_export(path: Path, head: bytes) -> bool:
    members = _members(path)
    return any(name.startswith("models/") and name.endswith(".json") for name in members) or (
        "serialized_exported_program.json" in members
    )


def _is_weights(path: Path, head: bytes) -> bool:
    return "data.pkl" in _members(path)


def _is_safetensors(path: Path, head: bytes) -> bool:
    size = int.from_bytes(head[:8], "little")
    return len(head) > 9 and head[8:9] == b"{" and 2 <= size <= 100_000_000


def _is_pickle(path: Path, head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def read_script(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a TorchScript archive. Its code is TorchScript, an interpreted language of tensor operations: it reaches
    neither files nor processes, and constants are read by a loader of torch's own, not by Python's pickle.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.load(str(path), map_location="cpu")
    return LoadedNetwork(network, options.input_shape, None, "torchscript")


def read_export(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a program written by torch.export.save; its graph is JSON."""
    _require_plain_tensors(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.load(str(path))
    inputs = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    if len(inputs) != 1:
        raise ModelError(f"expected an exported program with one input, got {len(inputs)}")
    placeholder = next(node for node in program.graph.nodes if node.op == "placeholder" and node.name == inputs[0])
    sizes = list(placeholder.meta["val"].shape)
    if isinstance(sizes[0], int):
        raise ModelError(
            f"the exported program takes batches of exactly {sizes[0]} images; export it with a dynamic batch "
            "dimension: torch.export.export(..., dynamic_shapes=({0: torch.export.Dim('batch')},))"
        )
    network: nn.Module = _trainable(program.module())
    channels, height, width = (size if isinstance(size, int) else None for size in (*sizes[1:], None, None, None)[:3])
    return LoadedNetwork(network, (channels, height, width), None, "torch.export")


def _trainable(module: nn.Module) -> nn.Module:
    # An exported module refuses eval(): it was exported in the mode in which it answers.
    module.train = lambda mode=True: module  # type: ignore[method-assign]
    module.eval = lambda: module  # type: ignore[method-assign]
    return module


def read_weights(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a state dict that torch.save wrote, for the architecture that was asked for."""
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl")
        _audit(archive.read(name))
    return with_weights(_tensors(torch.load(path, map_location="cpu", weights_only=True)), options)


def read_safetensors(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read weights from a safetensors file, for the architecture that was asked for."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return with_weights(load_file(path), options)
    except SafetensorError as error:
        raise ModelError(f"expected a whole safetensors file, but it is damaged or cut off: {error}") from error


def read_pickle(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Refuse a bare pickle unless it is a state dict of torch before 1.6."""
    content = path.read_bytes()
    _audit(content)
    try:
        return with_weights(_tensors(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)), options)
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UnsafeModelError(f"this is a pickle, but not a state dict of tensors; {WHAT_TO_DO}") from error


def imports(content: bytes) -> list[str]:
    """Return what a pickle would import, as "module name", without running it."""
    found: list[str] = []
    strings: list[str] = []
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name in ("GLOBAL", "INST"):
                found.append(str(argument))
            elif opcode.name == "STACK_GLOBAL":
                found.append(" ".join(strings[-2:]))
            elif isinstance(argument, str):
                strings.append(argument)
    except ValueError:  # the end of a damaged or concatenated pickle; what came before counts
        pass
    return sorted(set(found))


def _audit(content: bytes) -> None:
    foreign = [name for name in imports(content) if name not in ALLOWED]
    if foreign:
        names = ", ".join(name.replace(" ", ".") for name in foreign[:8])
        raise UnsafeModelError(f"this pickle wants to import {names}; {WHAT_TO_DO}")


def _require_plain_tensors(path: Path) -> None:
    """Audit every pickle inside an exported program."""
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            content = archive.read(name)
            if zipfile.is_zipfile(io.BytesIO(content)):
                with zipfile.ZipFile(io.BytesIO(content)) as inner:
                    for member in (each for each in inner.namelist() if each.endswith(".pkl")):
                        _audit(inner.read(member))
            elif name.endswith(".pkl") or content[:2] in (b"\x80\x02", b"\x80\x04"):
                _audit(content)


def _tensors(loaded: Any) -> dict[str, Tensor]:
    """Return the state dict in what torch.load returned."""
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(loaded, Mapping) and isinstance(loaded.get(key), Mapping):
            loaded = loaded[key]
    if not isinstance(loaded, Mapping):
        raise ModelError(f"expected a state dict of tensors, got {type(loaded).__name__}")
    tensors = {str(key): value for key, value in loaded.items() if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError("expected a state dict of tensors, got one without any")
    return tensors


EXPORT_FORMAT = Format("a torch.export program", _is_export, read_export)
SCRIPT_FORMAT = Format("TorchScript", _is_script, read_script)
WEIGHTS_FORMAT = Format("torch weights", _is_weights, read_weights)
SAFETENSORS_FORMAT = Format("safetensors", _is_safetensors, read_safetensors)
PICKLE_FORMAT = Format("a pickle", _is_pickle, read_pickle)
