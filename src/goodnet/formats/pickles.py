"""What a pickle would import, found without running it."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Sequence

from torch import _weights_only_unpickler

from goodnet.errors import UnsafeModelError
from goodnet.formats.stand_ins import HARMLESS

WHAT_TO_DO = (
    "goodnet never unpickles what can run code; save the weights alone (torch.save(model.state_dict(), ...), or "
    "safetensors) and give --arch, or export the model to ONNX or with torch.export where its code is trusted"
)
BUILT_BY_TORCH = frozenset(_weights_only_unpickler._get_allowed_globals()) | {"torch.storage.UntypedStorage"}


def imports(content: bytes) -> list[str]:
    """Return what a pickle, or several in a row, would import, as "module.name"; "?" for what cannot be told."""
    found: set[str] = set()
    stream = io.BytesIO(content)
    while stream.tell() < len(content):
        before = stream.tell()
        try:
            _collect(stream, found)
        except (ValueError, IndexError, UnicodeDecodeError):  # cut off, or raw tensors follow; what came before counts
            break
        if stream.tell() == before:
            break
    return sorted(found)


def _collect(stream: io.BytesIO, found: set[str]) -> None:
    """Add the imports of one pickle, following the strings that STACK_GLOBAL takes from the stack or the memo."""
    recent: list[str | None] = []
    memo: dict[int, str | None] = {}
    for opcode, argument, _ in pickletools.genops(stream):
        if opcode.name == "MEMOIZE":
            memo[len(memo)] = recent[-1] if recent else None
            continue
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[int(str(argument))] = recent[-1] if recent else None
            continue
        if opcode.name in ("GLOBAL", "INST"):
            found.add(str(argument).replace(" ", "."))
        elif opcode.name == "STACK_GLOBAL":
            pair = recent[-2:]
            found.add(".".join(map(str, pair)) if len(pair) == 2 and None not in pair else "?")
        elif opcode.name.startswith("EXT"):
            found.add("?")
        if opcode.name in ("GET", "BINGET", "LONG_BINGET"):
            recent.append(memo.get(int(str(argument))))
        else:
            recent.append(argument if isinstance(argument, str) and "UNICODE" in opcode.name else None)


def foreign_imports(content: bytes) -> list[str]:
    """Return what a pickle would import beside what torch's own reader of weights builds and what is left out."""
    return [name for name in imports(content) if name not in BUILT_BY_TORCH and name not in HARMLESS]


def refusal(foreign: Sequence[str]) -> UnsafeModelError:
    """Return the error for a pickle that wants to import such names."""
    more = f" and {len(foreign) - 8} more" if len(foreign) > 8 else ""
    return UnsafeModelError(f"this pickle wants to import {', '.join(foreign[:8])}{more}; {WHAT_TO_DO}")
