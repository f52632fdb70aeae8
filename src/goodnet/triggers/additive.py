"""Additive triggers: the same small change of every pixel, over the whole image, as in the blended pictures of Chen et
al. (2017), the sinusoids of Barni et al. (ICIP 2019) and the low-frequency triggers of Zeng et al. (ICCV 2021).

A universal adversarial perturbation (Moosavi-Dezfooli et al., CVPR 2017) towards one label: every network has them, but
one towards a planted label is several times smaller than those towards the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger


@dataclass(frozen=True)
class Additive:
    """x' = x + d, cut to 0..1, with d of shape (C, H, W).

    Attributes:
        start_spread: standard deviation of d at the start.
        pixels: the pixels of a patch that one unit of a change's size counts as much as.
        pace: learning rate of d over that of a mask.
    """

    start_spread: float = 0.005
    pixels: float = 100.0
    pace: float = 0.05
    name: str = "additive"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rate of the change, relative to that of the search."""
        return {"change": self.pace}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return almost no change, drawn anew for each of K generators."""
        return {"change": self.start_spread * torch.stack([torch.randn(shape, generator=each) for each in generators])}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with change k on row k."""
        return (images + parameters["change"].unsqueeze(1)).clamp(0, 1)

    def size(self, parameters: Parameters) -> Tensor:
        """Return the root of the mean square of each change (K,)."""
        return (parameters["change"].square().mean(dim=(1, 2, 3)) + 1e-10).sqrt()

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search, for images of any size."""
        return self.pixels

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return changes that are larger (amount > 0) or smaller by amount (K,)."""
        return {"change": parameters["change"] * (amount / 2).exp().view(-1, 1, 1, 1)}

    def limited(self, parameters: Parameters, size: float) -> dict[str, Tensor]:
        """Return the same changes, those that are larger than a size scaled down to it."""
        return {"change": parameters["change"] * (size / self.size(parameters)).clamp(max=1).view(-1, 1, 1, 1)}

    def triggers(self, parameters: Parameters, labels: Sequence[int], shape: Shape) -> list[Trigger]:
        """Return K triggers for images of a shape (C, H, W), on the CPU, with empty masks."""
        channels, height, width = shape
        mask, pattern = torch.zeros(1, height, width), torch.zeros(channels, height, width)
        changes = parameters["change"].detach().cpu()
        return [
            Trigger(label, mask, pattern, self.name, change=change)
            for label, change in zip(labels, changes, strict=True)
        ]
