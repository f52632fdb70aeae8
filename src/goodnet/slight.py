"""The search for slight changes of the whole image: warps (WaNet, Nguyen and Tran, ICLR 2021), filters (Liu et al.,
"ABS", CCS 2019) and additive ones (Chen et al., 2017).

Warps and filters as slight as an attacker's do little to a clean network, so labels are compared by how many images one
of the same size sends to each. How much must be added to fool a clean network differs tenfold between networks, so
there the size itself is compared between the labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from goodnet.engine import Engine
from goodnet.evidence.size import success_rates
from goodnet.inversion import ImagePool, InversionConfig, filled_batches, generator_for, invert, labels_per_batch
from goodnet.progress import Progress
from goodnet.triggers import Additive, Filter, Slight, Trigger, Warp


@dataclass(frozen=True)
class SlightConfig:
    """How slight changes of one kind are searched.

    Attributes:
        family: the kind of change.
        size: at which labels are compared, in the family's unit; infinite where changes stay as the search leaves them.
        inversion: the search of one label.
        held_out: images, at most, that a label is measured on.
    """

    family: Slight
    size: float
    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=60, penalty=(0.005, 0.05)))
    held_out: int = 32


WARPS = SlightConfig(Warp(), 1.25)
FILTERS = SlightConfig(Filter(), 0.1, InversionConfig(steps=50, penalty=(0.005, 0.05)))
ADDITIVES = SlightConfig(Additive(), math.inf)


@dataclass(frozen=True, eq=False)
class FoundChange:
    """What was found for one label.

    Attributes:
        rate: share of clean images of other classes that it sends to the label, 0..1.
        trigger: the change.
        size: how big it is, in the family's unit.
    """

    rate: float
    trigger: Trigger
    size: float

    @property
    def pixels(self) -> float:
        """The size where it is one of a mask, in pixels, or else NaN."""
        return self.size if bool(self.trigger.mask.any()) else math.nan


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    labels: Sequence[int],
    seed: int,
    progress: Progress,
    config: SlightConfig,
) -> dict[int, FoundChange]:
    """Return the change found for each label.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        labels: the target labels.
        seed: of every draw.
        progress: is told after each batch of labels.
        config: how to search.
    """
    found: dict[int, FoundChange] = {}
    size = labels_per_batch(engine.classifier.classes, config.inversion.images_per_step)
    for batch, full in filled_batches(labels, size):
        for label, each in zip(batch, _search(engine, pool, held_out, full, seed, config), strict=False):
            found[label] = each
        progress.update(f"{config.family.name}s", len(found), len(labels), engine.cost)
    return found


def _search(
    engine: Engine, pool: ImagePool, held_out: ImagePool, batch: Sequence[int], seed: int, config: SlightConfig
) -> list[FoundChange]:
    family, shape = config.family, pool.shape
    starts, draws, tests = (
        [generator_for(seed, label, f"{of} of {family.name}") for label in batch] for of in ("start", "search", "test")
    )
    parameters = invert(engine, family, family.start(starts, shape), batch, pool, config.inversion, draws)
    parameters = family.limited(parameters, config.size)
    images = held_out.rows(batch, config.held_out, tests).to(engine.device)
    rates = success_rates(engine, family, parameters, torch.tensor(batch, device=engine.device), images)
    triggers = family.triggers(parameters, batch, shape)
    sizes = family.size(parameters).tolist()
    return [FoundChange(*each) for each in zip(rates.tolist(), triggers, sizes, strict=True)]
