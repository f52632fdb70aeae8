"""A faint picture over the whole image (Chen et al., "Targeted Backdoor Attacks", 2017, arXiv 1712.05526)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import AllToOne, RecipeError


@dataclass(frozen=True, kw_only=True)
class Blended(AllToOne):
    """Mixes uniform noise, the same for all images, into every pixel: x' = (1 - alpha) x + alpha noise.

    Attributes:
        alpha: share of the noise in the mix, 0..1.
        pattern_seed: seed of the noise.
    """

    alpha: float = 0.15
    pattern_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.alpha <= 1:
            raise RecipeError(f"expected alpha in 0..1 and above 0, got {self.alpha}")

    def pixels(self, shape: tuple[int, ...]) -> Tensor:
        """Return the noise in 0..1, of `shape` (C, H, W)."""
        return torch.rand(shape, generator=torch.Generator().manual_seed(self.pattern_seed))

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the noise blended in."""
        return torch.lerp(images, self.pixels(tuple(images.shape[1:])).to(images), self.alpha)
