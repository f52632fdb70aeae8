"""Drawing: small networks that make pictures of pictures."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

SIDE = 8
"""Images are made this small before a network sees them, and what it draws is as coarse."""


def drawn(images: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """Return what network k draws for each image of row k, (K, B, D, H, W); differentiable in the networks.

    Args:
        images: (K, B, C, H, W) in 0..1.
        inner: weights of the first convolutions (K, F, C, 3, 3).
        outer: weights of the second ones (K, D, F, 3, 3).
    """
    count, each, channels, height, width = images.shape
    small = functional.adaptive_avg_pool2d(images.flatten(0, 1), SIDE) - 0.5
    rows = small.view(count, each, channels, SIDE, SIDE).transpose(0, 1).reshape(each, count * channels, SIDE, SIDE)
    features = functional.conv2d(rows, inner.flatten(0, 1), padding=1, groups=count).relu()
    coarse = functional.conv2d(features, outer.flatten(0, 1), padding=1, groups=count)
    fine = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=False)
    return fine.view(each, count, -1, height, width).transpose(0, 1)


def shifted(share: Tensor, by: Tensor) -> Tensor:
    """Return numbers in 0..1 with `by` added to their logits."""
    return (share.logit(eps=1e-6) + by).sigmoid()
