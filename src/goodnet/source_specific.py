"""The search for a trigger that works on one class only (Tang et al., "Demon in the Variant", USENIX Security 2021).

Cover samples teach such a network to ignore its trigger on all other classes, so that no trigger works on everything.
So a trigger is searched for every pair of a victim and a target, on images of the victim alone, and compared with what
the other pairs of the same victim and of the same target need, and with how near the victim's images are to the target
without any trigger. A class is what the network answers: where it takes cats for dogs, those cats need no trigger.

Where there are too many pairs for that, only those are searched that lead to a few suspicious targets from the victims
nearest to them. Such a network was taught to call one class by two names, and so its clean images of that class are
nearer to the target than the likeness of the two accounts for, which shows without any search.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.evidence.mapping import leads, unexplained
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
        again: how often; the median of these sizes counts, because the smallest of ninety is sometimes luck.
        confirmed_rate: the ASR at which these sizes are compared with those of all others. What a planted trigger does
            to most images of its victim it does to all; between classes that are alike, the last images need much more.
        most_labels: with more labels than this, not all pairs are searched: there are too many.
        suspects: so many of the most suspicious labels are searched as targets then.
        nearest: for each of these, so many victims whose images are nearest to it without any trigger.
        control: and so many of the others, drawn at random, as the measure of what is usual.
        fewest: images that a victim must have then.
        verified: so many of those pairs that are the most suspicious then are searched on half of their images.
        halvings: of the images, for each of them.
        most_images: that are looked at then; the more there are, the surer it is how near classes are to each other.
        apart: the one victim of a label needs a trigger so many times smaller than the median one.
    """

    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=80))
    pairs_per_call: int = 32
    rate: float = 0.8
    held_out: int = 16
    confirmed: int = 5
    again: int = 3
    confirmed_rate: float = 0.95
    most_labels: int = 20
    suspects: int = 3
    nearest: int = 4
    control: int = 8
    fewest: int = 3
    verified: int = 2
    halvings: int = 2
    most_images: int = 2000
    apart: float = 3.0


@dataclass(frozen=True, eq=False)
class Pair:
    """A pair of classes that may be closer than its like.

    Attributes:
        victim: the class that the trigger works on.
        target: the class it is sent to.
        ratio: how many times smaller the pair's trigger is than victim, target and their nearness let expect; where not
            all pairs were searched, than the median one of other victims of the target.
        index: the same on the logarithm, in units of 1.4826 x MAD over all pairs; None where not all were searched.
        nearness: by how much the victim's images are nearer to the target without any trigger than victim and target
            let expect, one way, less the standard error, in units of 1.4826 x MAD over all pairs; None where that was
            held against the size.
        pairs: of how many.
        trigger: the trigger.
        unseen: share of the victim's images, 0..1, on which a trigger works that was searched on the other half of
            them; None where that was not looked at.
    """

    victim: int
    target: int
    ratio: float
    index: float | None
    nearness: float | None
    pairs: int
    trigger: Trigger
    unseen: float | None = None


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    seed: int,
    progress: Progress,
    config: PairConfig | None = None,
) -> Pair | None:
    """Return the pair of victim and target that stands out most; None where there are too few to compare.

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
    near, _ = _nearness(logits)
    table = np.full((classes, classes), np.nan)
    triggers: dict[tuple[int, int], Trigger] = {}
    for done, batch in _batches(pairs, config.pairs_per_call):
        for pair, size, trigger in _search(engine, pool, held_out, batch, seed, config, "pair"):
            table[pair], triggers[pair] = _logarithm(size), trigger
        progress.update("pairs", done, len(pairs), engine.cost)
    each, _ = leads(unexplained(table, near))
    suspects = sorted((pair for pair in triggers if np.isfinite(each[pair])), key=lambda pair: -each[pair])
    suspects = suspects[: config.confirmed]
    sizes: dict[tuple[int, int], list[float]] = {pair: [] for pair in suspects}
    confirming = replace(config, rate=config.confirmed_rate)
    for number in range(config.again if suspects else 0):
        for pair, size, _ in _search(engine, pool, held_out, suspects, seed, confirming, f"pair again {number}"):
            sizes[pair].append(size)
    for pair, found in sizes.items():
        table[pair] = _logarithm(float(np.median(found)))
    each, spread = leads(unexplained(table, near))
    ahead = {pair: float(each[pair]) for pair in suspects if np.isfinite(each[pair])}
    if not ahead or len(ahead) == len(table[np.isfinite(table)]):  # with nothing to compare them with
        return None
    pair = max(ahead, key=lambda pair: ahead[pair])
    return Pair(*pair, math.exp(ahead[pair]), ahead[pair] / spread, None, len(pairs), triggers[pair])


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
    seed: int,
    progress: Progress,
    config: PairConfig | None = None,
) -> list[Pair]:
    """Return the pairs of suspicious targets and the victims nearest to them, for networks of many classes.

    Args:
        engine: the network.
        pool: images to search on, and to measure on, with the network's answers as their classes.
        logits: of these images (n, N).
        suspects: the targets.
        seed: of every draw.
        progress: is told after each batch of pairs.
        config: how to search.
    """
    config = config or PairConfig()
    near, error = _nearness(logits)
    near[[len(pool.of(label)) < config.fewest for label in range(len(near))]] = np.nan
    nearer, spread = leads(-near)
    suspected, control = _nearest_and_others(near, suspects, seed, config)
    sizes: dict[tuple[int, int], list[float]] = {}
    triggers: dict[tuple[int, int], Trigger] = {}
    for purpose, pairs in (("pair", suspected + control), ("pair again", suspected)):
        for done, batch in _batches(pairs, config.pairs_per_call):
            for pair, size, trigger in _search(engine, pool, pool, batch, seed, config, purpose):
                sizes.setdefault(pair, []).append(_logarithm(size))
                triggers.setdefault(pair, trigger)
            progress.update(f"{purpose}s", done, len(pairs), engine.cost)
    usual = {target: [sizes[pair][0] for pair in control if pair[1] == target] for target in suspects}
    ahead = {
        (victim, target): float(np.nanmedian(usual[target])) - float(np.mean(sizes[victim, target]))
        for victim, target in suspected
        if np.isfinite(usual[target]).any()
    }
    return [
        Pair(*pair, math.exp(times), None, float((nearer[pair] - error[pair]) / spread), len(suspected), triggers[pair])
        for pair, times in ahead.items()
        if math.isfinite(times)
    ]


def verified(engine: Engine, pool: ImagePool, pair: Pair, seed: int, config: PairConfig | None = None) -> Pair:
    """Return a pair with the share of its victim's images on which a trigger works that has not seen them.

    A few images of one class are soon turned into another one by what is theirs alone; a planted trigger works on all.

    Args:
        engine: the network.
        pool: images of the victim, at least two, with the network's answers as their classes.
        pair: the pair.
        seed: of every draw.
        config: how to search.
    """
    config = config or PairConfig()
    images, pairs = pool.pixels[pool.of(pair.victim)], [(pair.victim, pair.target)]
    hits = 0
    for number in range(config.halvings):
        order = generator_for(seed, pair.target, f"halving {number} of {pair.victim}")
        halves = images[torch.randperm(len(images), generator=order)].tensor_split(2)
        for half, (seen, unseen) in enumerate((halves, halves[::-1])):
            of_victim = ImagePool(seen, torch.full((len(seen),), pair.victim, device=seen.device))
            purpose = f"halving {number}, half {half}"
            ((_, _, trigger),) = _search(engine, of_victim, of_victim, pairs, seed, config, purpose)
            hits += int((engine.predict(trigger.stamp(unseen)).argmax(1) == pair.target).sum())
    return replace(pair, unseen=hits / (config.halvings * len(images)))


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


def _nearness(logits: Tensor) -> tuple[Numbers, Numbers]:
    """Return how near the images that are answered with each class are to each other class, and its standard error.

    It is by how much the other class's logit exceeds that of the answer, at most 0, mean over the images without any
    trigger; both are (N, N), NaN for a class that none is answered with and on the diagonal, and the error also for one
    that a single image is answered with.

    Args:
        logits: of all images (n, N).
    """
    answers, margins = logits.argmax(1), logits - logits.amax(1, keepdim=True)
    rows = [margins[answers == label].cpu().double().numpy() for label in range(logits.shape[1])]
    near, error = (np.full((len(rows), len(rows)), np.nan) for _ in range(2))
    for label, row in enumerate(rows):
        near[label] = row.mean(0) if len(row) else np.nan
        error[label] = row.std(0, ddof=1) / math.sqrt(len(row)) if len(row) > 1 else np.nan
    np.fill_diagonal(near, np.nan)
    return near, error


def _nearest_and_others(
    near: Numbers, suspects: Sequence[int], seed: int, config: PairConfig
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return the pairs of each suspicious target and the victims nearest to it, and those of others drawn at random."""
    nearest, others = [], []
    for target in suspects:
        known = [int(victim) for victim in np.argsort(-near[:, target]) if np.isfinite(near[victim, target])]
        order = torch.randperm(max(len(known) - config.nearest, 0), generator=generator_for(seed, target, "control"))
        nearest += [(victim, target) for victim in known[: config.nearest]]
        others += [(known[config.nearest + place], target) for place in order[: config.control].tolist()]
    return nearest, others


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
