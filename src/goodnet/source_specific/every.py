"""All pairs of classes, where there are few: the one whose trigger is smaller than its like lets expect.

It is compared with what the other pairs of the same victim and of the same target need, and with how near the victim's
images are to the target without any trigger.

All are searched quickly, and those that stand out in full where they are likely enough.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from goodnet.engine import Engine
from goodnet.evidence.mapping import leads, unexplained
from goodnet.evidence.nearness import nearness
from goodnet.evidence.outliers import Numbers
from goodnet.inversion import ImagePool
from goodnet.progress import Progress
from goodnet.source_specific.halves import OnUnseen, on_unseen
from goodnet.source_specific.pairs import Classes, Pair, PairConfig, logarithm, reverse
from goodnet.triggers import Trigger


@dataclass(frozen=True, eq=False)
class EveryPair:
    """What a quick search found of every pair of classes.

    Attributes:
        answered: all images, with the network's answers as their classes.
        pool: those of them that were searched on.
        held_out: those that were measured on.
        near: how near each class (a row) is to each target (a column) without any trigger, (N, N).
        sizes: the logarithms of the sizes of the triggers, (N, N); NaN for what was not reached.
        triggers: of each pair.
    """

    answered: ImagePool
    pool: ImagePool
    held_out: ImagePool
    near: Numbers
    sizes: Numbers
    triggers: Mapping[Classes, Trigger]

    def leading(self, unseen: Mapping[Classes, OnUnseen] | None = None) -> list[Pair]:
        """Return the pairs that have a size, those first that stand out most, with what is known of unseen images."""
        each, spread = leads(unexplained(self.sizes, self.near))
        shares = {pair: seen.share for pair, seen in (unseen or {}).items()}
        known = {pair: float(each[pair]) for pair in self.triggers if np.isfinite(each[pair])}
        return [
            Pair(*pair, math.exp(lead), lead / spread, None, len(self.triggers), self.triggers[pair], shares.get(pair))
            for pair, lead in sorted(known.items(), key=lambda item: -item[1])
        ]


def search_every(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    seed: int,
    progress: Progress,
    config: PairConfig | None = None,
) -> EveryPair:
    """Return what a quick search finds of every pair of classes that there are images of.

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
    if len(victims) < 2:  # with nothing to compare them with
        pairs = []
    near, _ = nearness(logits)
    sizes = np.full((classes, classes), np.nan)
    triggers: dict[Classes, Trigger] = {}
    quick = replace(config, inversion=config.quick)
    for pair, size, trigger in reverse(engine, pool, held_out, pairs, seed, quick, "pair", progress):
        sizes[pair], triggers[pair] = logarithm(size), trigger
    return EveryPair(answered, pool, held_out, near, sizes, triggers)


def confirm(
    engine: Engine,
    every: EveryPair,
    probability: Callable[[Pair], float],
    seed: int,
    config: PairConfig | None = None,
) -> list[Pair]:
    """Return the pairs that stand out most, after a search in full of those that are likely enough.

    Args:
        engine: the network.
        every: what a quick search found.
        probability: of a backdoor that leads from one class to another.
        seed: of every draw.
        config: how to search.
    """
    config = config or PairConfig()
    leading = every.leading()
    if len(leading) <= config.confirmed:  # with nothing to compare them with
        return []
    suspects = [(pair.victim, pair.target) for pair in leading[: config.confirmed]]
    doubtful = [which for which, pair in zip(suspects, leading, strict=False) if probability(pair) >= config.doubtful]
    confirming = replace(config, rate=config.confirmed_rate)
    unseen = on_unseen(engine, every.answered, doubtful, seed, confirming)
    sizes, triggers = every.sizes.copy(), dict(every.triggers)
    for pair, size, trigger in reverse(engine, every.pool, every.held_out, doubtful, seed, confirming, "pair again"):
        sizes[pair], triggers[pair] = logarithm(float(np.median([size, *unseen[pair].sizes]))), trigger
    confirmed = replace(every, sizes=sizes, triggers=triggers).leading(unseen)
    return [pair for pair in confirmed if (pair.victim, pair.target) in suspects]
