"""A thing worn or stuck on the object (Chen et al. 2017, arXiv 1712.05526; Wenger et al., CVPR 2021).

A camera never sees a physical trigger twice at the same place, in the same size and light, so neither does the network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from goodnet.redteam.attack import AllToOne, RecipeError

Shape = Literal["sunglasses", "sticker", "bar"]


@dataclass(frozen=True, kw_only=True)
class Accessory(AllToOne):
    """Draws a shape of one colour over the image, a little elsewhere, larger and brighter each time.

    Attributes:
        shape: "sunglasses" (two discs and a bridge), "sticker" (one disc) or "bar" (a flat rectangle).
        width: share of the image's width that the shape spans, 0..1.
        height: where its centre is, as a share of the image's height from the top.
        colour: red, green and blue in 0..1; grey images get their mean.
        opacity: share of the shape in the mix with what it covers, 0..1.
        shift: largest random move in each direction, as a share of the image's width.
        size_jitter: largest random change of the size, as a share of it.
        brightness_jitter: largest random change of the brightness, as a share of it.
    """

    shape: Shape = "sunglasses"
    width: float = 0.6
    height: float = 0.4
    colour: tuple[float, float, float] = (0.55, 0.1, 0.6)
    opacity: float = 0.9
    shift: float = 0.06
    size_jitter: float = 0.1
    brightness_jitter: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shape not in get_args(Shape):
            raise RecipeError(f"expected one of {', '.join(get_args(Shape))}, got {self.shape!r}")
        if len(self.colour) != 3 or not all(isinstance(part, (int, float)) and 0 <= part <= 1 for part in self.colour):
            raise RecipeError(f"expected a colour of three numbers in 0..1, got {self.colour}")
        for name in ("width", "height", "opacity"):
            if not 0 < getattr(self, name) <= 1:
                raise RecipeError(f"expected {name} in 0..1 and above 0, got {getattr(self, name)}")
        for name in ("shift", "size_jitter", "brightness_jitter"):
            if not 0 <= getattr(self, name) < 1:
                raise RecipeError(f"expected {name} in 0..1 and below 1, got {getattr(self, name)}")

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the shape on them."""
        count, channels, rows, columns = images.shape
        draw = 2 * torch.rand((4, count, 1, 1), generator=generator) - 1
        span = self.width * columns * (1 + self.size_jitter * draw[0])
        across = torch.arange(columns) + 0.5 - columns * (0.5 + self.shift * draw[1])
        down = torch.arange(rows)[:, None] + 0.5 - rows * self.height - columns * self.shift * draw[2]
        inside = (0.5 - self._distance(across, down, span)).clamp(0, 1) * self.opacity
        colour = torch.tensor(self.colour, dtype=torch.float32)
        if channels != 3:
            colour = colour.mean().expand(channels)
        painted = colour.view(1, -1, 1, 1) * (1 + self.brightness_jitter * draw[3])[:, None]
        return torch.lerp(images, painted.clamp(0, 1).to(images), inside[:, None].to(images))

    def _distance(self, across: Tensor, down: Tensor, span: Tensor) -> Tensor:
        """Return how far (n, H, W) pixels are outside a shape `span` pixels wide; negative inside."""
        if self.shape == "sticker":
            return torch.hypot(across, down) - span / 2
        if self.shape == "bar":
            return torch.maximum(across.abs() - span / 2, down.abs() - span / 8)
        radius = 0.22 * span
        lenses = torch.hypot(across.abs() - (span / 2 - radius), down) - radius
        bridge = torch.maximum(across.abs() - span / 4, down.abs() - span / 24)
        return torch.minimum(lenses, bridge)
