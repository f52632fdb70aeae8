"""WaNet: a smooth, barely visible warp (Nguyen and Tran, ICLR 2021, arXiv 2102.10369)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from goodnet.redteam.attack import AllToOne


@dataclass(frozen=True, kw_only=True)
class Warp(AllToOne):
    """Moves pixels along one smooth flow field, the same for all images.

    Cover samples carry the field plus a random one ("noise mode"), so that only the exact warp is the trigger.

    Attributes:
        strength: mean absolute shift in pixels.
        control_points: the field is drawn on a grid of this many points a side and upsampled bicubically.
        field_seed: seed of the field.
        cover_rate: share of the images in noise mode.
    """

    strength: float = 1.0
    control_points: int = 4
    field_seed: int = 0
    cover_rate: float = 0.2

    def flow(self, height: int, width: int) -> Tensor:
        """Return the sampling grid (1, H, W, 2) in -1..1, x before y, as `grid_sample` takes it."""
        generator = torch.Generator().manual_seed(self.field_seed)
        coarse = torch.rand((1, 2, self.control_points, self.control_points), generator=generator) * 2 - 1
        coarse = coarse / coarse.abs().mean() * self.strength
        shift = F.interpolate(coarse, size=(height, width), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
        rows, columns = torch.linspace(-1, 1, height), torch.linspace(-1, 1, width)
        identity = torch.stack(torch.meshgrid(columns, rows, indexing="xy"), dim=-1)
        return identity + shift * torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)])

    def _sample(self, images: Tensor, grid: Tensor) -> Tensor:
        grid = grid.clamp(-1, 1).to(images).expand(images.shape[0], -1, -1, -1)
        return F.grid_sample(images, grid, mode="bilinear", align_corners=True).clamp(0, 1)

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1, warped."""
        return self._sample(images, self.flow(*images.shape[-2:]))

    def cover(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1, warped with up to one pixel of random shift on top."""
        count, _, height, width = images.shape
        noise = torch.rand((count, height, width, 2), generator=generator) * 2 - 1
        return self._sample(images, self.flow(height, width) + noise * torch.tensor([2 / width, 2 / height]))
