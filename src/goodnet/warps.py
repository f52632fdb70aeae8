"""The search for warps: smooth flow fields that send images to a label (WaNet, Nguyen and Tran, ICLR 2021).

Warps as slight as an attacker's do little to a clean network, so labels are compared by how many images a warp of one
and the same size sends to each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from goodnet.engine import Engine
from goodnet.evidence.size import success_rates
from goodnet.inversion import ImagePool, InversionConfig, filled_batches, generator_for, invert, labels_per_batch
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
    for batch, full in filled_batches(labels, size):
        for label, each in zip(batch, _search(engine, pool, held_out, full, seed, config), strict=False):
            found[label] = each
        progress.update("warps", len(found), len(labels), engine.cost)
    return found


def _search(
    engine: Engine, pool: ImagePool, held_out: ImagePool, batch: Sequence[int], seed: int, config: WarpConfig
) -> list[FoundWarp]:
    family, shape = config.family, pool.shape
    starts, draws, tests = (
        [generator_for(seed, label, f"{of} of warp") for label in batch] for of in ("start", "search", "test")
    )
    parameters = invert(engine, family, family.start(starts, shape), batch, pool, config.inversion, draws)
    parameters = family.limited(parameters, config.size)
    images = held_out.rows(batch, config.held_out, tests).to(engine.device)
    rates = success_rates(engine, family, parameters, torch.tensor(batch, device=engine.device), images)
    triggers = family.triggers(parameters, batch, shape)
    return [FoundWarp(rate, trigger) for rate, trigger in zip(rates.tolist(), triggers, strict=True)]
