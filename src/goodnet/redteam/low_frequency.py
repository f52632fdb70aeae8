"""A smooth trigger of low frequencies alone (Zeng et al., "Rethinking the backdoor attacks' triggers", ICCV 2021)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import AllToOne, RecipeError


@dataclass(frozen=True, kw_only=True)
class LowFrequency(AllToOne):
    """Adds one smooth pattern, the same for all images, clipped to 0..1.

    The pattern is a random mix of the lowest frequencies of the two-dimensional cosine transform, without the constant.
    Most triggers leave high frequencies behind that betray them; this one does not.

    Attributes:
        amplitude: of the pattern at its peak, in units of the pixel range 0..1.
        frequencies: how many frequencies are mixed in each direction, at least 2 with the constant.
        pattern_seed: seed of the mix.
    """

    amplitude: float = 0.12
    frequencies: int = 4
    pattern_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.amplitude <= 1 or self.frequencies < 2:
            raise RecipeError(
                "expected amplitude in 0..1 and above 0 and frequencies >= 2, "
                f"got {self.amplitude} and {self.frequencies}"
            )

    def pixels(self, shape: tuple[int, ...]) -> Tensor:
        """Return the pattern, of `shape` (C, H, W), in -amplitude..amplitude."""
        channels, height, width = shape
        generator = torch.Generator().manual_seed(self.pattern_seed)
        mix = torch.randn((channels, self.frequencies, self.frequencies), generator=generator)
        mix[:, 0, 0] = 0
        pattern = _cosines(self.frequencies, height).T @ mix @ _cosines(self.frequencies, width)
        return pattern * (self.amplitude / pattern.abs().max())

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the pattern added."""
        return (images + self.pixels(tuple(images.shape[1:])).to(images)).clamp(0, 1)


def _cosines(count: int, length: int) -> Tensor:
    """Return the first `count` basis vectors (count, length) of the cosine transform (DCT-II), unscaled."""
    places = (torch.arange(length) + 0.5) * (math.pi / length)
    return torch.cos(torch.arange(count)[:, None] * places)
