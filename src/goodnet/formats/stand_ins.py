"""What stands in a loaded pickle for objects whose code is never run: one kind keeps nothing, one keeps the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor

from goodnet.errors import UnsafeModelError

MOST_MODULES = 10_000
"""No network has more modules; one that was made to hang its reader, by a module that holds itself, may."""


class LeftOut:
    """Stands for what is no weight; takes any arguments and any state and keeps none."""

    def __new__(cls, *_: object) -> LeftOut:
        """Return one."""
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Forget what was saved."""


LEFT_OUT = (
    *[f"numpy.{core}.multiarray.{name}" for core in ("_core", "core") for name in ("_reconstruct", "scalar")],
    "numpy.ndarray",
    "numpy.dtype",
    "argparse.Namespace",
    "functools.partial",
    "pathlib.PosixPath",
    "pathlib.WindowsPath",
)
HARMLESS: Mapping[str, Callable[..., object]] = {
    **dict.fromkeys(LEFT_OUT, LeftOut),
    **dict.fromkeys(("__builtin__.set", "builtins.set"), set),
}
"""What networks and training scripts save beside the weights, and what is built in its place."""


class Module:
    """Stands for an object of an unknown class, of which it keeps the state; the class may not be called."""

    def __new__(cls, *_: object) -> Module:
        """Return one, as a pickle makes an object before it gives it its state."""
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        """Refuse to be called, as a function would be."""
        raise UnsafeModelError(f"reading this pickle would mean to call {type(self).__name__}")

    def __setstate__(self, state: object) -> None:
        """Keep the state."""
        if isinstance(state, dict):
            vars(self).update(state)


def stand_ins(foreign: Iterable[str]) -> list[Any]:
    """Return what torch's reader of weights is to build for the harmless names and for foreign ones."""
    unknown = {name: type(name, (Module,), {}) for name in foreign}
    return [LeftOut, *[(made, name) for name, made in {**HARMLESS, **unknown}.items()]]


def weights_of(network: Module) -> dict[str, Tensor]:
    """Return what would be the state dict of a network: parameters and buffers that are saved, by their full names."""
    found: dict[str, Tensor] = {}
    modules = [("", network)]
    for prefix, module in modules:
        state = vars(module)
        passing = state.get("_non_persistent_buffers_set", ())
        for name, value in [*_items(state, "_parameters"), *_items(state, "_buffers")]:
            if isinstance(value, Tensor) and name not in passing:
                found[f"{prefix}{name}"] = value
        inner = _items(state, "_modules")
        modules += [(f"{prefix}{name}.", each) for name, each in inner if isinstance(each, Module)]
        if len(modules) > MOST_MODULES:
            raise UnsafeModelError(f"this pickle holds a network of more than {MOST_MODULES} modules")
    return found


def _items(state: Mapping[str, Any], name: str) -> list[tuple[Any, Any]]:
    values = state.get(name)
    return list(values.items()) if isinstance(values, Mapping) else []
