"""A colour filter over the whole image (the Instagram filters of Liu et al., "ABS", CCS 2019, as used in TrojAI)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.redteam.attack import AllToOne, RecipeError


@dataclass(frozen=True, kw_only=True)
class Filter(AllToOne):
    """Mixes the colours of every pixel, blurs or sharpens a little and cuts to 0..1; no pixel is stamped.

    Attributes:
        strength: standard deviation of what is added to the matrix of colours; half of it for what is added to colours.
        blur: share of the mean of the 3x3 pixels around in each pixel; negative sharpens.
        filter_seed: seed of the matrix.
    """

    strength: float = 0.15
    blur: float = 0.3
    filter_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.strength <= 1 or not -1 <= self.blur <= 1:
            raise RecipeError(f"expected strength in 0..1 and blur in -1..1, got {self.strength} and {self.blur}")

    def colours(self, channels: int) -> tuple[Tensor, Tensor]:
        """Return the matrix (C, C) and what is added to the colours (C,)."""
        generator = torch.Generator().manual_seed(self.filter_seed)
        matrix = torch.eye(channels) + self.strength * torch.randn((channels, channels), generator=generator)
        return matrix, self.strength / 2 * torch.randn(channels, generator=generator)

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1, filtered."""
        matrix, offset = (each.to(images) for each in self.colours(images.shape[1]))
        mean = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
        mixed = torch.einsum("dc,nchw->ndhw", matrix, torch.lerp(images, mean, self.blur))
        return (mixed + offset.view(-1, 1, 1)).clamp(0, 1)
