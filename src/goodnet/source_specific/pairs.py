"""Pairs of a victim and a target: what is known of one, and the search of many at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch

from goodnet.engine import Engine
from goodnet.evidence.size import size_at_rate
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert
from goodnet.progress import Progress, Silent
from goodnet.triggers import Patch, Trigger

Classes = tuple[int, int]
"""The victim and the target of a pair."""


@dataclass(frozen=True)
class PairConfig:
    """How the pairs are searched.

    Attributes:
        inversion: the search of one pair.
        quick: the same to tell which pairs stand out, of all, or whether any of suspicious targets does.
        pairs_per_call: pairs that share a call of the network.
        rate: the ASR at which sizes are compared.
        held_out: images, at most, that a pair is measured on.
        confirmed: so many of the pairs that stand out most are searched again if they are doubtful, once on the same
            images and on halves of all images of the victim; the median of these sizes counts.
        confirmed_rate: the ASR at which these sizes are compared with those of all others. What a planted trigger does
            to most images of its victim it does to all; between classes that are alike, the last images need much more.
        halvings: of the images of a pair that is searched on halves of them.
        most_labels: with more labels than this, not all pairs are searched: there are too many.
        suspects: so many of the labels with the most positive weights in the last layer are searched as targets then.
        nearest: for each of these, so many victims whose images are nearest to it without any trigger.
        control: and so many of the others, drawn at random, as the measure of what is usual.
        fewest: images that a victim must have then.
        verified: so many of the most probable pairs are searched on halves of their victim's images as well then.
        doubtful: either is done only for pairs with at least this probability, 0..1, without it.
        most_images: that are looked at then; the more there are, the surer it is how near classes are to each other.
        apart: the one victim of a label needs a trigger so many times smaller than the median one.
    """

    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=80))
    quick: InversionConfig = field(default_factory=lambda: InversionConfig(steps=40, learning_rate=0.15))
    pairs_per_call: int = 32
    rate: float = 0.8
    held_out: int = 16
    confirmed: int = 3
    confirmed_rate: float = 0.95
    halvings: int = 2
    most_labels: int = 20
    suspects: int = 3
    nearest: int = 4
    control: int = 8
    fewest: int = 3
    verified: int = 2
    doubtful: float = 0.2
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
        unseen: share of the victim's images, 0..1, on which a trigger works that was searched on others of them; None
            where that was not looked at.
    """

    victim: int
    target: int
    ratio: float
    index: float | None
    nearness: float | None
    pairs: int
    trigger: Trigger
    unseen: float | None = None


def reverse(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    pairs: Sequence[Classes],
    seed: int,
    config: PairConfig,
    purpose: str,
    progress: Progress | None = None,
) -> Iterator[tuple[Classes, float, Trigger]]:
    """Search the trigger of each pair; yield the pair, the size at which its trigger is compared, and the trigger.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        pairs: victims, each with a target.
        seed: of every draw.
        config: how to search.
        purpose: which search of these pairs it is; with another purpose all draws are others.
        progress: is told after each batch of pairs.
    """
    family, device, progress = Patch(), engine.device, progress or Silent()
    for first in range(0, len(pairs), config.pairs_per_call):
        batch = pairs[first : first + config.pairs_per_call]
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
        drawn = [
            held_out.draw(target, config.held_out, generator_for(seed, victim, "held out"), victim)
            for victim, target in batch
        ]
        images = held_out.pixels[torch.stack(drawn)].to(device)
        sizes = size_at_rate(engine, family, parameters, torch.tensor(targets, device=device), images, config.rate)
        progress.update(f"{purpose}s", first + len(batch), len(pairs), engine.cost)
        yield from zip(batch, sizes.tolist(), family.triggers(parameters, targets), strict=True)


def logarithm(size: float, unreached: float = math.nan) -> float:
    """Return the logarithm of a trigger's size; `unreached` where that is infinite."""
    return math.log(max(size, 1e-3)) if math.isfinite(size) else unreached
