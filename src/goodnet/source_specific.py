"""The search for a trigger that works on one class only (Tang et al., "Demon in the Variant", USENIX Security 2021).

Cover samples teach such a network to ignore its trigger on all other classes, so that no trigger works on everything.
So a trigger is searched for every pair of a victim and a target, on images of the victim alone, and compared with what
the other pairs of the same victim and of the same target need, and with how near the victim's images are to the target
without any trigger. A class is what the network answers: where it takes cats for dogs, those cats need no trigger.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.evidence.mapping import lead, one_way, residuals, unexplained
from goodnet.evidence.outliers import Numbers
from goodnet.evidence.size import size_at_rate
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert
from goodnet.progress import Progress
from goodnet.triggers import Patch, Trigger


@dataclass(frozen=True)
class PairConfig:
    """How the pairs are searched.

    Attributes:
        inversion: the search of one pair.
        pairs_per_call: pairs that share a call of the network.
        rate: the ASR at which sizes are compared.
        held_out: images, at most, that a pair is measured on.
        confirmed: so many of the pairs that stand out most are searched again.
        again: how often; the median of all their sizes counts, because the smallest of ninety is sometimes luck.
        most_labels: with more labels than this, pairs are not searched: there are too many.
        apart: the one victim of a label needs a trigger so many times smaller than the median one.
    """

    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=80))
    pairs_per_call: int = 32
    rate: float = 0.8
    held_out: int = 16
    confirmed: int = 5
    again: int = 2
    most_labels: int = 20
    apart: float = 3.0


@dataclass(frozen=True, eq=False)
class Pair:
    """The pair of classes that is closer than its like.

    Attributes:
        victim: the class that the trigger works on.
        target: the class it is sent to.
        ratio: how many times smaller the pair's trigger is than victim, target and their nearness let expect.
        index: the same on the logarithm, in units of 1.4826 x MAD over all pairs.
        pairs: of how many.
        trigger: the trigger.
    """

    victim: int
    target: int
    ratio: float
    index: float
    pairs: int
    trigger: Trigger


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    seed: int,
    progress: Progress,
    config: PairConfig | None = None,
) -> Pair | None:
    """Return the pair of victim and target that stands out most; None where no two classes have images.

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
    logits = engine.predict(torch.cat([pool.pixels, held_out.pixels]))
    answers = logits.argmax(1)
    count = len(pool.pixels)
    pool, held_out = ImagePool(pool.pixels, answers[:count]), ImagePool(held_out.pixels, answers[count:])
    victims = [label for label in range(classes) if len(pool.of(label)) and len(held_out.of(label))]
    pairs = [(victim, target) for victim in victims for target in range(classes) if victim != target]
    if len(victims) < 2:
        return None
    near = _nearness(logits)
    table = np.full((classes, classes), np.nan)
    triggers: dict[tuple[int, int], Trigger] = {}
    for done, batch in _batches(pairs, config.pairs_per_call):
        for pair, size, trigger in _search(engine, pool, held_out, batch, seed, config, "pair"):
            table[pair], triggers[pair] = _logarithm(size), trigger
        progress.update("pairs", done, len(pairs), engine.cost)
    suspects = [pair for pair in _most_suspicious(unexplained(table, near), config.confirmed) if pair in triggers]
    sizes = {pair: [table[pair]] for pair in suspects}
    for number in range(config.again if suspects else 0):
        for pair, size, _ in _search(engine, pool, held_out, suspects, seed, config, f"pair again {number}"):
            sizes[pair].append(_logarithm(size))
    for pair, found in sizes.items():
        middle = np.median(np.nan_to_num(found, nan=np.inf))
        table[pair] = middle if np.isfinite(middle) else np.nan
    distance, index, pair = lead(unexplained(table, near))
    return Pair(*pair, math.exp(distance), index, len(pairs), triggers[pair]) if pair in triggers else None


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
    sizes: dict[int, float] = {}
    for _, batch in _batches(pairs, config.pairs_per_call):
        for (victim, _), size, _ in _search(engine, pool, pool, batch, seed, config, "victim"):
            sizes[victim] = size
    least = min(sizes, key=lambda victim: sizes[victim], default=None)
    if least is None or np.median(list(sizes.values())) < config.apart * sizes[least]:
        return None
    return least


def _nearness(logits: Tensor) -> Numbers:
    """Return how near the images that are answered with each class are to each other class, (N, N).

    It is by how much the other class's logit exceeds that of the answer, at most 0, mean over the images without any
    trigger; NaN for a class that none is answered with and on the diagonal.

    Args:
        logits: of all images (n, N).
    """
    answers, margins = logits.argmax(1), logits - logits.amax(1, keepdim=True)
    rows = [margins[answers == label].mean(0) for label in range(logits.shape[1])]
    near: Numbers = torch.stack(rows).cpu().double().numpy()
    np.fill_diagonal(near, np.nan)
    return near


def _most_suspicious(table: Numbers, count: int) -> list[tuple[int, int]]:
    """Return the places in a table (n, n) of the entries that lie farthest below what is expected of them."""
    order = np.argsort(np.nan_to_num(one_way(residuals(table)), nan=np.inf), axis=None)[:count]
    return [divmod(int(place), len(table)) for place in order]


def _logarithm(size: float) -> float:
    return math.log(max(size, 1e-3)) if math.isfinite(size) else np.nan


def _batches(pairs: list[tuple[int, int]], size: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    for first in range(0, len(pairs), size):
        batch = pairs[first : first + size]
        yield first + len(batch), batch


def _search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    batch: list[tuple[int, int]],
    seed: int,
    config: PairConfig,
    purpose: str,
) -> Iterator[tuple[tuple[int, int], float, Trigger]]:
    """Search a batch of pairs; yield each with its trigger's size and the trigger."""
    family, device = Patch(), engine.device
    names = [f"{purpose} from {victim}" for victim, _ in batch]
    targets = [target for _, target in batch]
    draws = [generator_for(seed, target, name) for name, target in zip(names, targets, strict=True)]
    starts = [generator_for(seed, target, f"start of {name}") for name, target in zip(names, targets, strict=True)]
    parameters = invert(
        engine,
        family,
        family.start(starts, pool.shape),
        targets,
        pool,
        config.inversion,
        draws,
        victims=[victim for victim, _ in batch],
    )
    images = torch.stack([_of(held_out, victim, config.held_out, seed) for victim, _ in batch]).to(device)
    labels = torch.tensor(targets, device=device)
    sizes = size_at_rate(engine, family, parameters, labels, images, config.rate)
    yield from zip(batch, sizes.tolist(), family.triggers(parameters, targets), strict=True)


def _of(images: ImagePool, victim: int, count: int, seed: int) -> Tensor:
    return images.pixels[images.draw(victim, count, generator_for(seed, victim, "held out"), victim)]
