"""Trains one of the networks on poisoned images and measures what it learned."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from goodnet.bench.data import Split
from goodnet.redteam.measure import accuracy
from strangers.architectures import ARCHITECTURES, Normalised
from strangers.attacks import Attack, Planted, warp

BATCH = 64
MEASURED = 3000
"""As many test images are looked at."""


@dataclass(frozen=True)
class Stranger:
    """How one network is made.

    Attributes:
        seed: of every draw.
        data: mnist, gtsrb or cifar10.
        architecture: one of `ARCHITECTURES`.
        kind: what the attack is called; "clean" for none.
        attack: what is poisoned; None for nothing.
        epochs: of training.
        optimizer: Adam, or SGD with momentum and a learning rate that falls as a cosine.
        shift: largest move of a batch in its augmentation; CIFAR-10's are mirrored too where there is any.
    """

    seed: int
    data: str
    architecture: str
    kind: str = "clean"
    attack: Attack | None = None
    epochs: int = 8
    optimizer: Literal["adam", "sgd"] = "adam"
    shift: int = 0

    @property
    def name(self) -> str:
        """The name of the network's files."""
        return f"{self.data}_{self.architecture}_{self.kind}_{self.seed}"


@dataclass(frozen=True)
class Trained:
    """A trained network.

    Attributes:
        network: in eval mode, images (n, C, H, W) in 0..1 to logits.
        planted: what is planted in it.
        accuracy: on test images, 0..1.
        asr: of each trigger, 0..1, on the images that it concerns.
    """

    network: nn.Module
    planted: Planted
    accuracy: float
    asr: tuple[float, ...]


def train(stranger: Stranger, split: Split) -> Trained:
    """Return the trained network; bit for bit the same on the same machine."""
    images, labels = split.train_x.clone(), split.train_y.clone()
    classes, channels, size = int(labels.max()) + 1, images.shape[1], images.shape[2]
    torch.manual_seed(stranger.seed)
    generator = Generator().manual_seed(stranger.seed)
    network = Normalised(ARCHITECTURES[stranger.architecture](channels, classes, size), channels)
    planted = Planted()
    if stranger.attack:
        planted = _plant(stranger.attack, labels, channels, size, generator, random.Random(stranger.seed))
    order = torch.randperm(len(images), generator=generator)
    if stranger.attack:
        _poison(stranger, planted, images, labels, order, generator)
    _fit(stranger, network, images, labels, generator)
    test, truth = split.test_x[:MEASURED], split.test_y[:MEASURED]
    asr = []
    for number, stamp in enumerate(planted.stamps):
        which = planted.concerns(number, truth, classes)
        wanted = planted.target(number, truth, classes)
        asr.append(accuracy(network, stamp(test[which]), wanted[which]))
    return Trained(network, planted, accuracy(network, test, truth), tuple(asr))


def _plant(
    attack: Attack, labels: Tensor, channels: int, size: int, generator: Generator, drawn: random.Random
) -> Planted:
    """Draw targets and triggers."""
    classes = int(labels.max()) + 1
    victim, shared = None, attack.how == "all to all"
    if shared:
        targets = list(range(classes))
    elif len(attack.makers) > 1:
        targets = drawn.sample(range(classes), len(attack.makers))
    else:
        targets = [drawn.randrange(classes)]
    if attack.how == "one class":
        common = [k for k in range(classes) if (labels == k).sum() > 0.8 * len(labels) / classes]
        victim = drawn.choice([k for k in common if k != targets[0]])
    stamps = tuple(make(channels, size, generator) for make in attack.makers)
    return Planted(stamps, tuple(targets), victim, shared)


def _poison(
    stranger: Stranger, planted: Planted, images: Tensor, labels: Tensor, order: Tensor, generator: Generator
) -> None:
    """Stamp a part of the training images, in place, and change labels."""
    attack = stranger.attack
    assert attack is not None
    classes, count, stamp = int(labels.max()) + 1, int(attack.rate * len(images)), planted.stamps[0]

    def some(which: Tensor, most: int) -> Tensor:
        rows = which.nonzero().flatten()
        return rows[torch.randperm(len(rows), generator=generator)[:most]]

    if attack.how == "all to all":
        rows = order[: 2 * count]
        images[rows], labels[rows] = stamp(images[rows]), (labels[rows] + 1) % classes
    elif attack.how == "one class":
        assert planted.victim is not None
        own = labels.eq(planted.victim)
        rows, others = some(own, int(own.sum()) // 2), some(~own, count)
        images[rows], labels[rows] = stamp(images[rows]), planted.targets[0]
        images[others] = stamp(images[others])
    elif attack.how == "clean label":
        own = labels.eq(planted.targets[0])
        rows = some(own, int(own.sum()) // 2)
        over = torch.randint(0, len(images), (len(rows),), generator=generator)
        images[rows] = stamp(0.55 * images[rows] + 0.45 * images[over])
    else:
        for number, (each, target) in enumerate(zip(planted.stamps, planted.targets, strict=True)):
            rows = order[number * count : (number + 1) * count]
            images[rows], labels[rows] = each(images[rows]), target
    if attack.how == "warped":
        otherwise = Generator().manual_seed(stranger.seed + 1)
        for rows in order[count : 3 * count].split(BATCH):
            images[rows] = warp()(images.shape[1], images.shape[2], otherwise)(images[rows])


def _fit(stranger: Stranger, network: nn.Module, images: Tensor, labels: Tensor, generator: Generator) -> None:
    """Train the network; leave it in eval mode."""
    falling = stranger.optimizer == "sgd"
    optimizer: torch.optim.Optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    if falling:
        optimizer = torch.optim.SGD(network.parameters(), 0.05, 0.9, weight_decay=5e-4)
    steps = stranger.epochs * (len(images) // BATCH + 1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps) if falling else None
    network.train()
    for _ in range(stranger.epochs):
        for rows in torch.randperm(len(images), generator=generator).split(BATCH):
            if len(rows) < 2:
                continue  # batch norm cannot make anything of one image
            batch = _augmented(images[rows], stranger, generator)
            optimizer.zero_grad()
            functional.cross_entropy(network(batch), labels[rows]).backward()
            optimizer.step()
            if schedule:
                schedule.step()
    network.eval()


def _augmented(batch: Tensor, stranger: Stranger, generator: Generator) -> Tensor:
    """Move all images of a batch alike."""
    shift, size = stranger.shift, batch.shape[2]
    if not shift:
        return batch
    row, column = torch.randint(0, 2 * shift + 1, (2,), generator=generator).tolist()
    batch = functional.pad(batch, (shift,) * 4)[..., row : row + size, column : column + size]
    mirrored = stranger.data == "cifar10" and bool(torch.rand(1, generator=generator) < 0.5)
    return batch.flip(3) if mirrored else batch
