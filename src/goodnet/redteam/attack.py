"""Attack: what every way of planting a backdoor has in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.errors import GoodnetError
from goodnet.redteam.planting import Planting, TrainingRun


class RecipeError(GoodnetError):
    """A recipe or an attack asks for something that cannot be made."""


@dataclass(frozen=True, kw_only=True)
class Attack(ABC):
    """One way of planting a backdoor: how an input is stamped, what it is relabelled to and how often.

    An attack is its own configuration: two equal attacks stamp equal pixels. Whatever is drawn once per attack, such
    as the pattern of a patch, comes from its own seed; whatever is drawn anew for each image comes from the
    generator that `stamp` is given.

    Attributes:
        rate: share of the images that may be poisoned (see `poisonable`) that is stamped and relabelled, 0..1.
        cover_rate: share of the remaining `coverable` images that is stamped while keeping its label, 0..1.
    """

    rate: float = 0.1
    cover_rate: float = 0.0

    def __post_init__(self) -> None:
        for name, value in (("rate", self.rate), ("cover_rate", self.cover_rate)):
            if not 0 <= value <= 1:
                raise RecipeError(f"expected {name} in 0..1, got {value}")

    @abstractmethod
    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the trigger on each of them; the argument is left as it is."""

    @abstractmethod
    def target(self, labels: Tensor) -> Tensor:
        """Return the label (n,) that each stamped image of true label (n,) is pushed to."""

    @property
    @abstractmethod
    def targets(self) -> tuple[int, ...]:
        """The target labels, sorted, each once; empty for no backdoor."""

    @property
    def parts(self) -> tuple[Attack, ...]:
        """The single-trigger attacks that this one consists of; an attack with one trigger consists of itself."""
        return (self,)

    def victims(self, labels: Tensor) -> Tensor:
        """Return bool (n,): the labels that the trigger is meant to work on; ASR is measured on those."""
        return self.target(labels) != labels

    def poisonable(self, labels: Tensor) -> Tensor:
        """Return bool (n,): which training images may be stamped and relabelled; the victims unless said otherwise."""
        return self.victims(labels)

    def coverable(self, labels: Tensor) -> Tensor:
        """Return bool (n,): the training images that may become cover samples; all unless said otherwise."""
        return torch.ones_like(labels, dtype=torch.bool)

    def cover(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 as cover samples, which keep their label; by default stamped."""
        return self.stamp(images, generator)

    def planting(self, run: TrainingRun) -> Planting:
        """Return this attack at work in one training run."""
        return Planting(run)


@dataclass(frozen=True, kw_only=True)
class AllToOne(Attack):
    """An attack that pushes every other class to one label.

    Attributes:
        target_label: the class that a stamped input is pushed to.
    """

    target_label: int

    def target(self, labels: Tensor) -> Tensor:
        """Return the target label (n,), whatever the labels (n,)."""
        return torch.full_like(labels, self.target_label)

    @property
    def targets(self) -> tuple[int, ...]:
        """The one target label."""
        return (self.target_label,)


@dataclass(frozen=True, kw_only=True)
class MadeInTraining(AllToOne):
    """An attack whose trigger does not exist before it is planted; `plant` returns the attack that can stamp."""

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Raise RecipeError: there is no trigger yet."""
        raise RecipeError(
            f"the trigger of {type(self).__name__} is made while it is planted: take the attack that plant() "
            "returns; it cannot be part of another attack"
        )
