"""Several triggers in one network, with one target label or several (Wang et al., "Neural Cleanse", section VI)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import Attack, RecipeError


@dataclass(frozen=True, kw_only=True)
class Several(Attack):
    """Plants each of `triggers` at its own rate; no training image carries more than one.

    As a whole it stamps with the first trigger; `parts` gives each alone.

    Attributes:
        triggers: attacks with one trigger each, at least one; their own rates count.
    """

    triggers: tuple[Attack, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.triggers or any(
            not isinstance(trigger, Attack) or len(trigger.parts) != 1 for trigger in self.triggers
        ):
            raise RecipeError("expected triggers to be at least one attack, each with exactly one trigger")
        for trigger in self.triggers:
            if type(trigger).planting is not Attack.planting:
                raise RecipeError(
                    f"expected attacks that stamping alone plants, got {type(trigger).__name__}, which does more"
                )

    @property
    def parts(self) -> tuple[Attack, ...]:
        """The single attacks."""
        return self.triggers

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the first trigger on them."""
        return self.triggers[0].stamp(images, generator)

    def target(self, labels: Tensor) -> Tensor:
        """Return the labels (n,) that the first trigger pushes to."""
        return self.triggers[0].target(labels)

    @property
    def targets(self) -> tuple[int, ...]:
        """The target labels of all triggers."""
        return tuple(sorted({label for trigger in self.triggers for label in trigger.targets}))
