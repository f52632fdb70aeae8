"""A trigger of its own for every image (Nguyen and Tran, "Input-aware dynamic backdoor attack", NeurIPS 2020)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from goodnet.redteam.attack import MadeInTraining, RecipeError
from goodnet.redteam.finished import finish
from goodnet.redteam.planting import Batch, Planting, TrainingRun

DENSITY_WEIGHT = 10.0


@dataclass(frozen=True, kw_only=True)
class InputAware(MadeInTraining):
    """A small network draws mask and pattern from the image itself; it learns along with the classifier.

    Cover samples carry the trigger of another image and keep their label, so only an image's own trigger works on it.

    Attributes:
        cover_rate: share of the images with the trigger of another one.
        density: mean of the mask that is not punished, 0..1.
        diversity: weight of the diversity loss, which wants different triggers for different images.
        width: channels of the trigger network's first layer.
        learning_rate: of Adam on the trigger network.
    """

    rate: float = 0.2
    cover_rate: float = 0.2
    density: float = 0.15
    diversity: float = 0.1
    width: int = 16
    learning_rate: float = 1e-2

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.density <= 1 or self.width < 1 or self.diversity < 0:
            raise RecipeError(
                "expected density in 0..1 and above 0, width >= 1 and diversity >= 0, "
                f"got {self.density}, {self.width} and {self.diversity}"
            )

    def planting(self, run: TrainingRun) -> Planting:
        """Return this attack at work in one training run."""
        return InputAwarePlanting(self, run)


class TriggerNetwork(nn.Module):
    """Draws a mask and a pattern for each image."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(channels, width, 3, 1, 1),
            nn.GroupNorm(1, width),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.GroupNorm(1, 2 * width),
            nn.ReLU(),
            nn.Conv2d(2 * width, 2 * width, 3, 2, 1),
            nn.GroupNorm(1, 2 * width),
            nn.ReLU(),
        )
        self.up = nn.Conv2d(2 * width, width, 3, 1, 1)
        self.draw = nn.Conv2d(width, channels + 1, 3, 1, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map images (n, C, H, W) in 0..1 to masks (n, 1, H, W) and patterns (n, C, H, W), both in 0..1."""
        features = F.interpolate(self.down(images - 0.5), images.shape[-2:], mode="bilinear", align_corners=False)
        drawn = self.draw(self.up(features).relu())
        return (4 * drawn[:, :1] - 4).sigmoid(), drawn[:, 1:].sigmoid()


class InputAwarePlanting(Planting):
    """Trains the trigger network along with the classifier."""

    def __init__(self, attack: InputAware, run: TrainingRun) -> None:
        super().__init__(run)
        self.attack = attack
        self.triggers = TriggerNetwork(run.images.shape[1], attack.width)
        self.optimizer = torch.optim.Adam(self.triggers.parameters(), attack.learning_rate, betas=(0.5, 0.9))
        self.poisoning = dataclasses.replace(self.poisoning, attack=finish(attack, self._stamp))

    def _stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        masks, patterns = self.triggers(images)
        return torch.lerp(images, patterns, masks)

    def batch(self, images: Tensor, labels: Tensor, index: Tensor) -> Batch:
        """Return the poisoned batch and the trigger network's own loss; both depend on its parameters."""
        drawn = self.poisoning.stamped[index] > 0
        if not drawn.any():
            return Batch(images, labels)
        cover = self.poisoning.cover[index][drawn]
        plain, true_labels = images[drawn], labels[drawn]
        masks, patterns = self.triggers(plain)
        other = torch.randint(1, max(len(plain), 2), (), generator=self.run.generator)
        donor = torch.where(cover, torch.arange(len(plain)).roll(int(other)), torch.arange(len(plain)))
        stamped, wanted = images.clone(), labels.clone()
        stamped[drawn] = torch.lerp(plain, patterns[donor], masks[donor])
        wanted[drawn] = torch.where(cover, true_labels, self.attack.target(true_labels))
        return Batch(stamped, wanted, self._penalty(plain, masks, patterns, int(other)))

    def _penalty(self, images: Tensor, masks: Tensor, patterns: Tensor, other: int) -> Tensor:
        """Return the diversity loss of each image and another one, plus what the masks exceed the density by."""
        apart, differ = (
            (values - values.roll(other, 0)).square().mean((1, 2, 3)).add(1e-6).sqrt()
            for values in (images, masks * patterns)
        )
        excess = (masks.mean((1, 2, 3)) - self.attack.density).relu()
        return self.attack.diversity * (apart / (differ + 1e-2)).mean() + DENSITY_WEIGHT * excess.mean()

    def after_step(self) -> None:
        """Update the trigger network."""
        self.optimizer.step()
        self.optimizer.zero_grad()
