"""Halves: whether the trigger of a pair works on images of its victim that it was not searched on.

A few images of one class are soon turned into another one by what is theirs alone; a planted trigger works on all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.inversion import ImagePool, generator_for
from goodnet.source_specific.pairs import Classes, PairConfig, reverse


@dataclass(frozen=True)
class OnUnseen:
    """How the triggers of a pair do that were searched on halves of its victim's images, on the other halves.

    Attributes:
        sizes: at which they are compared there.
        share: of images that they send to the target as the search left them, 0..1.
    """

    sizes: tuple[float, ...]
    share: float


def on_unseen(
    engine: Engine, pool: ImagePool, pairs: Sequence[Classes], seed: int, config: PairConfig
) -> dict[Classes, OnUnseen]:
    """Search each pair on halves of its victim's images; return how the triggers do on the other halves.

    Args:
        engine: the network.
        pool: images, at least two of each victim, with the network's answers as their classes.
        pairs: victims, each with a target.
        seed: of every draw.
        config: how to search, and the ASR at which sizes are compared.
    """
    if not pairs:
        return {}
    # Each half is named as a class of its own, so that the searches on all of them share the calls of the network.
    halves: list[tuple[Classes, Tensor, Tensor]] = []
    for victim, target in pairs:
        images = pool.of(victim)
        for number in range(config.halvings):
            order = generator_for(seed, target, f"halving {number} of {victim}")
            one, other = images[torch.randperm(len(images), generator=order)].tensor_split(2)
            halves += [((victim, target), one, other), ((victim, target), other, one)]
    seen = _named(pool, [one for _, one, _ in halves])
    unseen = _named(pool, [other for _, _, other in halves])
    searched = [(name, target) for name, ((_, target), _, _) in enumerate(halves)]
    sizes: dict[Classes, list[float]] = {pair: [] for pair in pairs}
    shares: dict[Classes, list[float]] = {pair: [] for pair in pairs}
    found = reverse(engine, seen, unseen, searched, seed, config, "half")
    for (pair, _, other), (_, size, trigger) in zip(halves, found, strict=True):
        answers = engine.predict(trigger.stamp(pool.pixels[other].to(engine.device))).argmax(1)
        sizes[pair].append(size)
        shares[pair].append(float((answers == trigger.label).double().mean()))
    return {pair: OnUnseen(tuple(sizes[pair]), float(np.mean(shares[pair]))) for pair in pairs}


def _named(pool: ImagePool, parts: Sequence[Tensor]) -> ImagePool:
    """Return the images of the pool that each part lists, those of the first as class 0 and so on."""
    names = torch.repeat_interleave(torch.tensor([len(part) for part in parts]))
    chosen = torch.cat(list(parts))
    return ImagePool(pool.pixels[chosen], names.to(chosen.device))
