"""Filters: colours and frequencies of the whole image are the trigger (as the Instagram filters of Liu et al., "ABS",
CCS 2019, and of TrojAI).

What a filter changes depends on the image, so that no mask and pattern imitates it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters
from goodnet.triggers.kernel import filtered, identity
from goodnet.triggers.whole_image import WholeImage


@dataclass(frozen=True)
class Filter(WholeImage):
    """A small kernel that mixes colours and neighbours: tints, contrast, brightness, blur and sharpening.

    Its tensor is the kernel's difference from the one that changes nothing.
    """

    start_spread: float = 0.005
    pixels: float = 10.0
    pace: float = 0.1
    name: str = "filter"
    part: ClassVar[str] = "kernel"

    def part_shape(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape of a kernel."""
        return (shape[0], shape[0] + 1, 3, 3)

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

    def held(self, parameters: Parameters, shape: Shape) -> Tensor:
        """Return the kernels (K, C, C + 1, 3, 3)."""
        return self.kernels(parameters)
