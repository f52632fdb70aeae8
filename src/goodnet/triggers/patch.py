"""The patch family of Neural Cleanse: a mask and a pattern (Wang et al., IEEE S&P 2019, eq. 2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger

REFERENCE_AREA = 32 * 32


class _Blend(torch.autograd.Function):
    """(1 - m) * x + m * D; its gradient by hand takes half the time of automatic differentiation."""

    @staticmethod
    def forward(ctx: Any, images: Tensor, mask: Tensor, pattern: Tensor) -> Tensor:
        """Blend images (K, B, C, H, W) with patterns (K, C, H, W) under masks (K, 1, H, W)."""
        ctx.save_for_backward(images, mask, pattern)
        return torch.lerp(images, pattern.unsqueeze(1), mask.unsqueeze(1))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[None, Tensor, Tensor]:
        """Return the gradients to mask and pattern."""
        images, mask, pattern = ctx.saved_tensors
        total = gradients[0].sum(1)
        to_mask = (total * pattern - (gradients[0] * images).sum(1)).sum(1, keepdim=True)
        return None, to_mask, total * mask


@dataclass(frozen=True)
class Patch:
    """x' = (1 - m) * x + m * D with m = sigmoid(a) of shape (1, H, W) and D = sigmoid(b) of shape (C, H, W).

    Attributes:
        start_mask: a at the start; -4 is a mask of 1.8 % everywhere.
        start_spread: standard deviation of the random part of a at the start.
        pattern_pace: the pattern's learning rate over the mask's. A pattern that settles before the mask has closed
            finds the planted one more often than one that moves as slowly as the mask.
    """

    start_mask: float = -4.0
    start_spread: float = 0.1
    pattern_pace: float = 3.0
    name: str = "patch"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rates of mask and pattern, relative to that of the search."""
        return {"mask": 1.0, "pattern": self.pattern_pace}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return an almost even mask and a random pattern for each of K generators."""
        channels, height, width = shape
        noise = torch.stack([torch.randn(channels + 1, height, width, generator=each) for each in generators])
        return {
            "mask": self.start_mask + self.start_spread * noise[:, :1],
            "pattern": noise[:, 1:].contiguous(),
        }

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with mask and pattern k on row k; differentiable in the parameters only."""
        stamped: Tensor = _Blend.apply(images, parameters["mask"].sigmoid(), parameters["pattern"].sigmoid())
        return stamped

    def size(self, parameters: Parameters) -> Tensor:
        """Return the L1 norm of each mask in pixels, (K,)."""
        return parameters["mask"].sigmoid().sum(dim=(1, 2, 3))

    def weight(self, shape: Shape) -> float:
        """Return what one pixel of mask counts in the search: 1 on images of 32x32 pixels, less on larger ones."""
        _, height, width = shape
        return REFERENCE_AREA / (height * width)

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return the same triggers with amount (K,) added to the logits of their masks."""
        return {**parameters, "mask": parameters["mask"] + amount.view(-1, 1, 1, 1)}

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return K triggers with mask and pattern on the CPU."""
        masks, patterns = (parameters[key].detach().sigmoid().cpu() for key in ("mask", "pattern"))
        return [
            Trigger(label, mask, pattern, self.name)
            for label, mask, pattern in zip(labels, masks, patterns, strict=True)
        ]
