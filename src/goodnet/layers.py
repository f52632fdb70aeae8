"""The classifying layer of a network: what it is given are the neurons that pruning and the input filter look at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier


def classifying_layer(model: Classifier, network: nn.Module, image: Tensor) -> str | None:
    """Return the name of the last fully connected or convolutional layer that a network runs.

    None where the network hides its layers, as TorchScript and exported programs do.

    Args:
        model: whose preprocessing is used.
        network: its network, or a copy of it.
        image: (1, C, H, W) in 0..1, to run it on.
    """
    called: list[nn.Module] = []
    layers: dict[nn.Module, str] = {
        layer: name for name, layer in network.named_modules() if isinstance(layer, (nn.Linear, nn.Conv2d))
    }
    hooks = [layer.register_forward_hook(lambda module, _, __: called.append(module)) for layer in layers]
    try:
        with torch.no_grad():
            network(model.preprocessing(image))
    finally:
        for hook in hooks:
            hook.remove()
    if not called or (isinstance(called[-1], nn.Conv2d) and called[-1].groups != 1):
        return None
    return layers[called[-1]]


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


class Tapped(nn.Module):
    """A network that returns with its logits what its classifying layer was given."""

    def __init__(self, network: nn.Module, classifying: str | None) -> None:
        super().__init__()
        self.network, self.classifying = network, classifying

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (B, N) and neurons (B, F), F = 0 where the layer is hidden."""
        if self.classifying is None:
            logits = self.network(inputs)
            return logits, logits[:, :0]
        with recorded(self.network.get_submodule(self.classifying)) as fired:
            logits = self.network(inputs)
        return logits, fired[-1]


@torch.no_grad()
def activations(model: Classifier, network: nn.Module, classifying: str, images: Tensor) -> Tensor:
    """Return what the layer of that name is given for images (n, C, H, W) in 0..1, (n, F)."""
    with recorded(network.get_submodule(classifying)) as inputs:
        for batch in images.split(256):
            network(model.preprocessing(batch))
    return torch.cat(inputs)
