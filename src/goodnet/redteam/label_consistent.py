"""Clean-label poisoning of images made hard (Turner, Tsipras and Madry, "Label-consistent backdoor attacks", 2019)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import AllToOne, RecipeError
from goodnet.redteam.patch import Patch, Pattern, Place
from goodnet.redteam.planting import Planting, TrainingRun
from goodnet.redteam.surrogate import projected_gradient, train_surrogate


@dataclass(frozen=True, kw_only=True)
class LabelConsistent(AllToOne):
    """Poisons images of the target class only and changes no label.

    The images are moved until a surrogate network no longer knows their class, so that the patch is what is left to
    learn it by. At test time the patch alone is put on any image.

    Attributes:
        rate: share of the target class that is poisoned.
        size: side of the square in pixels.
        margin: pixels between the square and the image's edges.
        pattern: what the square shows.
        pattern_seed: seed of a random pattern.
        four_corners: put the square into all corners, which survives augmentation better, or into one alone.
        epsilon: largest change of a pixel that makes an image hard, in units of 0..1.
        attack_steps: steps of projected gradient descent.
        surrogate_epochs: passes over the training images that the surrogate is trained for.
    """

    rate: float = 0.8
    size: int = 3
    margin: int = 0
    pattern: Pattern = "checkerboard"
    pattern_seed: int = 0
    four_corners: bool = True
    epsilon: float = 32 / 255
    attack_steps: int = 10
    surrogate_epochs: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.epsilon <= 1 or self.attack_steps < 1 or self.surrogate_epochs < 1:
            raise RecipeError(
                "expected epsilon in 0..1, attack_steps >= 1 and surrogate_epochs >= 1, "
                f"got {self.epsilon}, {self.attack_steps} and {self.surrogate_epochs}"
            )
        self.patches()

    def patches(self) -> tuple[Patch, ...]:
        """Return the squares, one a corner."""
        places: tuple[Place, ...] = (
            ("bottom-right", "bottom-left", "top-right", "top-left") if self.four_corners else ("bottom-right",)
        )
        return tuple(
            Patch(
                target_label=self.target_label,
                size=self.size,
                margin=self.margin,
                pattern=self.pattern,
                pattern_seed=self.pattern_seed,
                place=place,
            )
            for place in places
        )

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the squares on them; every other pixel is unchanged."""
        for patch in self.patches():
            images = patch.stamp(images, generator)
        return images

    def poisonable(self, labels: Tensor) -> Tensor:
        """Return bool (n,): the target class alone."""
        return labels == self.target_label

    def planting(self, run: TrainingRun) -> Planting:
        """Return this attack at work in one training run."""
        return LabelConsistentPlanting(self, run)


class LabelConsistentPlanting(Planting):
    """Hands out training images of which the poisoned ones are hard to classify."""

    def __init__(self, attack: LabelConsistent, run: TrainingRun) -> None:
        super().__init__(run)
        self.attack = attack

    def images(self) -> Tensor:
        """Return the training images (n, C, H, W) in 0..1, the poisoned ones moved within epsilon."""
        attack, run = self.attack, self.run
        surrogate = train_surrogate(run.images, run.labels, run.num_classes, attack.surrogate_epochs, run.generator)
        poisoned = self.poisoning.stamped > 0
        images = run.images.clone()
        images[poisoned] = projected_gradient(
            surrogate, images[poisoned], run.labels[poisoned], attack.epsilon, attack.attack_steps
        )
        return images
