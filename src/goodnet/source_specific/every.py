"""All pairs of classes, where there are few: the one whose trigger is smaller than its like lets expect.

It is compared with what the other pairs of the same victim and of the same target need, and with how near the victim's
images are to the target without any trigger.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch

from goodnet.engine import Engine
from goodnet.evidence.mapping import leads, unexplained
from goodnet.evidence.nearness import nearness
from goodnet.inversion import ImagePool
from goodnet.progress import Progress
from goodnet.source_specific.halves import on_unseen
from goodnet.source_specific.pairs import Classes, Pair, PairConfig, logarithm, reverse
from goodnet.triggers import Trigger


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    seed: int,
    progress: Progress,
    config: PairConfig | None = None,
) -> list[Pair]:
    """Return the pairs of victim and target that stand out most; none where there are too few to compare.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        seed: of every draw.
        progress: is told after each batch of pairs.
        config: how to search.
    """
    config = config or PairConfig()
    classes = engine.classifier.classes
    images = torch.cat([pool.pixels, held_out.pixels])
    logits = engine.predict(images)
    answered, count = ImagePool(images, logits.argmax(1)), len(pool.pixels)
    pool, held_out = (ImagePool(images[of], answered.classes[of]) for of in (slice(count), slice(count, None)))
    victims = [label for label in range(classes) if len(pool.of(label)) and len(held_out.of(label))]
    pairs = [(victim, target) for victim in victims for target in range(classes) if victim != target]
    if len(victims) < 2:
        return []
    near, _ = nearness(logits)
    table = np.full((classes, classes), np.nan)
    triggers: dict[Classes, Trigger] = {}
    quick = replace(config, inversion=config.quick)
    for pair, size, _ in reverse(engine, pool, held_out, pairs, seed, quick, "pair", progress):
        table[pair] = logarithm(size)
    each, _ = leads(unexplained(table, near))
    suspects = sorted((pair for pair in pairs if np.isfinite(each[pair])), key=lambda pair: -each[pair])
    suspects = suspects[: config.confirmed]
    confirming = replace(config, rate=config.confirmed_rate)
    unseen = on_unseen(engine, answered, suspects, seed, confirming)
    for pair, size, trigger in reverse(engine, pool, held_out, suspects, seed, confirming, "pair again"):
        table[pair] = logarithm(float(np.median([size, *unseen[pair].sizes])))
        triggers[pair] = trigger
    each, spread = leads(unexplained(table, near))
    ahead = {pair: float(each[pair]) for pair in suspects if np.isfinite(each[pair])}
    if len(ahead) == np.isfinite(table).sum():  # with nothing to compare them with
        return []
    return [
        Pair(*pair, math.exp(lead), lead / spread, None, len(pairs), triggers[pair], unseen[pair].share)
        for pair, lead in ahead.items()
    ]
