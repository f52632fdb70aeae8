"""Weights that torch or safetensors wrote, for a named architecture.

Only weights go through a pickle, and only through torch's reader for weights, which builds nothing but tensors and
plain containers. Of a network that was pickled whole the weights are read as well, its classes are never looked up. A
pickle that wants to call anything is refused, with the names that it wanted to import.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from goodnet.errors import ModelError, UnsafeModelError, in_short
from goodnet.formats.architectures import with_weights
from goodnet.formats.archive import member_names, require_plain_archive
from goodnet.formats.loaded import Format, LoadedNetwork, ReadOptions
from goodnet.formats.pickles import WHAT_TO_DO, foreign_imports, refusal
from goodnet.formats.stand_ins import Module, stand_ins, weights_of

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
        foreign = foreign_imports(archive.read(name))
    return with_weights(_tensors(_load(path, foreign)), options)


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
    if foreign := foreign_imports(content):
        raise refusal(foreign)
    try:
        return with_weights(_tensors(_load(io.BytesIO(content))), options)
    except (RuntimeError, ValueError, EOFError, KeyError) as error:
        raise UnsafeModelError(f"this is a pickle, but not a state dict of tensors; {WHAT_TO_DO}") from error


def _load(file: Path | io.BytesIO, foreign: Sequence[str] = ()) -> Any:
    """Return what a file holds, with stand-ins for what is neither a tensor nor a plain container."""
    try:
        with torch.serialization.safe_globals(stand_ins(foreign)):
            return torch.load(file, map_location="cpu", weights_only=True)
    except (UnsafeModelError, pickle.UnpicklingError) as error:
        raise (refusal(foreign) if foreign else UnsafeModelError(f"{in_short(error)}; {WHAT_TO_DO}")) from error


def _tensors(loaded: Any) -> dict[str, Tensor]:
    """Return the state dict in what torch.load returned: the mapping or network in it with the most tensors."""
    if not isinstance(loaded, (Mapping, Module)):
        raise ModelError(f"expected a state dict of tensors, got a {type(loaded).__name__}")
    found = [weights_of(each) if isinstance(each, Module) else _tensors_of(each) for each in _held(loaded)]
    tensors = max(found, key=len)
    if not tensors:
        keys = ", ".join(map(str, list(loaded)[:8])) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise ModelError(f"expected a state dict of tensors, bare or in a checkpoint, got one with {keys or 'nothing'}")
    return tensors


def _held(loaded: Mapping[Any, Any] | Module) -> list[Mapping[Any, Any] | Module]:
    """Return a mapping and all mappings and networks in it, the most usual names of a network first, each once."""
    found, known = [loaded], {id(loaded)}
    for each in found:
        values = each.items() if isinstance(each, Mapping) else ()
        for _, value in sorted(values, key=lambda item: item[0] not in USUAL_NAMES):
            if isinstance(value, (Mapping, Module)) and id(value) not in known:
                found.append(value)
                known.add(id(value))
    return found


def _tensors_of(values: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {str(key): value for key, value in values.items() if isinstance(value, Tensor)}


WEIGHTS_FORMAT = Format("torch weights", _is_weights, read_weights)
SAFETENSORS_FORMAT = Format("safetensors", _is_safetensors, read_safetensors)
PICKLE_FORMAT = Format("a pickle", _is_pickle, read_pickle)
