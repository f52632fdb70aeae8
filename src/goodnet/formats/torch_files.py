"""Weights that torch or safetensors wrote, for a named architecture.

Only weights go through a pickle, and only through torch's reader for weights, which builds nothing but tensors and
plain containers; a few harmless things that training scripts save beside them are left out. Everything else that is a
pickle is refused, with the names that it wanted to import.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from goodnet.errors import ModelError, UnsafeModelError
from goodnet.formats.architectures import with_weights
from goodnet.formats.archive import member_names, require_plain_archive
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions
from goodnet.formats.pickles import LEFT_OUT, WHAT_TO_DO, LeftOut, audit_pickle

USUAL_NAMES = ("state_dict", "model_state_dict", "model", "net")
"""What training scripts call the weights of the network that they save, where it is not the only one."""


def _is_weights(path: Path, head: bytes) -> bool:
    return "data.pkl" in member_names(path)


def _is_safetensors(path: Path, head: bytes) -> bool:
    size = int.from_bytes(head[:8], "little")
    return len(head) > 9 and head[8:9] == b"{" and 2 <= size <= 100_000_000


def _is_pickle(path: Path, head: bytes) -> bool:
    return head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")


def read_weights(path: Path, options: ReadOptions) -> LoadedNetwork:
    """Read a state dict that torch.save wrote, for the architecture that was asked for."""
    with zipfile.ZipFile(path) as archive:
        require_plain_archive(archive)
        name = next(name for name in archive.namelist() if name.split("/", 1)[-1] == "data.pkl")
        audit_pickle(archive.read(name))
    return with_weights(_tensors(_load(path)), options)


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
    audit_pickle(content)
    try:
        return with_weights(_tensors(_load(io.BytesIO(content))), options)
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UnsafeModelError(f"this is a pickle, but not a state dict of tensors; {WHAT_TO_DO}") from error


def _load(file: Path | io.BytesIO) -> Any:
    """Return what a file that was audited holds, without what is left out."""
    with torch.serialization.safe_globals([LeftOut, *[(LeftOut, name) for name in LEFT_OUT]]):
        return torch.load(file, map_location="cpu", weights_only=True)


def _tensors(loaded: Any) -> dict[str, Tensor]:
    """Return the state dict in what torch.load returned: the mapping in it with the most tensors."""
    if not isinstance(loaded, Mapping):
        raise ModelError(f"expected a state dict of tensors, got a {type(loaded).__name__}")
    tensors = max(map(_tensors_of, _mappings(loaded)), key=len)
    if not tensors:
        keys = ", ".join(map(str, list(loaded)[:8])) or "nothing"
        raise ModelError(f"expected a state dict of tensors, bare or in a checkpoint, got one with {keys}")
    return tensors


def _mappings(loaded: Mapping[Any, Any]) -> list[Mapping[Any, Any]]:
    """Return a mapping and all that are in it, the most usual names of a network first, each once."""
    found, known = [loaded], {id(loaded)}
    for mapping in found:
        for _, value in sorted(mapping.items(), key=lambda item: item[0] not in USUAL_NAMES):
            if isinstance(value, Mapping) and id(value) not in known:
                found.append(value)
                known.add(id(value))
    return found


def _tensors_of(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(key): value for key, value in values.items() if isinstance(value, Tensor)}


WEIGHTS_FORMAT = Format("torch weights", _is_weights, read_weights)
SAFETENSORS_FORMAT = Format("safetensors", _is_safetensors, read_safetensors)
PICKLE_FORMAT = Format("a pickle", _is_pickle, read_pickle)
