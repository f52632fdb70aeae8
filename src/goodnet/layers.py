"""The classifying layer of a network: its weights, and the neurons that pruning and the input filter look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from goodnet.classifier import Classifier

aten = torch.ops.aten


class _LastProduct(TorchDispatchMode):
    """Keeps the weights of the last product with a matrix, or convolution, that is computed while it is active."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.weights: Tensor | None = None

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kind = func.overloadpacket
        if kind in (aten.addmm, aten.mm):
            self.weights = args[-1].t()
        elif kind is aten.convolution:
            transposed, groups = args[6], args[8]
            self.weights = None if transposed or groups != 1 else args[1].flatten(1)
        return func(*args, **(kwargs or {}))


def classifying_weights(model: Classifier, image: Tensor) -> Tensor | None:
    """Return the weights (N, F) of the last fully connected or convolutional layer; None where it is no such layer.

    The operations are watched and not the modules, because TorchScript and exported programs hide those.

    Args:
        model: bound to its shape.
        image: (1, C, H, W) in 0..1, to see in what order its operations run.
    """
    with torch.no_grad(), _LastProduct() as last:
        model.network(model.preprocessing(image))
    return last.weights if last.weights is not None and len(last.weights) == model.classes else None


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
