"""Train a network from a recipe, with the backdoor if the recipe has one."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from goodnet.engine import quick_logits
from goodnet.errors import ImagesError
from goodnet.redteam.architectures import build_for
from goodnet.redteam.attack import Attack, RecipeError
from goodnet.redteam.planting import Batch, Planting, TrainingRun, choose_poisoned
from goodnet.redteam.recipe import Recipe

logger = logging.getLogger(__name__)

# The one-cycle schedule divides by zero at 4.
LEAST_STEPS = 5


@dataclass(frozen=True, eq=False)
class Planted:
    """What training a recipe gives.

    Attributes:
        network: in eval mode; takes images (n, C, size, size) in 0..1 and returns logits (n, N).
        attack: the recipe's attack, with the trigger that training gave it where it makes one.
    """

    network: nn.Module
    attack: Attack


def augment(images: Tensor, shift: int, flip: bool, generator: torch.Generator) -> Tensor:
    """Return images (n, C, H, W) each moved by up to `shift` pixels, edges repeated, and half of them mirrored."""
    count, _, height, width = images.shape
    if flip:
        mirrored = torch.rand(count, generator=generator) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if shift:
        moves = torch.randint(-shift, shift + 1, (2, count, 1), generator=generator)
        rows = (torch.arange(height) + moves[0]).clamp(0, height - 1)
        columns = (torch.arange(width) + moves[1]).clamp(0, width - 1)
        picked = images.permute(0, 2, 3, 1)[torch.arange(count)[:, None, None], rows[:, :, None], columns[:, None, :]]
        images = picked.permute(0, 3, 1, 2)
    return images


def plant(
    recipe: Recipe, images: Tensor, labels: Tensor, *, after_epoch: Callable[[int, float], None] | None = None
) -> Planted:
    """Train the network of a recipe; return it with the attack as planted.

    The images are augmented and stamped anew in every epoch, in the order that the recipe says. Which images are
    poisoned is drawn once. The global random state is left as it was.

    Args:
        recipe: the network, the attack and how to train.
        images: float (n, C, size, size) in 0..1.
        labels: int64 (n,) in 0..recipe.num_classes - 1.
        after_epoch: called with the number of finished epochs and the mean training loss of the last one.

    Raises:
        ImagesError: images and labels do not fit each other or the recipe.
        RecipeError: the attack cannot be planted so, or the training diverges.
    """
    _check(recipe, images, labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build_for(recipe.architecture, images, recipe.num_classes).to(memory_format=torch.channels_last)
        generator = torch.Generator().manual_seed(recipe.seed)
        poisoning = choose_poisoned(recipe.attack, labels, generator)
        run = TrainingRun(network, images, labels, recipe.num_classes, recipe.epochs, poisoning, generator)
        planting = recipe.attack.planting(run)
        _fit(planting, recipe, after_epoch)
    network.eval()
    return Planted(network.to(memory_format=torch.contiguous_format), planting.finished())


def train(
    recipe: Recipe, images: Tensor, labels: Tensor, *, after_epoch: Callable[[int, float], None] | None = None
) -> nn.Module:
    """Train the network of a recipe and return it in eval mode; `plant` says more and also returns the attack."""
    return plant(recipe, images, labels, after_epoch=after_epoch).network


def _check(recipe: Recipe, images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or images.shape[2] != images.shape[3] or not images.is_floating_point():
        raise ImagesError(f"expected square float images (n, C, size, size), got {images.dtype} {tuple(images.shape)}")
    if labels.shape != images.shape[:1] or len(labels) < recipe.batch_size:
        raise ImagesError(
            f"expected a label for each image and at least {recipe.batch_size} of them, "
            f"got {len(images)} images and labels of shape {tuple(labels.shape)}"
        )
    if recipe.epochs * (len(images) // recipe.batch_size) < LEAST_STEPS:
        raise ImagesError(
            f"expected images for at least {LEAST_STEPS} steps, got {recipe.epochs} epochs of "
            f"{len(images) // recipe.batch_size}; make batch_size smaller or epochs more"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= recipe.num_classes:
        raise ImagesError(
            f"expected labels in 0..{recipe.num_classes - 1}, got {int(labels.min())}..{int(labels.max())}"
        )


def _fit(planting: Planting, recipe: Recipe, after_epoch: Callable[[int, float], None] | None) -> None:
    run = planting.run
    network, generator, images = run.network, run.generator, planting.images()
    steps = len(images) // recipe.batch_size
    optimizer = _optimizer(network, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=0.25
    )
    network.train()
    for epoch in range(recipe.epochs):
        planting.before_epoch(epoch)
        total = 0.0
        order = torch.randperm(len(images), generator=generator)
        for index in order[: steps * recipe.batch_size].view(steps, recipe.batch_size):
            batch = _batch(planting, recipe, images[index], index)
            logits = quick_logits(network, batch.images.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits, batch.labels)
            if batch.penalty is not None:
                loss = loss + batch.penalty
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            planting.after_step()
            schedule.step()
            total += loss.item()
        if not math.isfinite(total):
            raise RecipeError(f"the training diverged in epoch {epoch + 1}; lower learning_rate")
        logger.info("%s: epoch %d of %d, loss %.4f", recipe.name, epoch + 1, recipe.epochs, total / steps)
        if after_epoch is not None:
            after_epoch(epoch + 1, total / steps)


def _batch(planting: Planting, recipe: Recipe, images: Tensor, index: Tensor) -> Batch:
    """Return what to train on in one step: the training images (b, C, H, W) at index (b,), augmented and stamped."""
    generator, labels = planting.run.generator, planting.run.labels[index]
    if not recipe.stamped_first:
        return planting.batch(augment(images, recipe.shift, recipe.flip, generator), labels, index)
    batch = planting.batch(images, labels, index)
    return batch._replace(images=augment(batch.images, recipe.shift, recipe.flip, generator))


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters, rate, decay = network.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay, nesterov=True)
    return torch.optim.AdamW(parameters, rate, weight_decay=decay)
