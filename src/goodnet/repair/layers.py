"""The classifying layer of a network: what it is given are the neurons that pruning and the input filter look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier
from goodnet.errors import ModelError

Weighted = nn.Linear | nn.Conv2d


def last_layer(model: Classifier, network: nn.Module, image: Tensor) -> Weighted:
    """Return the last fully connected or convolutional layer that a network runs.

    Args:
        model: whose preprocessing is used.
        network: its network, or a copy of it.
        image: (1, C, H, W) in 0..1, to run it on.

    Raises:
        ModelError: the network hides its layers, as TorchScript and exported programs do.
    """
    called: list[Weighted] = []
    layers = [module for module in network.modules() if isinstance(module, (nn.Linear, nn.Conv2d))]
    hooks = [layer.register_forward_hook(lambda module, _, __: called.append(module)) for layer in layers]
    try:
        with torch.no_grad():
            network(model.preprocessing(image))
    finally:
        for hook in hooks:
            hook.remove()
    if not called or (isinstance(called[-1], nn.Conv2d) and called[-1].groups != 1):
        raise ModelError(
            f"the neurons of {model.path} ({model.format}) cannot be reached, so it cannot be pruned; "
            "use --method unlearn"
        )
    return called[-1]


@contextmanager
def recorded(layer: nn.Module) -> Iterator[list[Tensor]]:
    """Collect what a layer is given while the block runs, each (B, features)."""
    inputs: list[Tensor] = []

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        inputs.append(given[0].flatten(2).mean(2) if given[0].ndim > 2 else given[0])

    hook = layer.register_forward_pre_hook(keep)
    try:
        yield inputs
    finally:
        hook.remove()


@torch.no_grad()
def activations(model: Classifier, network: nn.Module, layer: nn.Module, images: Tensor) -> Tensor:
    """Return what a layer is given for images (n, C, H, W) in 0..1, (n, features)."""
    with recorded(layer) as inputs:
        for batch in images.split(256):
            network(model.preprocessing(batch))
    return torch.cat(inputs)
