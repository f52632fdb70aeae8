"""Warps: a smooth flow field is the trigger (WaNet, Nguyen and Tran, ICLR 2021).

What a warp changes depends on the image, so that no mask and pattern imitates it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch.nn import functional

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters
from goodnet.triggers.flow import displaced
from goodnet.triggers.whole_image import WholeImage

REFERENCE_SIDE = 32
"""Flows are in units of one pixel of an image with this side, so that they mean the same at any resolution."""


@dataclass(frozen=True)
class Warp(WholeImage):
    """A flow field on a coarse grid, upsampled bicubically; its unit is 1/32 of the image's side.

    Attributes:
        points: of the grid, a side.
    """

    start_spread: float = 0.1
    pixels: float = 10.0
    pace: float = 1.0
    name: str = "warp"
    points: int = 5
    part: ClassVar[str] = "flow"

    def part_shape(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape of a coarse flow."""
        return (2, self.points, self.points)

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

    def held(self, parameters: Parameters, shape: Shape) -> Tensor:
        """Return the flow of each pixel (K, 2, H, W), in pixels."""
        return self.flow(parameters, shape[1], shape[2])
