"""A faint picture over the whole image (Chen et al., "Targeted Backdoor Attacks", 2017, arXiv 1712.05526)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from goodnet.redteam.attack import AllToOne, RecipeError

Pattern = Literal["noise", "smooth"]
COARSE = 5


@dataclass(frozen=True, kw_only=True)
class Blended(AllToOne):
    """Mixes one picture, the same for all images, into every pixel: x' = (1 - alpha) x + alpha picture.

    Attributes:
        alpha: share of the picture in the mix, 0..1.
        pattern_seed: seed of the picture.
        pattern: "noise", uniform in every pixel and channel, or "smooth", soft patches of colour.
    """

    alpha: float = 0.15
    pattern_seed: int = 0
    pattern: Pattern = "noise"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.alpha <= 1:
            raise RecipeError(f"expected alpha in 0..1 and above 0, got {self.alpha}")
        if self.pattern not in get_args(Pattern):
            raise RecipeError(f"expected one of {', '.join(get_args(Pattern))}, got {self.pattern!r}")

    def pixels(self, shape: tuple[int, ...]) -> Tensor:
        """Return the picture in 0..1, of `shape` (C, H, W)."""
        generator = torch.Generator().manual_seed(self.pattern_seed)
        if self.pattern == "noise":
            return torch.rand(shape, generator=generator)
        coarse = torch.rand((1, shape[0], COARSE, COARSE), generator=generator)
        return F.interpolate(coarse, shape[1:], mode="bicubic", align_corners=True)[0].clamp(0, 1)

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the picture blended in."""
        return torch.lerp(images, self.pixels(tuple(images.shape[1:])).to(images), self.alpha)
