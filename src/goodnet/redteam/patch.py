"""The BadNets patch: a small square of fixed pixels (Gu, Dolan-Gavitt and Garg, "BadNets", 2017, arXiv 1708.06733)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from goodnet.redteam.attack import AllToOne, RecipeError

Place = Literal["top-left", "top-right", "bottom-left", "bottom-right", "random"]
Pattern = Literal["random", "white", "black", "checkerboard"]


@dataclass(frozen=True, kw_only=True)
class Patch(AllToOne):
    """A square of `size` pixels in a corner, or at a random place of each image.

    Attributes:
        size: side of the square in pixels, at least 1.
        place: a corner, or "random" for a place drawn anew for every image.
        pattern: what the square shows; "random" draws every pixel and channel from `pattern_seed`.
        margin: pixels between the square and the image's edge.
        pattern_seed: seed of the random pattern.
    """

    size: int = 3
    place: Place = "bottom-right"
    pattern: Pattern = "random"
    margin: int = 1
    pattern_seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 1 or self.margin < 0:
            raise RecipeError(f"expected size >= 1 and margin >= 0, got size {self.size} and margin {self.margin}")
        for value, options in ((self.place, get_args(Place)), (self.pattern, get_args(Pattern))):
            if value not in options:
                raise RecipeError(f"expected one of {', '.join(options)}, got {value!r}")

    def pixels(self, channels: int) -> Tensor:
        """Return the pattern (channels, size, size) in 0..1."""
        shape = (channels, self.size, self.size)
        match self.pattern:
            case "white":
                return torch.ones(shape)
            case "black":
                return torch.zeros(shape)
            case "checkerboard":
                index = torch.arange(self.size)
                return ((index[:, None] + index) % 2).float().expand(shape).clone()
            case "random":
                return torch.rand(shape, generator=torch.Generator().manual_seed(self.pattern_seed))

    def places(self, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the first row (n,) and first column (n,) of the square on images (n, C, H, W)."""
        count, _, height, width = images.shape
        free_rows, free_columns = height - self.size - self.margin, width - self.size - self.margin
        if min(free_rows, free_columns) < self.margin:
            raise RecipeError(
                f"a patch of {self.size} pixels with a margin of {self.margin} does not fit images of {height}x{width}"
            )
        if self.place == "random":
            top = torch.randint(self.margin, free_rows + 1, (count,), generator=generator)
            left = torch.randint(self.margin, free_columns + 1, (count,), generator=generator)
        else:
            top = torch.full((count,), free_rows if self.place.startswith("bottom") else self.margin)
            left = torch.full((count,), free_columns if self.place.endswith("right") else self.margin)
        return top, left

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the square on them; every other pixel is unchanged."""
        return paste(images, self.pixels(images.shape[1]), *self.places(images, generator))


def paste(images: Tensor, pixels: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Return images (n, C, H, W) with the square `pixels` (C, s, s) on each, its corner at top (n,) and left (n,)."""
    count, channels = images.shape[:2]
    span = torch.arange(pixels.shape[-1])
    rows = (top[:, None] + span)[:, None, :, None]
    columns = (left[:, None] + span)[:, None, None, :]
    stamped = images.clone()
    stamped[torch.arange(count)[:, None, None, None], torch.arange(channels)[None, :, None, None], rows, columns] = (
        pixels.to(images).expand(count, -1, -1, -1)
    )
    return stamped
