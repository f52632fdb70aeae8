"""The search for a trigger that sends every class to another one (all-to-all, Gu et al., "BadNets", 2017).

No label stands out in such a network, and the trigger of a label works on one class only. Where it is known which class
goes where, a trigger is soon reversed that sends each there, and in a clean network there is none, whatever its size.
So the usual mapping is tried at once. Others are guessed from triggers: what moves one class of such a network moves
the others as well. Where not every pair of classes is searched, guesses come from triggers that make images leave their
class for anywhere, with answers as varied as possible.

What follows the mapping is what the network makes of the images without the trigger: where it errs without one, it errs
on from there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.engine import Engine
from goodnet.evidence.mapping import follow, likeliest
from goodnet.inversion import ImagePool, InversionConfig, descend, generator_for
from goodnet.triggers import Patch, Trigger

NO_CLASS = -1
"""The label of a trigger that sends each class elsewhere."""

AWAY = InversionConfig(steps=240, images_per_step=16).between(0, 80)
"""A search whose weight of the size rises more slowly than that of one that is to end."""


@dataclass(frozen=True)
class AllToAllConfig:
    """How the trigger is searched.

    Attributes:
        towards: the search of a trigger towards a known mapping.
        away: the searches of triggers that move images anywhere. Where classes are easily left, searches with a heavy
            weight of the size often end before they have found what is planted; among many labels, those with a light
            one leave a trigger so large that it hides it.
        variety: weight of the entropy of the batch's mean answer there.
        candidates: triggers of single pairs, at most, that a mapping is guessed from.
    """

    towards: InversionConfig = field(default_factory=lambda: InversionConfig().weighted(0.3).between(0, 240))
    away: tuple[InversionConfig, ...] = tuple(AWAY.weighted(factor) for factor in (1.0, 0.3))
    variety: float = 0.5
    candidates: int = 20


@dataclass(frozen=True, eq=False)
class ClassMapping:
    """What one trigger does to all classes.

    Attributes:
        rate: share of held-out images whose answer the trigger changes as the mapping has it, 0..1.
        targets: where the classes go of which at least half do.
        trigger: the trigger; its label is that of no class, -1.
    """

    rate: float
    targets: dict[int, int]
    trigger: Trigger


def usual(
    engine: Engine, pool: ImagePool, held_out: ImagePool, seed: int, config: AllToAllConfig | None = None
) -> ClassMapping:
    """Return what the trigger does that comes closest to sending every class y to y + 1, modulo N, as papers have it.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        seed: of every draw.
        config: how the trigger is searched.
    """
    mapping, inversion = torch.arange(engine.classifier.classes).roll(-1), (config or AllToAllConfig()).towards
    return _towards(engine, pool, held_out, mapping, generator_for(seed, NO_CLASS, "usual mapping"), inversion)


def guessed(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    triggers: Sequence[Trigger],
    seed: int,
    config: AllToAllConfig | None = None,
) -> ClassMapping:
    """Return what the trigger does that comes closest to the mapping that one of the given triggers hints at.

    Args:
        engine: the network.
        pool: images to search on, and to guess on.
        held_out: images to measure on.
        triggers: of single pairs of classes, the most suspicious first; with none, such as move images anywhere.
        seed: of every draw.
        config: how the triggers are searched.
    """
    config = config or AllToAllConfig()
    triggers = triggers[: config.candidates] or [
        _away(engine, pool, generator_for(seed, number, "all-to-all"), inversion, config)
        for number, inversion in enumerate(config.away)
    ]
    outputs = [engine.predict(trigger.stamp(pool.pixels)).softmax(1).cpu().numpy() for trigger in triggers]
    _, mapping = max((likeliest(pool.classes.cpu().numpy(), each) for each in outputs), key=lambda each: each[0])
    generator = generator_for(seed, NO_CLASS, "guessed mapping")
    return _towards(engine, pool, held_out, torch.from_numpy(mapping), generator, config.towards)


def _towards(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    mapping: Tensor,
    generator: torch.Generator,
    inversion: InversionConfig,
) -> ClassMapping:
    """Return what the trigger does that comes closest to a mapping (N,)."""
    family = Patch()
    start = family.start([generator], pool.shape)
    draws = pool.draw(NO_CLASS, inversion.steps * inversion.images_per_step, generator).view(inversion.steps, 1, -1)
    targets = mapping[pool.classes.cpu()].to(engine.device)

    def errors(logits: Tensor, draw: Tensor) -> Tensor:
        return functional.cross_entropy(logits, targets[draw.flatten().to(targets.device)])

    (trigger,) = family.triggers(descend(engine, family, start, pool, inversion, draws, errors), [NO_CLASS])
    before, after = (
        engine.predict(images).argmax(1).cpu().numpy() for images in (held_out.pixels, trigger.stamp(held_out.pixels))
    )
    return ClassMapping(*follow(before, after, mapping.numpy()), trigger)


def _away(
    engine: Engine, pool: ImagePool, generator: torch.Generator, inversion: InversionConfig, config: AllToAllConfig
) -> Trigger:
    """Return a trigger that moves the images of a pool away from their classes, to many others."""
    family = Patch()
    start = family.start([generator], pool.shape)
    draws = (
        torch.randperm(len(pool.pixels), generator=generator)[: inversion.images_per_step].unsqueeze(0)
        for _ in range(inversion.steps)
    )
    classes = pool.classes.to(engine.device)

    def errors(logits: Tensor, draw: Tensor) -> Tensor:
        return _leaving(logits.view(*draw.shape, -1), classes[draw.to(classes.device)], config.variety).sum()

    (trigger,) = family.triggers(descend(engine, family, start, pool, inversion, draws, errors), [NO_CLASS])
    return trigger


def _leaving(logits: Tensor, classes: Tensor, variety: float) -> Tensor:
    """Return the loss (K,) of logits (K, B, N): how far images stay in their classes (K, B), less the variety."""
    own = logits.gather(2, classes.unsqueeze(2)).squeeze(2)
    others = logits.scatter(2, classes.unsqueeze(2), -torch.inf).logsumexp(2)
    mean = logits.softmax(2).mean(1)
    entropy = -(mean * mean.clamp_min(1e-9).log()).sum(1)
    return functional.softplus(own - others).mean(1) - variety * entropy
