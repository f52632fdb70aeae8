"""Flow fields: pictures whose pixels are moved."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def displaced(images: Tensor, flow: Tensor) -> Tensor:
    """Return images (K, B, C, H, W) with each pixel taken from where flow k points; differentiable in both.

    Args:
        images: of any range.
        flow: (K, 2, H, W) in pixels, to the right and down; beyond the border, the border's pixels are taken.
    """
    count, each, channels, height, width = images.shape
    identity = torch.eye(2, 3, device=flow.device, dtype=flow.dtype).expand(count, -1, -1)
    grid = functional.affine_grid(identity, [count, 1, height, width], align_corners=True)
    unit = torch.tensor([2 / max(width - 1, 1), 2 / max(height - 1, 1)], device=flow.device, dtype=flow.dtype)
    # The same flow for all images of a row: they travel as channels of one picture.
    moved = functional.grid_sample(
        images.reshape(count, each * channels, height, width),
        grid + flow.permute(0, 2, 3, 1) * unit,
        padding_mode="border",
        align_corners=True,
    )
    return moved.view(images.shape)
