"""Kernels: pictures whose pixels are mixed with their neighbours and between colours."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def filtered(images: Tensor, kernels: Tensor) -> Tensor:
    """Return images (K, B, C, H, W) in 0..1 convolved with kernel k in row k, cut to 0..1; differentiable in both.

    Args:
        images: in 0..1.
        kernels: (K, C, C + 1, 3, 3); the last input channel is 1 everywhere. Beyond the border, the border's pixels
            are taken.
    """
    count, each, channels, height, width = images.shape
    ones = torch.ones((count, each, 1, height, width), dtype=images.dtype, device=images.device)
    rows = torch.cat([images, ones], 2).transpose(0, 1).reshape(each, count * (channels + 1), height, width)
    mixed = functional.conv2d(functional.pad(rows, (1, 1, 1, 1), mode="replicate"), kernels.flatten(0, 1), groups=count)
    return mixed.view(each, count, channels, height, width).transpose(0, 1).clamp(0, 1)


def identity(channels: int) -> Tensor:
    """Return the kernel (C, C + 1, 3, 3) that changes nothing."""
    kernel = torch.zeros(channels, channels + 1, 3, 3)
    kernel[range(channels), range(channels), 1, 1] = 1.0
    return kernel
