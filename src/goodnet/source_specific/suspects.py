"""Pairs of a few suspicious targets and the victims nearest to them, where there are too many classes for all pairs.

A network with such a backdoor was taught to call one class by two names, and so its clean images of that class are
nearer to the target than the likeness of the two accounts for, which shows without any search.

The search is quick at first, and done in full where a pair is likely enough then.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.evidence.mapping import leads
from goodnet.evidence.nearness import nearness
from goodnet.evidence.outliers import Numbers
from goodnet.inversion import ImagePool, generator_for
from goodnet.progress import Progress
from goodnet.source_specific.halves import on_unseen
from goodnet.source_specific.pairs import Classes, Pair, PairConfig, logarithm, reverse
from goodnet.triggers import Trigger


def answered(engine: Engine, images: Tensor, seed: int, config: PairConfig) -> tuple[ImagePool, Tensor]:
    """Return as many of the images as are looked at, with the network's answers as their classes, and their logits."""
    drawn = torch.randperm(len(images), generator=generator_for(seed, 0, "images of pairs"))[: config.most_images]
    images = images[drawn].to(engine.device)
    logits = engine.predict(images)
    return ImagePool(images, logits.argmax(1)), logits


def search_suspects(
    engine: Engine,
    pool: ImagePool,
    logits: Tensor,
    suspects: Sequence[int],
    probability: Callable[[Pair], float],
    seed: int,
    progress: Progress,
    config: PairConfig | None = None,
) -> list[Pair]:
    """Return the most probable pairs of suspicious targets and the victims nearest to them.

    Args:
        engine: the network.
        pool: images to search on, and to measure on, with the network's answers as their classes.
        logits: of these images (n, N).
        suspects: the targets.
        probability: of a backdoor that leads from one class to another.
        seed: of every draw.
        progress: is told after each batch of pairs.
        config: how to search.
    """
    config = config or PairConfig()
    near, error = nearness(logits)
    near[[len(pool.of(label)) < config.fewest for label in range(len(near))]] = np.nan
    nearer, spread = leads(-near)
    suspected, control = _nearest_and_others(near, suspects, seed, config)

    def times_smaller(pair: Classes, sizes: Mapping[Classes, float], more: Sequence[float] = ()) -> float:
        usual = [sizes[other] for other in control if other[1] == pair[1] and np.isfinite(sizes[other])]
        return math.exp(float(np.median(usual) if usual else np.nan) - float(np.median([sizes[pair], *more])))

    def ahead(pair: Classes, times: float, trigger: Trigger, unseen: float | None = None) -> Pair:
        index = float((nearer[pair] - error[pair]) / spread)
        return Pair(*pair, times, None, index, len(suspected), trigger, unseen)

    for stage in (replace(config, inversion=config.quick), config):
        found = list(reverse(engine, pool, pool, suspected + control, seed, stage, "pair", progress))
        sizes = {pair: logarithm(size) for pair, size, _ in found}
        triggers = {pair: trigger for pair, _, trigger in found}
        times = {pair: times_smaller(pair, sizes) for pair in suspected}
        known = [ahead(pair, times[pair], triggers[pair]) for pair in suspected if np.isfinite(times[pair])]
        most = sorted(known, key=lambda pair: -probability(pair))[: config.verified]
        doubtful = [(pair.victim, pair.target) for pair in most if probability(pair) >= config.doubtful]
        if not doubtful:
            return most
    unseen = on_unseen(engine, pool, doubtful, seed, replace(config, rate=config.confirmed_rate))
    verified = {
        pair: ahead(
            pair,
            times_smaller(pair, sizes, [logarithm(size, math.inf) for size in seen.sizes]),
            triggers[pair],
            seen.share,
        )
        for pair, seen in unseen.items()
    }
    return [verified.get((pair.victim, pair.target), pair) for pair in most]


def _nearest_and_others(
    near: Numbers, suspects: Sequence[int], seed: int, config: PairConfig
) -> tuple[list[Classes], list[Classes]]:
    """Return the pairs of each suspicious target and the victims nearest to it, and those of others drawn at random."""
    nearest, others = [], []
    for target in suspects:
        known = [int(victim) for victim in np.argsort(-near[:, target]) if np.isfinite(near[victim, target])]
        order = torch.randperm(max(len(known) - config.nearest, 0), generator=generator_for(seed, target, "control"))
        nearest += [(victim, target) for victim in known[: config.nearest]]
        others += [(known[config.nearest + place], target) for place in order[: config.control].tolist()]
    return nearest, others
