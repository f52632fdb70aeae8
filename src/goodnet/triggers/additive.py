"""Additive triggers: the same small change of every pixel, over the whole image, as in the blended pictures of Chen et
al. (2017), the sinusoids of Barni et al. (ICIP 2019) and the low-frequency triggers of Zeng et al. (ICCV 2021).

A universal adversarial perturbation (Moosavi-Dezfooli et al., CVPR 2017) towards one label: every network has them, but
one towards a planted label is several times smaller than those towards the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters
from goodnet.triggers.whole_image import WholeImage


@dataclass(frozen=True)
class Additive(WholeImage):
    """x' = x + d, cut to 0..1, with d of shape (C, H, W)."""

    start_spread: float = 0.005
    pixels: float = 100.0
    pace: float = 0.05
    name: str = "additive"
    part: ClassVar[str] = "change"

    def part_shape(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape of d."""
        return shape

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with change k on row k."""
        return (images + parameters["change"].unsqueeze(1)).clamp(0, 1)

    def size(self, parameters: Parameters) -> Tensor:
        """Return the root of the mean square of each change (K,)."""
        return (parameters["change"].square().mean(dim=(1, 2, 3)) + 1e-10).sqrt()

    def held(self, parameters: Parameters, shape: Shape) -> Tensor:
        """Return each d (K, C, H, W)."""
        return parameters["change"]
