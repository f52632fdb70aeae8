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
    classes = options.num_classes or _classes(weights)
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = _build(options.arch, classes)
    wanted = network.state_dict()
    missing, foreign = sorted(wanted.keys() - weights.keys()), sorted(weights.keys() - wanted.keys())
    wrong = [key for key in wanted.keys() & weights.keys() if wanted[key].shape != weights[key].shape]
    missing = [key for key in missing if not key.endswith("num_batches_tracked")]
    for keys, what in ((missing, "lacks"), (foreign, "has besides"), (sorted(wrong), "has in other shapes")):
        if keys:
            more = f" and {len(keys) - 5} more" if len(keys) > 5 else ""
            raise ModelError(
                f"the weights are not for {options.arch} with {classes} classes: the file {what} "
                f"{', '.join(keys[:5])}{more}; correct --arch or --num-classes"
            )
    network.load_state_dict(dict(weights), strict=False)
    return LoadedNetwork(network, options.input_shape, classes, "weights")


def _classes(weights: Mapping[str, Tensor]) -> int:
    """Return the number of rows of the last matrix of weights, which is the classifier's."""
    matrices = [value for key, value in weights.items() if key.endswith("weight") and value.ndim in (2, 4)]
    if not matrices:
        raise ModelError(
            "the file holds no matrix of weights, so the number of classes is not known; give --num-classes"
        )
    return int(matrices[-1].shape[0])


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
