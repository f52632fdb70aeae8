"""The search for warps: smooth flow fields that send images to a label (WaNet, Nguyen and Tran, ICLR 2021).

Warps as slight as an attacker's do little to a clean network, so labels are compared by how many images a warp of one
and the same size sends to each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert, labels_per_batch
from goodnet.progress import Progress
from goodnet.triggers import Trigger, Warp


@dataclass(frozen=True)
class WarpConfig:
    """How warps are searched.

    Attributes:
        inversion: the search of one label.
        size: mean length of the flow at which labels are compared, in 1/32 of the image's side.
        held_out: images, at most, that a label is measured on.
        family: the kind of trigger.
    """

    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=60, penalty=(0.005, 0.05)))
    size: float = 1.25
    held_out: int = 32
    family: Warp = field(default_factory=Warp)


@dataclass(frozen=True, eq=False)
class FoundWarp:
    """What was found for one label.

    Attributes:
        rate: share of clean images of other classes that the warp sends to the label, 0..1.
        trigger: the warp.
    """

    rate: float
    trigger: Trigger


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    labels: Sequence[int],
    seed: int,
    progress: Progress,
    config: WarpConfig | None = None,
) -> dict[int, FoundWarp]:
    """Return the warp found for each label.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        labels: the target labels.
        seed: of every draw.
        progress: is told after each batch of labels.
        config: how to search.
    """
    config = config or WarpConfig()
    found: dict[int, FoundWarp] = {}
    size = labels_per_batch(engine.classifier.classes, config.inversion.images_per_step)
    for first in range(0, len(labels), size):
        batch = labels[first : first + size]
        # Filled up with repeats, so that a label's warp does not depend on how many others are asked for.
        full = [*batch, *[batch[0]] * (size - len(batch))]
        for label, each in zip(batch, _search(engine, pool, held_out, full, seed, config), strict=False):
            found[label] = each
        progress.update("warps", len(found), len(labels), engine.cost)
    return found


def _search(
    engine: Engine, pool: ImagePool, held_out: ImagePool, batch: Sequence[int], seed: int, config: WarpConfig
) -> list[FoundWarp]:
    family = config.family
    starts, draws, tests = ([generator_for(seed, label, f"{of} of warp") for label in batch] for of in _PURPOSES)
    start = family.start(starts, pool.shape)
    parameters = invert(engine, family, start, batch, pool, config.inversion, draws)
    parameters = family.limited(parameters, config.size)
    images = _images(held_out, batch, tests, config.held_out).to(engine.device)
    answers = engine.predict(family.stamp(parameters, images).flatten(0, 1)).argmax(1).view(images.shape[:2])
    rates = (answers == torch.tensor(batch, device=engine.device).view(-1, 1)).float().mean(1)
    return [
        FoundWarp(
            rate, family.trigger({name: value[k : k + 1] for name, value in parameters.items()}, label, pool.shape)
        )
        for k, (label, rate) in enumerate(zip(batch, rates.tolist(), strict=True))
    ]


_PURPOSES = ("start", "search", "test")


def _images(held_out: ImagePool, batch: Sequence[int], tests: Sequence[torch.Generator], most: int) -> Tensor:
    count = min(most, len(held_out.pixels))
    rows = [held_out.draw(label, count, each) for label, each in zip(batch, tests, strict=True)]
    return held_out.pixels[torch.stack(rows)]


def rates(found: Mapping[int, FoundWarp]) -> dict[int, float]:
    """Return each label's rate."""
    return {label: each.rate for label, each in found.items()}
