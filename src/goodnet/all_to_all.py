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
from goodnet.inversion import MANY, ImagePool, InversionConfig, descend, generator_for
from goodnet.triggers import Patch, Trigger


@dataclass(frozen=True)
class AllToAllConfig:
    """How the trigger is searched.

    Attributes:
        inversion: how long and how hard a trigger is searched.
        many: from so many classes on, searches end early: a mapping of so many shows by then or not at all.
        early: steps after which they end then.
        penalties: factors of the weight of its size, one a search; the trigger that fits a mapping best counts. Where
            classes are easily left, searches with a heavy weight often end before they have found what is planted;
            among many labels, those with a light one leave a trigger so large that it hides it.
        variety: weight of the entropy of the batch's mean answer.
    """

    inversion: InversionConfig = field(default_factory=lambda: InversionConfig(steps=240, images_per_step=16))
    many: int = MANY
    early: int = 80
    penalties: tuple[float, ...] = (1.0, 0.3, 0.3)
    variety: float = 0.5

    def searches(self, classes: int) -> list[InversionConfig]:
        """Return the searches among so many classes."""
        ending = self.inversion.between(0, self.early) if classes >= self.many else self.inversion
        return [ending.weighted(factor) for factor in self.penalties]


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
    before = engine.predict(held_out.pixels).argmax(1)
    triggers = [
        _trigger(engine, pool, generator_for(seed, number, "all-to-all"), inversion, config)
        for number, inversion in enumerate(config.searches(engine.classifier.classes))
    ]
    judged = [_judge(engine, trigger, held_out.pixels, before) for trigger in triggers]
    return max(judged, key=lambda mapping: mapping.rate)


def _trigger(
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

    (trigger,) = family.triggers(descend(engine, family, start, pool, inversion, draws, errors), [-1])
    return trigger


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
