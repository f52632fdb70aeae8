"""Coarse patches: mask and pattern on a grid of few cells, for large triggers such as sunglasses and stickers (Chen et
al., 2017; Wenger et al., CVPR 2021).

In a patch of single pixels a large trigger counts all its pixels, and the search finds something smaller that does as
well, for every label. A coarse one cannot draw what networks take for a class by nature, which is fine and intricate,
but it can draw what someone could wear.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger
from goodnet.triggers.patch import Patch


@dataclass(frozen=True)
class Coarse:
    """A patch whose mask (1, H, W) and pattern (C, H, W) are even within each cell of a grid.

    Attributes:
        height: H of the images, in pixels.
        width: W.
        cells: rows and columns of the grid.
        patch: what it is in pixels.
    """

    height: int
    width: int
    cells: int = 8
    patch: Patch = field(default_factory=lambda: Patch(name="coarse"))

    @property
    def name(self) -> str:
        """The name of the family."""
        return self.patch.name

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rates of mask and pattern, relative to that of the search."""
        return self.patch.paces

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return an almost even mask and a random pattern, (K, 1 or C, cells, cells), for each of K generators."""
        return self.patch.start(generators, (shape[0], self.cells, self.cells))

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with mask and pattern k on row k; differentiable in the parameters only."""
        return self.patch.stamp(self._in_pixels(parameters), images)

    def size(self, parameters: Parameters) -> Tensor:
        """Return the L1 norm of each mask in pixels, (K,)."""
        return self.patch.size(self._in_pixels(parameters))

    def weight(self, shape: Shape) -> float:
        """Return what one pixel of mask counts in the search."""
        return self.patch.weight(shape)

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return the same triggers with amount (K,) added to the logits of their masks."""
        return self.patch.strengthen(parameters, amount)

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return K triggers with mask and pattern on the CPU, in pixels."""
        return self.patch.triggers(self._in_pixels(parameters), labels)

    def _in_pixels(self, parameters: Parameters) -> dict[str, Tensor]:
        size = (self.height, self.width)
        return {name: functional.interpolate(value, size, mode="nearest") for name, value in parameters.items()}
