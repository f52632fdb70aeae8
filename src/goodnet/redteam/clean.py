"""No attack: the clean twins that a detector must not accuse."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import Attack


@dataclass(frozen=True, kw_only=True)
class Clean(Attack):
    """Plants nothing: no image is stamped and every label stays."""

    rate: float = 0.0

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return the images (n, C, H, W) as they are."""
        return images

    def target(self, labels: Tensor) -> Tensor:
        """Return the labels (n,) as they are."""
        return labels

    @property
    def targets(self) -> tuple[int, ...]:
        """No label is a target."""
        return ()

    @property
    def parts(self) -> tuple[Attack, ...]:
        """There is no trigger."""
        return ()
