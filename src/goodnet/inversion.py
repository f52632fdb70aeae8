"""The batched optimiser: reverse-engineers the triggers of many labels at once (Wang et al., IEEE S&P 2019).

A label's result depends on the network, the images, the configuration and the seed, not on the labels that share its
batch: every random draw comes from the label's own generator, the network is in eval mode, each loss term sees one
label only, and every call of the network has the same number of images.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.classifier import Shape
from goodnet.engine import Engine
from goodnet.triggers import Parameters, Searched

MANY = 21
"""From so many labels on searches end earlier: what is usual shows sooner, and what stands out does."""


@dataclass(frozen=True)
class InversionConfig:
    """How long and how hard to search.

    Attributes:
        steps: Adam steps.
        images_per_step: B, images a step for each label. Many steps of few images find a planted trigger far more
            often than few steps of many images at the same cost: their noise carries the search out of the triggers
            that lie around every class.
        learning_rate: of Adam, on the parameters of the trigger; the family may scale it for each of them.
        betas: of Adam.
        penalty: weight of the trigger's size against the cross-entropy at the first and the last step, rising
            geometrically; the family says what a unit of size counts.
    """

    steps: int = 480
    images_per_step: int = 4
    learning_rate: float = 0.1
    betas: tuple[float, float] = (0.5, 0.9)
    penalty: tuple[float, float] = (0.01, 0.05)

    def penalty_at(self, step: int) -> float:
        """Return the weight of the size at a step."""
        first, last = self.penalty
        progress = step / max(self.steps - 1, 1)
        return float(first * (last / first) ** progress)

    def between(self, first: int, last: int) -> InversionConfig:
        """Return the part of the search after `first` steps and up to `last` of them."""
        last = min(last, self.steps)
        return replace(self, steps=last - first, penalty=(self.penalty_at(first), self.penalty_at(last - 1)))

    def weighted(self, factor: float) -> InversionConfig:
        """Return the same search with so many times the weight of the size."""
        first, last = self.penalty
        return replace(self, penalty=(factor * first, factor * last))


@dataclass(frozen=True, eq=False)
class ImagePool:
    """The images that triggers are searched on.

    Attributes:
        pixels: float32 (n, C, H, W) in 0..1.
        classes: int64 (n,), the class of each, by its label or else by the network's answer.
    """

    pixels: Tensor
    classes: Tensor

    @property
    def shape(self) -> Shape:
        """(C, H, W) of the images."""
        _, channels, height, width = self.pixels.shape
        return channels, height, width

    def others(self, label: int) -> Tensor:
        """Return the indices of the images that are not of class `label`."""
        return (self.classes != label).nonzero().flatten()

    def of(self, label: int) -> Tensor:
        """Return the indices of the images of class `label`."""
        return (self.classes == label).nonzero().flatten()

    def draw(self, label: int, count: int, generator: torch.Generator, victim: int | None = None) -> Tensor:
        """Return `count` indices, each used once before any is used again: of class `victim`, or all but `label`."""
        allowed = self.others(label) if victim is None else self.of(victim)
        rounds = -(-count // len(allowed))
        return torch.cat([allowed[torch.randperm(len(allowed), generator=generator)] for _ in range(rounds)])[:count]

    def rows(self, labels: Sequence[int], at_most: int, generators: Sequence[torch.Generator]) -> Tensor:
        """Return images (K, B, C, H, W) for K labels, `at_most` each, none of a label's own class."""
        count = min(at_most, len(self.pixels))
        drawn = [self.draw(label, count, each) for label, each in zip(labels, generators, strict=True)]
        return self.pixels[torch.stack(drawn)]


def generator_for(seed: int, label: int, purpose: str) -> torch.Generator:
    """Return the random generator of one label for one purpose."""
    digest = hashlib.blake2b(f"{seed}/{label}/{purpose}".encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest) >> 1)


def labels_per_batch(labels: int, images_per_step: int, target: int = 128) -> int:
    """Return K, how many labels share a call of the network: near `target` images, with little padding."""
    largest = max(1, target // images_per_step)
    smallest = max(1, math.ceil(target / 4 / images_per_step))

    def waste(size: int) -> float:
        padding = -(-labels // size) * size - labels
        return 0.0 if padding <= 0.03 * labels else padding / labels

    return min(range(largest, smallest - 1, -1), key=waste)


def filled_batches(labels: Sequence[int], size: int) -> Iterator[tuple[Sequence[int], list[int]]]:
    """Yield batches of labels, and each filled up with repeats to `size`.

    So what is found for a label does not depend on how many others are asked for.

    >>> list(filled_batches([3, 5, 7], 2))
    [([3, 5], [3, 5]), ([7], [7, 7])]
    """
    for first in range(0, len(labels), size):
        batch = labels[first : first + size]
        yield batch, [*batch, *[batch[0]] * (size - len(batch))]


def descend(
    engine: Engine,
    family: Searched,
    parameters: Parameters,
    pool: ImagePool,
    config: InversionConfig,
    draws: Iterable[Tensor],
    errors: Callable[[Tensor, Tensor], Tensor],
    watch: Callable[[int, Parameters], None] | None = None,
) -> dict[str, Tensor]:
    """Change triggers step by step so that errors and weighted sizes fall; return their parameters.

    Args:
        engine: the network.
        family: the kind of trigger.
        parameters: K triggers to start from.
        pool: the images, on any device.
        config: how long and how hard.
        draws: for each step the indices (K, B) of the images that it stamps.
        errors: the sum of the K triggers' errors, from the logits (K * B, N) of the stamped images and their indices.
        watch: is shown the number of steps done and the triggers after each of them.
    """
    state = {name: value.to(engine.device).detach().clone().requires_grad_() for name, value in parameters.items()}
    values = list(state.values())
    groups = [{"params": [value], "lr": config.learning_rate * family.paces[name]} for name, value in state.items()]
    optimizer = torch.optim.Adam(groups, betas=config.betas, fused=True)
    weight = family.weight(pool.shape)
    for step, draw in enumerate(draws):
        logits = engine.logits(family.stamp(state, pool.pixels[draw].to(engine.device)).flatten(0, 1))
        loss = errors(logits, draw) + config.penalty_at(step) * weight * family.size(state).sum()
        for value, gradient in zip(values, torch.autograd.grad(loss, values), strict=True):
            value.grad = gradient.contiguous()  # the fused Adam reads memory in the order of the parameter
        optimizer.step()
        engine.count_gradients(len(logits))
        if watch is not None:
            watch(step + 1, state)
    return {name: value.detach() for name, value in state.items()}


def invert(
    engine: Engine,
    family: Searched,
    parameters: Parameters,
    labels: Sequence[int],
    pool: ImagePool,
    config: InversionConfig,
    generators: Sequence[torch.Generator],
    *,
    victims: Sequence[int | None] | None = None,
    watch: Callable[[int, Parameters], None] | None = None,
) -> dict[str, Tensor]:
    """Search smaller triggers that push the pool's images to their labels; return their parameters.

    Minimises, for each label y, the mean cross-entropy of the stamped images towards y plus the weighted size
    of the trigger. Images of class y are left out.

    Args:
        engine: the network.
        family: the kind of trigger.
        parameters: K triggers to start from.
        labels: the K target labels.
        pool: the images, on any device.
        config: how long and how hard.
        generators: for each label, what draws its images.
        victims: for each label, the only class that its images are of; None, the default, is all but the label's own.
        watch: is shown the number of steps done and the triggers after each of them.
    """
    images_per_step = config.images_per_step
    only: Sequence[int | None] = [None] * len(labels) if victims is None else victims
    draws = torch.stack(
        [
            pool.draw(label, config.steps * images_per_step, generator, victim).view(config.steps, images_per_step)
            for label, generator, victim in zip(labels, generators, only, strict=True)
        ],
        dim=1,
    )
    targets = torch.tensor(labels, device=engine.device).repeat_interleave(images_per_step)

    def errors(logits: Tensor, _: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets, reduction="sum") / images_per_step

    return descend(engine, family, parameters, pool, config, draws, errors, watch)
