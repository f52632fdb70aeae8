"""Weights for a named architecture of torchvision or timm."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from goodnet.errors import MissingExtraError, ModelError
from goodnet.formats.loaded import LoadedNetwork, ReadOptions


def with_weights(weights: Mapping[str, Tensor], options: ReadOptions) -> LoadedNetwork:
    """Build `options.arch` and load a state dict into it.

    Raises:
        ModelError: no architecture was named, it is not known, or the weights are not for it.
        MissingExtraError: the package that has the architecture is missing.
    """
    if options.arch is None:
        raise ModelError(
            "this file holds weights only; name the architecture they are for: --arch torchvision:resnet18 or "
            "--arch timm:resnet18"
        )
    weights = {key.removeprefix("module.").removeprefix("_orig_mod."): value for key, value in weights.items()}
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        weights = _without_prefix(weights, _build(options.arch, 10).state_dict())
        classes = options.num_classes or _classes(options.arch, weights)
        network = _build(options.arch, classes)
    wanted = network.state_dict()
    missing, foreign = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    wrong = [key for key in wanted.keys() & weights.keys() if wanted[key].shape != weights[key].shape]
    # Auxiliary heads (googlenet, inception_v3) answer in training only, and torchvision drops them from what it offers.
    missing = [key for key in missing if not key.endswith("num_batches_tracked") and not key.lower().startswith("aux")]
    for keys, what in ((missing, "lacks"), (foreign, "has besides"), (sorted(wrong), "has in other shapes")):
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            raise ModelError(
                f"the weights are not for {options.arch} with {classes} classes: the file {what} "
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


def _classes(arch: str, weights: Mapping[str, Tensor]) -> int:
    """Return the size, in the file, of what changes shape when the architecture is built for one class more."""
    few, more = (_build(arch, classes).state_dict() for classes in (10, 11))
    for key, value in few.items():
        if value.shape != more[key].shape and key in weights and weights[key].ndim:
            return int(weights[key].shape[0])
    return 10


def _build(arch: str, classes: int) -> nn.Module:
    library, _, name = arch.rpartition(":")
    if library not in ("", "torchvision", "timm"):
        raise ModelError(f"expected an architecture of torchvision: or timm:, got {arch!r}")
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
