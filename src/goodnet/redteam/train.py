"""Train a network from a recipe, with the backdoor if the recipe has one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor, nn

from goodnet.engine import fast_bfloat16
from goodnet.errors import ImagesError
from goodnet.redteam.architectures import build
from goodnet.redteam.attack import Attack
from goodnet.redteam.recipe import Recipe

logger = logging.getLogger(__name__)


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


def train(
    recipe: Recipe, images: Tensor, labels: Tensor, *, after_epoch: Callable[[int, float], None] | None = None
) -> nn.Module:
    """Train the network of a recipe and return it in eval mode.

    The images are augmented first and stamped after that, anew in every epoch, so a trigger keeps its place. Which
    images are poisoned is drawn once. The global random state is left as it was.

    Args:
        recipe: the network, the attack and how to train.
        images: float (n, C, size, size) in 0..1.
        labels: int64 (n,) in 0..recipe.num_classes - 1.
        after_epoch: called with the number of finished epochs and the mean training loss of the last one.

    Raises:
        ImagesError: images and labels do not fit each other or the recipe.
    """
    _check(recipe, images, labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network = build(
            recipe.architecture,
            images.shape[1],
            recipe.num_classes,
            images.shape[2],
            images.mean(dim=(0, 2, 3)).tolist(),
            images.std(dim=(0, 2, 3)).clamp_min(1e-3).tolist(),
        ).to(memory_format=torch.channels_last)
        _fit(network, recipe, images, labels, after_epoch)
    network.eval()
    return network.to(memory_format=torch.contiguous_format)


def _check(recipe: Recipe, images: Tensor, labels: Tensor) -> None:
    if images.ndim != 4 or images.shape[2] != images.shape[3] or not images.is_floating_point():
        raise ImagesError(f"expected square float images (n, C, size, size), got {images.dtype} {tuple(images.shape)}")
    if labels.shape != images.shape[:1] or len(labels) < recipe.batch_size:
        raise ImagesError(
            f"expected a label for each image and at least {recipe.batch_size} of them, "
            f"got {len(images)} images and labels of shape {tuple(labels.shape)}"
        )
    if int(labels.min()) < 0 or int(labels.max()) >= recipe.num_classes:
        raise ImagesError(
            f"expected labels in 0..{recipe.num_classes - 1}, got {int(labels.min())}..{int(labels.max())}"
        )


def _fit(
    network: nn.Module,
    recipe: Recipe,
    images: Tensor,
    labels: Tensor,
    after_epoch: Callable[[int, float], None] | None,
) -> None:
    generator = torch.Generator().manual_seed(recipe.seed)
    poisoning = choose_poisoned(recipe.attack, labels, generator)
    steps = len(images) // recipe.batch_size
    optimizer = _optimizer(network, recipe)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=recipe.epochs * steps, pct_start=0.25
    )
    bfloat16 = fast_bfloat16(torch.device("cpu"))
    network.train()
    for epoch in range(recipe.epochs):
        total = 0.0
        order = torch.randperm(len(images), generator=generator)
        for index in order[: steps * recipe.batch_size].view(steps, recipe.batch_size):
            batch = augment(images[index], recipe.shift, recipe.flip, generator)
            batch, wanted = poisoning.apply(batch, labels[index], index, generator)
            with torch.amp.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                logits = network(batch.contiguous(memory_format=torch.channels_last))
            loss = F.cross_entropy(logits.float(), wanted)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            total += loss.item()
        logger.info("%s: epoch %d of %d, loss %.4f", recipe.name, epoch + 1, recipe.epochs, total / steps)
        if after_epoch is not None:
            after_epoch(epoch + 1, total / steps)


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters, rate, decay = network.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay, nesterov=True)
    return torch.optim.AdamW(parameters, rate, weight_decay=decay)
