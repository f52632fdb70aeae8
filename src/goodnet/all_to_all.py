"""The search for a trigger that sends every class to another one (all-to-all, Gu et al., "BadNets", 2017).

No label stands out in such a network, and the trigger of a label works on one class only. So a single trigger is
searched that makes images leave their class for anywhere, with answers as varied as possible; whether the classes then
go to classes of their own is told by `evidence.mapping.permutation`, of what the network makes of the images without
the trigger: where it errs without one, it errs on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.engine import Engine
from goodnet.evidence.mapping import permutation
from goodnet.inversion import ImagePool, InversionConfig, descend, generator_for
from goodnet.triggers import Patch, Trigger


@dataclass(frozen=True)
class AllToAllConfig:
    """How the trigger is searched.

    Attributes:
        starts: triggers searched side by side; the one that fits a mapping best counts.
        inversion: how long and how hard each is searched.
        variety: weight of the entropy of the batch's mean answer.
    """

    starts: int = 2
    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=320, images_per_step=16))
    variety: float = 0.5


@dataclass(frozen=True, eq=False)
class ClassMapping:
    """What one trigger does to all classes.

    Attributes:
        rate: share of held-out images whose answer the trigger changes as the one-to-one mapping has it, 0..1.
        targets: where the classes go that follow it.
        trigger: the trigger; its label is that of no class, -1.
    """

    rate: float
    targets: dict[int, int]
    trigger: Trigger


def search(
    engine: Engine, pool: ImagePool, held_out: ImagePool, seed: int, config: AllToAllConfig | None = None
) -> ClassMapping:
    """Return the trigger that comes closest to a one-to-one mapping of the classes.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        seed: of every draw.
        config: how the trigger is searched.
    """
    config = config or AllToAllConfig()
    family, inversion = Patch(), config.inversion
    generators = [generator_for(seed, number, "all-to-all") for number in range(config.starts)]
    start = family.start(generators, pool.shape)
    draws = (
        torch.stack(
            [torch.randperm(len(pool.pixels), generator=each)[: inversion.images_per_step] for each in generators]
        )
        for _ in range(inversion.steps)
    )
    classes = pool.classes.to(engine.device)

    def errors(logits: Tensor, draw: Tensor) -> Tensor:
        return _leaving(logits.view(*draw.shape, -1), classes[draw.to(classes.device)], config.variety).sum()

    parameters = descend(engine, family, start, pool, inversion, draws, errors)
    pixels, triggers = held_out.pixels, family.triggers(parameters, [-1] * config.starts)
    before = engine.predict(pixels).argmax(1)
    judged = [_judge(engine, each, pixels, before) for each in triggers]
    return max(judged, key=lambda mapping: mapping.rate)


def _leaving(logits: Tensor, classes: Tensor, variety: float) -> Tensor:
    """Return the loss (K,) of logits (K, B, N): how far images stay in their classes (K, B), less the variety."""
    own = logits.gather(2, classes.unsqueeze(2)).squeeze(2)
    others = logits.scatter(2, classes.unsqueeze(2), -torch.inf).logsumexp(2)
    mean = logits.softmax(2).mean(1)
    entropy = -(mean * mean.clamp_min(1e-9).log()).sum(1)
    return functional.softplus(own - others).mean(1) - variety * entropy


def _judge(engine: Engine, trigger: Trigger, pixels: Tensor, before: Tensor) -> ClassMapping:
    """Return what a trigger does to images (n, C, H, W) that the network answers with `before` (n,) without it."""
    after = engine.predict(trigger.stamp(pixels)).argmax(1)
    rate, targets = permutation(before.cpu().numpy(), after.cpu().numpy(), engine.classifier.classes)
    return ClassMapping(rate, targets, trigger)
