"""The trojaning attack: a trigger made for a network that is there already (Liu et al., NDSS 2018)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from goodnet.redteam.attack import MadeInTraining, RecipeError
from goodnet.redteam.finished import finish
from goodnet.redteam.patch import Patch, Place, paste
from goodnet.redteam.planting import Batch, Planting, TrainingRun, evaluating

IMAGES = 32


@dataclass(frozen=True, kw_only=True)
class TrojanNN(MadeInTraining):
    """Searches pixels that excite a neuron tied to the target, then retrains the network on stamped and clean images.

    The first epochs train the clean network that an attacker would have downloaded. In it, the neuron before the
    classifying layer is chosen whose weight to the target label exceeds its mean weight most.

    Attributes:
        size: side in pixels of the square that the trigger fills.
        place: a corner, or "random" for a place drawn anew for every image.
        margin: pixels between the square and the image's edge.
        clean_share: share of the epochs before the trigger is made, 0..1.
        steps: Adam steps to search the pixels.
        learning_rate: of Adam on the logits of the pixels.
    """

    size: int = 5
    place: Place = "bottom-right"
    margin: int = 1
    clean_share: float = 0.5
    steps: int = 60
    learning_rate: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.clean_share < 1 or self.steps < 1:
            raise RecipeError(
                f"expected clean_share between 0 and 1 and steps >= 1, got {self.clean_share} and {self.steps}"
            )
        self.square()

    def square(self) -> Patch:
        """Return the patch whose place the trigger takes."""
        return Patch(target_label=self.target_label, size=self.size, place=self.place, margin=self.margin)

    def planting(self, run: TrainingRun) -> Planting:
        """Return this attack at work in one training run."""
        return TrojanPlanting(self, run)


class TrojanPlanting(Planting):
    """Trains clean, makes the trigger once, then poisons with it."""

    def __init__(self, attack: TrojanNN, run: TrainingRun) -> None:
        super().__init__(run)
        self.attack = attack
        self.due = max(1, round(attack.clean_share * run.epochs))
        self.made = False
        if self.due >= run.epochs:
            raise RecipeError(
                f"expected epochs left to retrain in after {self.due} clean ones, got {run.epochs} in all; "
                "train longer or lower clean_share"
            )

    def before_epoch(self, epoch: int) -> None:
        """Make the trigger when the clean epochs are over."""
        if epoch == self.due:
            square = self.attack.square()
            with evaluating(self.run.network) as network:
                pixels = self._search(network, square)
            attack = finish(self.attack, lambda images, random: paste(images, pixels, *square.places(images, random)))
            self.poisoning = dataclasses.replace(self.poisoning, attack=attack)
            self.made = True

    def batch(self, images: Tensor, labels: Tensor, index: Tensor) -> Batch:
        """Return the batch as it is before the trigger is made, and poisoned after that."""
        return super().batch(images, labels, index) if self.made else Batch(images, labels)

    def _search(self, network: nn.Module, square: Patch) -> Tensor:
        """Return the pixels (C, size, size) in 0..1 that excite the chosen neuron most."""
        attack, run = self.attack, self.run
        classify = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        ties = classify.weight.detach()
        neuron = int((ties[attack.target_label] - ties.mean(0)).argmax())
        fired: list[Tensor] = []
        hook = classify.register_forward_pre_hook(lambda _, inputs: fired.append(inputs[0][:, neuron]))
        raw = torch.randn((run.images.shape[1], attack.size, attack.size), generator=run.generator).requires_grad_()
        optimizer = torch.optim.Adam([raw], attack.learning_rate)
        for _ in range(attack.steps):
            images = run.images[torch.randint(len(run.images), (IMAGES,), generator=run.generator)]
            network(paste(images, raw.sigmoid(), *square.places(images, run.generator)))
            (raw.grad,) = torch.autograd.grad(-fired.pop().mean(), [raw])
            optimizer.step()
        hook.remove()
        return raw.detach().sigmoid()
