"""An attack whose trigger was made while it was planted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import Attack

Stamp = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True, kw_only=True, eq=False)
class Finished(Attack):
    """An attack of a recipe together with the trigger that one training run gave it.

    It is not for recipes: the recipe that holds `configured` makes it again, bit for bit.

    Attributes:
        configured: the attack as the recipe has it.
        make: puts the trigger on images (n, C, H, W) in 0..1.
    """

    configured: Attack
    make: Stamp

    @torch.no_grad()
    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the trigger on them."""
        return self.make(images, generator)

    def target(self, labels: Tensor) -> Tensor:
        """Return the label (n,) that each stamped image of true label (n,) is pushed to."""
        return self.configured.target(labels)

    def victims(self, labels: Tensor) -> Tensor:
        """Return bool (n,): the labels that the trigger is meant to work on."""
        return self.configured.victims(labels)

    @property
    def targets(self) -> tuple[int, ...]:
        """The target labels."""
        return self.configured.targets


def finish(configured: Attack, make: Stamp) -> Finished:
    """Return a configured attack with the trigger that `make` puts on images (n, C, H, W) in 0..1."""
    return Finished(configured=configured, make=make, rate=configured.rate, cover_rate=configured.cover_rate)
