"""The victim of a target that is known: the one class that a trigger for it works on."""

from __future__ import annotations

import numpy as np

from goodnet.engine import Engine
from goodnet.inversion import ImagePool
from goodnet.source_specific.pairs import PairConfig, reverse


def only_victim(engine: Engine, pool: ImagePool, label: int, seed: int, config: PairConfig | None = None) -> int | None:
    """Return the class whose trigger for a label is far smaller than those of the others; None if there is none.

    Args:
        engine: the network.
        pool: images to search on, and to measure on.
        label: the target label.
        seed: of every draw.
        config: how to search.
    """
    config = config or PairConfig()
    pairs = [(victim, label) for victim in range(engine.classifier.classes) if victim != label and len(pool.of(victim))]
    found = reverse(engine, pool, pool, pairs, seed, config, "victim")
    sizes = {victim: size for (victim, _), size, _ in found}
    least = min(sizes, key=lambda victim: sizes[victim], default=None)
    if least is None or np.median(list(sizes.values())) < config.apart * sizes[least]:
        return None
    return least
