"""Weights for a named architecture of torchvision or timm, or for one that the user's own Python file builds."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from goodnet.errors import MissingExtraError, ModelError, in_short
from goodnet.formats.loaded import LoadedNetwork, ReadOptions

SOME_CLASSES = 10
"""What an architecture is built for before it is known how many classes the weights are for."""


def with_weights(weights: Mapping[str, Tensor], options: ReadOptions) -> LoadedNetwork:
    """Build `options.arch` and load a state dict into it.

    Raises:
        ModelError: no architecture was named, it is not known, or the weights are not for it.
        MissingExtraError: the package that has the architecture is missing.
    """
    if options.arch is None:
        raise ModelError(
            "of this file only the weights are read; name the architecture they are for: --arch torchvision:resnet18, "
            "--arch timm:resnet18, or --arch FILE.py:NAME for a class or function of a Python file that you trust"
        )
    weights = {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in weights.items()}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = _without_prefix(weights, _build(options.arch, SOME_CLASSES).state_dict())
        classes = options.num_classes or _classes(options.arch, weights)
        network = _build(options.arch, classes or SOME_CLASSES)
    wanted = network.state_dict()
    missing, foreign = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    wrong = [key for key in wanted.keys() & weights.keys() if wanted[key].shape != weights[key].shape]
    # Auxiliary heads (googlenet, inception_v3) answer in training only, and torchvision drops them from what it offers.
    missing = [key for key in missing if not key.endswith("num_batches_tracked") and not key.lower().startswith("aux")]
    for keys, what in ((missing, "lacks"), (foreign, "has besides"), (sorted(wrong), "has in other shapes")):
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            given = f" with {classes} classes" if classes else ""
            raise ModelError(
                f"the weights are not for {options.arch}{given}: the file {what} "
                f"{', '.join(keys[:5])}{more}; correct --arch or --num-classes"
            )
    network.load_state_dict(dict(weights), strict=False)
    return LoadedNetwork(network, options.input_shape, classes, "weights")


def _without_prefix(weights: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    """Take the name that a wrapper gave the network ("model.", as training frameworks do) off the keys."""
    first = next(iter(wanted))
    prefixes = [key.removesuffix(first) for key in weights if key.endswith("." + first)]
    if first in weights or len(prefixes) != 1:
        return weights
    return {key[len(prefixes[0]) :]: value for key, value in weights.items() if key.startswith(prefixes[0])}


def _classes(arch: str, weights: Mapping[str, Tensor]) -> int | None:
    """Return the size, in the file, of what changes shape when the architecture is built for one class more, if any."""
    few, more = (_build(arch, classes).state_dict() for classes in (SOME_CLASSES, SOME_CLASSES + 1))
    for key, value in few.items():
        if value.shape != more[key].shape and key in weights and weights[key].ndim:
            return int(weights[key].shape[0])
    return None


def _build(arch: str, classes: int) -> nn.Module:
    library, _, name = arch.rpartition(":")
    if library.endswith(".py"):
        return _of_file(library, name, classes)
    if library not in ("", "torchvision", "timm"):
        raise ModelError(f"expected an architecture of torchvision:, timm: or a .py file, got {arch!r}")
    for package, build in (("torchvision", _torchvision), ("timm", _timm)):
        if library in ("", package):
            try:
                network = build(name, classes)
            except ImportError as error:
                if library == package:
                    raise MissingExtraError(f"building {arch}", package) from error
                continue
            if network is not None:
                return network
    raise ModelError(f"neither torchvision nor timm, as far as installed, knows an architecture {name!r}")


def _torchvision(name: str, classes: int) -> nn.Module | None:
    from torchvision import models

    if name not in models.list_models(models):
        return None
    network: nn.Module = models.get_model(name, weights=None, num_classes=classes)
    return network


def _timm(name: str, classes: int) -> nn.Module | None:
    import timm

    if not timm.is_model(name):
        return None
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes)
    return network


def _of_file(path: str, name: str, classes: int) -> nn.Module:
    """Build what a class or function of a Python file makes, for `classes` classes where it takes `num_classes`."""
    module = _run(path)
    build = getattr(module, name, None)
    if not callable(build):
        known = ", ".join(key for key, value in vars(module).items() if _builds(value, module))
        raise ModelError(f"{path} has no class or function {name!r}; networks may come from {known or 'none'}")
    takes = _takes_classes(build)
    try:
        network = build(num_classes=classes) if takes else build()
    except Exception as error:
        raise ModelError(
            f"{name} of {path} makes no network when called with {'num_classes alone' if takes else 'nothing'}: "
            f"{in_short(error)}; name a function that does"
        ) from error
    if not isinstance(network, nn.Module):
        raise ModelError(f"expected {name} of {path} to make a torch.nn.Module, got a {type(network).__name__}")
    return network


@cache
def _run(path: str) -> ModuleType:
    """Run a Python file, which may import what lies beside it, and return it as a module."""
    file = Path(path).resolve()
    if not file.is_file():
        raise ModelError(f"there is no file {path}")
    spec = spec_from_file_location(f"architecture_{file.stem}", file)
    assert spec is not None and spec.loader is not None  # the name ends in .py
    module = sys.modules[spec.name] = module_from_spec(spec)
    sys.path.insert(0, str(file.parent))
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise ModelError(f"{path} cannot be run: {in_short(error)}") from error
    finally:
        sys.path.remove(str(file.parent))
    return module


def _takes_classes(build: Callable[..., object]) -> bool:
    try:
        return "num_classes" in inspect.signature(build).parameters
    except ValueError:  # some things written in C do not say what they take
        return False


def _builds(value: object, module: ModuleType) -> bool:
    """Whether something is a class of networks or a function, of the module's own."""
    networks = isinstance(value, type) and issubclass(value, nn.Module)
    return (networks or inspect.isfunction(value)) and getattr(value, "__module__", "") == module.__name__
