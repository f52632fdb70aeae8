"""Engine: runs a classifier as fast as the machine allows, and counts what that costs."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from goodnet.classifier import Classifier, freeze
from goodnet.depthwise import depthwise, is_depthwise

CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d)


@dataclass
class Cost:
    """What a scan has spent so far.

    Attributes:
        image_gradients: images that went once forward and once backward to the input.
        forward_passes: images that only went forward.
    """

    image_gradients: int = 0
    forward_passes: int = 0

    def copy(self) -> Cost:
        """Return what was spent up to now."""
        return dataclasses.replace(self)

    def __sub__(self, earlier: Cost) -> Cost:
        return Cost(self.image_gradients - earlier.image_gradients, self.forward_passes - earlier.forward_passes)

    def add(self, other: Cost) -> None:
        """Count what was spent elsewhere."""
        self.image_gradients += other.image_gradients
        self.forward_passes += other.forward_passes


class Engine:
    """A classifier in the number format and memory layout in which this machine runs it fastest.

    It works on a copy of the network, which stays in eval mode with its parameters frozen.

    Attributes:
        classifier: what is run.
        bfloat16: whether the network runs under bfloat16 autocast; logits are float32 either way.
        cost: what was spent; whoever asks for a gradient counts it with `count_gradients`.
    """

    def __init__(self, classifier: Classifier, bfloat16: bool = False) -> None:
        self.classifier = classifier
        self.bfloat16 = bfloat16
        self.cost = Cost()
        network = freeze(copy.deepcopy(classifier.network))
        self._convolutional = any(isinstance(module, CONVOLUTIONS) for module in network.modules())
        if bfloat16:
            for module in network.modules():
                if is_depthwise(module):
                    _round(cast(nn.Conv2d, module), classifier.device.type)
                elif isinstance(module, CONVOLUTIONS) and module.groups > 1:
                    _keep_exact(module, classifier.device.type)
        if self._convolutional:
            network = network.to(memory_format=torch.channels_last)
        self._network = network

    @property
    def device(self) -> torch.device:
        """Where the network runs."""
        return self.classifier.device

    def logits(self, images: Tensor) -> Tensor:
        """Return float32 logits (B, N) for images (B, C, H, W) in 0..1; differentiable in the images."""
        inputs = self.classifier.preprocessing(images)
        if self._convolutional:
            inputs = inputs.contiguous(memory_format=torch.channels_last)
        with torch.amp.autocast(self.device.type, torch.bfloat16, enabled=self.bfloat16):
            output: Tensor = self._network(inputs)
        return output.float()

    @torch.no_grad()
    def predict(self, images: Tensor, batch_size: int = 256) -> Tensor:
        """Return float32 logits (n, N) for any number of images (n, C, H, W), without gradient, and count them."""
        self.cost.forward_passes += len(images)
        return torch.cat([self.logits(batch.to(self.device)) for batch in images.split(batch_size)])

    def count_gradients(self, images: int) -> None:
        """Count `images` image-gradients."""
        self.cost.image_gradients += images


def _round(module: nn.Conv2d, device: str) -> None:
    """Let a depthwise convolution compute in bfloat16, its gradient as well."""
    kernel = module.weight.detach().bfloat16()
    bias = None if module.bias is None else module.bias.detach().bfloat16()

    def rounded(images: Tensor, *_: Tensor | None) -> Tensor:
        with torch.amp.autocast(device, enabled=False):
            return depthwise(images.bfloat16(), kernel, bias, module.stride, module.padding)

    module._conv_forward = rounded  # type: ignore[method-assign, assignment]


def _keep_exact(module: nn.Module, device: str) -> None:
    """Let a convolution over groups of channels compute in float32; its gradient in bfloat16 is many times slower."""
    forward = module.forward

    def exact(inputs: Tensor) -> Tensor:
        with torch.amp.autocast(device, enabled=False):
            output: Tensor = forward(inputs.float())
        return output

    module.forward = exact


def choose_engine(classifier: Classifier, images: Tensor, agreement: float = 0.02) -> Engine:
    """Return an engine in bfloat16 where the hardware multiplies it and the network keeps its answers.

    The choice depends on machine, network and images alone, never on a timing, so that a scan repeats bit for bit.

    Args:
        classifier: bound to its shape.
        images: (n, C, H, W) in 0..1 to compare the two formats on.
        agreement: largest mean difference of the softmax outputs, 0..1, that counts as the same answers.
    """
    exact = Engine(classifier)
    if not (fast_bfloat16(classifier.device) and exact._convolutional):
        return exact
    rounded = Engine(classifier, bfloat16=True)
    wanted, got = (engine.predict(images).softmax(1) for engine in (exact, rounded))
    difference = (wanted - got).abs().sum(1).mean() / 2
    return rounded if bool(difference <= agreement) else exact


def fast_bfloat16(device: torch.device) -> bool:
    """Whether a device multiplies bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    tell: Callable[[], dict[str, bool]] = getattr(torch.cpu, "get_capabilities", dict)
    return device.type == "cpu" and any(tell().get(name, False) for name in ("avx512_bf16", "amx_bf16"))


def quick_logits(network: nn.Module, images: Tensor) -> Tensor:
    """Return float32 logits (n, N) for images (n, C, H, W) on the CPU, computed in bfloat16 where that is fast."""
    with torch.amp.autocast("cpu", torch.bfloat16, enabled=fast_bfloat16(torch.device("cpu"))):
        logits: Tensor = network(images)
    return logits.float()
