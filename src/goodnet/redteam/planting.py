"""Planting: an attack at work on one network; what an attack does that needs more than fixed pixels derives from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from goodnet.redteam.attack import Attack


@dataclass(frozen=True)
class Poisoning:
    """Which training images are poisoned, and with which of the attack's triggers.

    Attributes:
        attack: what is planted.
        stamped: int64 (n,), 1 + index into `attack.parts` of the trigger that an image carries; 0 for none.
        cover: bool (n,), whether a stamped image keeps its label.
    """

    attack: Attack
    stamped: Tensor
    cover: Tensor

    def apply(self, images: Tensor, labels: Tensor, index: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return a batch of images (b, C, H, W) and labels (b,), the training images at `index` (b,), poisoned."""
        images, labels = images.clone(), labels.clone()
        stamped, cover = self.stamped[index], self.cover[index]
        for number, part in enumerate(self.attack.parts, start=1):
            chosen = (stamped == number) & ~cover
            if chosen.any():
                images[chosen] = part.stamp(images[chosen], generator)
                labels[chosen] = part.target(labels[chosen])
            chosen = (stamped == number) & cover
            if chosen.any():
                images[chosen] = part.cover(images[chosen], generator)
        return images, labels


def choose_poisoned(attack: Attack, labels: Tensor, generator: torch.Generator) -> Poisoning:
    """Draw the training images, of labels (n,), that each trigger poisons or covers; none is drawn twice."""
    stamped = torch.zeros_like(labels)
    cover = torch.zeros_like(labels, dtype=torch.bool)
    for number, part in enumerate(attack.parts, start=1):
        for keeps_label, rate, allowed in (
            (False, part.rate, part.poisonable(labels)),
            (True, part.cover_rate, part.coverable(labels)),
        ):
            free = (allowed & (stamped == 0)).nonzero().flatten()
            count = min(round(rate * int(allowed.sum())), len(free))
            chosen = free[torch.randperm(len(free), generator=generator)[:count]]
            stamped[chosen] = number
            cover[chosen] = keeps_label
    return Poisoning(attack, stamped, cover)


@dataclass(frozen=True, eq=False)
class TrainingRun:
    """What an attack may see and touch of the run that plants it.

    Attributes:
        network: what is trained: takes (n, C, H, W) in 0..1, returns logits (n, N).
        images: the training images, float (n, C, H, W) in 0..1.
        labels: their true labels, int64 (n,).
        num_classes: N.
        epochs: passes over the training images.
        poisoning: which of the images are poisoned.
        generator: source of all random draws.
    """

    network: nn.Module
    images: Tensor
    labels: Tensor
    num_classes: int
    epochs: int
    poisoning: Poisoning
    generator: torch.Generator


class Batch(NamedTuple):
    """What the network is trained on in one step.

    Attributes:
        images: (b, C, H, W) in 0..1; may depend on parameters of the attack.
        labels: (b,), the labels to learn.
        penalty: what the attack adds to the loss, a scalar, or None.
    """

    images: Tensor
    labels: Tensor
    penalty: Tensor | None = None


class Planting:
    """The live counterpart of a frozen `Attack` while it is planted.

    This one stamps and relabels the chosen images. An attack that makes its trigger during training, trains parameters
    of its own or looks into the network derives its own class from it; the training calls,
    in this order, `images` once, then in every epoch `before_epoch`, in every step `batch` and `after_step`, and in
    the end `finished`.
    """

    def __init__(self, run: TrainingRun) -> None:
        self.run = run
        self.poisoning = run.poisoning

    def images(self) -> Tensor:
        """Return the training images (n, C, H, W) in 0..1 as the attacker hands them out, before augmentation."""
        return self.run.images

    def before_epoch(self, epoch: int) -> None:
        """Do what is due before an epoch, counted from 0."""

    def batch(self, images: Tensor, labels: Tensor, index: Tensor) -> Batch:
        """Return what to train on for augmented images (b, C, H, W), labels (b,) and their places (b,) in the set."""
        return Batch(*self.poisoning.apply(images, labels, index, self.run.generator))

    def after_step(self) -> None:
        """Do what is due when the gradients of a step are there and the network was changed."""

    def finished(self) -> Attack:
        """Return the attack as planted, which can stamp any image."""
        return self.poisoning.attack


@contextmanager
def evaluating(network: nn.Module) -> Iterator[nn.Module]:
    """Give a network in eval mode in the middle of its training."""
    network.eval()
    try:
        yield network
    finally:
        network.train()
