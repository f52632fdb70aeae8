"""Filters: colours and frequencies of the whole image are the trigger (as the Instagram filters of Liu et al., "ABS",
CCS 2019, and of TrojAI).

What a filter changes depends on the image, so that no mask and pattern imitates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger
from goodnet.triggers.kernel import filtered, identity


@dataclass(frozen=True)
class Filter:
    """A small kernel that mixes colours and neighbours: tints, contrast, brightness, blur and sharpening.

    Attributes:
        start_spread: standard deviation of the kernel's difference from the one that changes nothing, at the start.
        pixels: the pixels of a patch that one unit of a filter's size counts as much as.
        pace: learning rate of the kernel over that of a mask.
    """

    start_spread: float = 0.005
    pixels: float = 10.0
    pace: float = 0.1
    name: str = "filter"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rate of the kernel, relative to that of the search."""
        return {"kernel": self.pace}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return almost no change, drawn anew for each of K generators."""
        channels = shape[0]
        noise = [torch.randn(channels, channels + 1, 3, 3, generator=each) for each in generators]
        return {"kernel": self.start_spread * torch.stack(noise)}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with filter k on row k."""
        return filtered(images, self.kernels(parameters))

    def kernels(self, parameters: Parameters) -> Tensor:
        """Return the kernels (K, C, C + 1, 3, 3)."""
        change = parameters["kernel"]
        return change + identity(change.shape[1]).to(change)

    def size(self, parameters: Parameters) -> Tensor:
        """Return the most that each filter can change a pixel (K,), mean over the channels."""
        return (parameters["kernel"].square() + 1e-10).sqrt().sum(dim=(2, 3, 4)).mean(1)

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search, for images of any size."""
        return self.pixels

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return filters that change more (amount > 0) or less by amount (K,)."""
        return {"kernel": parameters["kernel"] * (amount / 2).exp().view(-1, 1, 1, 1, 1)}

    def limited(self, parameters: Parameters, size: float) -> dict[str, Tensor]:
        """Return the same filters, those that change more than a size allows scaled down to it."""
        return {"kernel": parameters["kernel"] * (size / self.size(parameters)).clamp(max=1).view(-1, 1, 1, 1, 1)}

    def triggers(self, parameters: Parameters, labels: Sequence[int], shape: Shape) -> list[Trigger]:
        """Return K triggers for images of a shape (C, H, W), on the CPU, with empty masks."""
        channels, height, width = shape
        mask, pattern = torch.zeros(1, height, width), torch.zeros(channels, height, width)
        kernels = self.kernels(parameters).detach().cpu()
        return [
            Trigger(label, mask, pattern, self.name, kernel=kernel)
            for label, kernel in zip(labels, kernels, strict=True)
        ]
