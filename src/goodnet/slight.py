"""The search for slight changes of the whole image: warps (WaNet, Nguyen and Tran, ICLR 2021), filters (Liu et al.,
"ABS", CCS 2019) and additive ones (Chen et al., 2017).

Warps and filters as slight as an attacker's do little to a clean network, so labels are compared by how many images one
of the same size sends to each. How much must be added to fool a clean network differs tenfold between networks, so
there the size itself is compared between the labels.

Among many labels warps and filters are a race: what is planted leads after a third of the steps, and no more is wanted
of the others than how many images follow them, which are few from the first step to the last.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch

from goodnet.engine import Engine
from goodnet.evidence.size import success_rates
from goodnet.inversion import (
    MANY,
    ImagePool,
    InversionConfig,
    filled_batches,
    generator_for,
    invert,
    labels_per_batch,
)
from goodnet.progress import Progress
from goodnet.triggers import Additive, Filter, Parameters, Slight, Trigger, Warp, stacked


@dataclass(frozen=True)
class SlightConfig:
    """How slight changes of one kind are searched.

    Attributes:
        family: the kind of change.
        size: at which labels are compared, in the family's unit; infinite where changes stay as the search leaves them.
        inversion: the search of one label.
        held_out: images, at most, that a label is measured on.
        early: steps after which, among `MANY` labels or more, only the leading ones go on; None for all to the end.
        leading: how many go on then.
    """

    family: Slight
    size: float
    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=60, penalty=(0.005, 0.05)))
    held_out: int = 32
    early: int | None = None
    leading: int = 10

    def ends(self, labels: int) -> list[int]:
        """Return the numbers of steps at which the search of so many labels ends: of all, and of the leading ones."""
        last = self.inversion.steps
        return [last] if self.early is None or labels < MANY else [self.early, last]


WARPS = SlightConfig(Warp(), 1.25, early=20)
FILTERS = SlightConfig(Filter(), 0.1, InversionConfig(steps=50, penalty=(0.005, 0.05)), early=20)
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
    reached: dict[int, Parameters] = {}
    done = 0
    for steps in config.ends(len(labels)):
        going_on = sorted(labels, key=lambda label: (-found[label].rate, label))[: config.leading] if done else labels
        part = replace(config, inversion=config.inversion.between(done, steps))
        size = labels_per_batch(len(going_on) if done else engine.classifier.classes, part.inversion.images_per_step)
        for batch, full in filled_batches(going_on, size):
            start = stacked([reached[label] for label in full]) if done else None
            changes, parameters = _search(engine, pool, held_out, full, seed, part, start)
            found |= dict(zip(batch, changes, strict=False))
            for k, label in enumerate(batch):
                reached[label] = {name: value[k] for name, value in parameters.items()}
            progress.update(f"{config.family.name}s", len(reached), len(labels), engine.cost)
        done = steps
    return found


def _search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    batch: Sequence[int],
    seed: int,
    config: SlightConfig,
    start: Parameters | None,
) -> tuple[list[FoundChange], Parameters]:
    """Search a batch, from a random start where none is given; return what was found, and as the search left it."""
    family, shape = config.family, pool.shape
    if start is None:
        start = family.start([generator_for(seed, label, f"start of {family.name}") for label in batch], shape)
        purpose = f"search of {family.name}"
    else:
        purpose = f"rest of {family.name}"
    draws = [generator_for(seed, label, purpose) for label in batch]
    reached = invert(engine, family, start, batch, pool, config.inversion, draws)
    parameters = family.limited(reached, config.size)
    tests = [generator_for(seed, label, f"test of {family.name}") for label in batch]
    images = held_out.rows(batch, config.held_out, tests).to(engine.device)
    rates = success_rates(engine, family, parameters, torch.tensor(batch, device=engine.device), images)
    triggers = family.triggers(parameters, batch, shape)
    sizes = family.size(parameters).tolist()
    return [FoundChange(*each) for each in zip(rates.tolist(), triggers, sizes, strict=True)], reached
