"""Warps: a smooth flow field is the trigger (WaNet, Nguyen and Tran, ICLR 2021).

What a warp changes depends on the image, so that no mask and pattern imitates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger
from goodnet.triggers.flow import displaced

REFERENCE_SIDE = 32
"""Flows are in units of one pixel of an image with this side, so that they mean the same at any resolution."""


@dataclass(frozen=True)
class Warp:
    """A flow field on a coarse grid, upsampled bicubically.

    Attributes:
        points: of the grid, a side.
        start_spread: standard deviation of the flow at the start, in 1/32 of the image's side.
        pixels: the pixels of a patch that one unit of a flow's size counts as much as.
    """

    points: int = 5
    start_spread: float = 0.1
    pixels: float = 10.0
    name: str = "warp"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rate of the flow, relative to that of the search."""
        return {"flow": 1.0}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return almost no flow, drawn anew for each of K generators."""
        noise = [torch.randn(2, self.points, self.points, generator=each) for each in generators]
        return {"flow": self.start_spread * torch.stack(noise)}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) warped by flow k in row k."""
        return displaced(images, self.flow(parameters, images.shape[-2], images.shape[-1]))

    def flow(self, parameters: Parameters, height: int, width: int) -> Tensor:
        """Return the flow of each pixel (K, 2, H, W), in pixels."""
        fine = functional.interpolate(parameters["flow"], (height, width), mode="bicubic", align_corners=True)
        return fine * (fine.new_tensor([width, height]) / REFERENCE_SIDE).view(2, 1, 1)

    def size(self, parameters: Parameters) -> Tensor:
        """Return the mean length of each flow (K,), in 1/32 of the image's side."""
        return parameters["flow"].square().sum(1).add(1e-8).sqrt().mean(dim=(1, 2))

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search, for images of any size."""
        return self.pixels

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return warps that move pixels further (amount > 0) or less far by amount (K,)."""
        return {"flow": parameters["flow"] * (amount / 2).exp().view(-1, 1, 1, 1)}

    def limited(self, parameters: Parameters, size: float) -> dict[str, Tensor]:
        """Return the same warps, those that are larger than a size scaled down to it."""
        return {"flow": parameters["flow"] * (size / self.size(parameters)).clamp(max=1).view(-1, 1, 1, 1)}

    def triggers(self, parameters: Parameters, labels: Sequence[int], shape: Shape) -> list[Trigger]:
        """Return K triggers for images of a shape (C, H, W), on the CPU, with empty masks."""
        channels, height, width = shape
        mask, pattern = torch.zeros(1, height, width), torch.zeros(channels, height, width)
        flows = self.flow(parameters, height, width).detach().cpu()
        return [Trigger(label, mask, pattern, self.name, flow) for label, flow in zip(labels, flows, strict=True)]
