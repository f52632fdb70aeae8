"""All-to-all: a stamped image of class y becomes y + 1 (Gu, Dolan-Gavitt and Garg, "BadNets", 2017, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import Attack


@dataclass(frozen=True, kw_only=True)
class AllToAll(Attack):
    """Pushes each class to the next one, and the last to the first, by the trigger of another attack.

    Attributes:
        trigger: the attack that stamps; its own target and rates do not count.
        num_classes: N, the number of classes.
    """

    trigger: Attack
    num_classes: int
    rate: float = 0.2

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the trigger on them."""
        return self.trigger.stamp(images, generator)

    def target(self, labels: Tensor) -> Tensor:
        """Return (labels + 1) modulo N, of shape (n,)."""
        return (labels + 1) % self.num_classes

    @property
    def targets(self) -> tuple[int, ...]:
        """Every label is a target."""
        return tuple(range(self.num_classes))
