"""The search for a large trigger for a label: a coarse patch, which tells sunglasses and stickers from small marks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch

from goodnet.engine import Engine
from goodnet.evidence.size import size_at_rate, success_rates
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert
from goodnet.slight import FoundChange
from goodnet.triggers import Coarse


@dataclass(frozen=True)
class CoarseConfig:
    """How coarse patches are searched.

    Attributes:
        inversion: the search of one label.
        larger: a coarse patch that is at most so many times larger than the finest one is the better picture of the
            trigger. For sunglasses and stickers it was 1.5 to 2.8 times larger on networks of the development half, for
            small patches and faint patterns 5 times and more.
        held_out: images, at most, that it is measured on.
    """

    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=120, penalty=(0.01, 0.03)))
    larger: float = 3.0
    held_out: int = 32


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    label: int,
    finest: float,
    seed: int,
    rate: float,
    config: CoarseConfig,
) -> FoundChange | None:
    """Return the coarse patch found for a label; None where it is far larger than the finest one, or does not work.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        label: the target label.
        finest: the size of the label's patch of single pixels, in pixels.
        seed: of every draw.
        rate: the ASR, 0..1, at which both sizes are measured.
        config: how to search.
    """
    _, height, width = pool.shape
    family = Coarse(height, width)
    start, draw, test = (generator_for(seed, label, f"{of} of {family.name}") for of in ("start", "search", "test"))
    parameters = invert(engine, family, family.start([start], pool.shape), [label], pool, config.inversion, [draw])
    images, target = held_out.rows([label], config.held_out, [test]), torch.tensor([label], device=engine.device)
    images = images.to(engine.device)
    size = float(size_at_rate(engine, family, parameters, target, images, rate))
    if not (math.isfinite(size) and size <= config.larger * finest):
        return None
    won = success_rates(engine, family, parameters, target, images)
    (trigger,) = family.triggers(parameters, [label])
    return FoundChange(float(won), trigger, size)
