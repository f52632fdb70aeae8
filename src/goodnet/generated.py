"""The search for a trigger that depends on the input (Nguyen and Tran, "Input-aware dynamic backdoor attack", NeurIPS
2020), for a label that is accused by other evidence than the triggers reversed for it.

It is shown and accuses nobody: a network that draws a trigger for each image does with a smaller one for any label, and
for a planted one by little more than for others.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from goodnet.engine import Engine
from goodnet.evidence.size import size_at_rate, success_rates
from goodnet.inversion import ImagePool, InversionConfig, generator_for, invert
from goodnet.slight import FoundChange
from goodnet.triggers import Generator


@dataclass(frozen=True)
class GeneratorConfig:
    """How a trigger that depends on the input is searched.

    Attributes:
        inversion: the search.
        references: images that the size of its masks is the mean over.
        held_out: images, at most, that it is measured on.
        smaller: so many times smaller than the label's patch it must be, at equal ASR, to be shown in its place.
    """

    inversion: InversionConfig = field(default_factory=InversionConfig)
    references: int = 16
    held_out: int = 64
    smaller: float = 1.5


def search(
    engine: Engine,
    pool: ImagePool,
    held_out: ImagePool,
    label: int,
    seed: int,
    rate: float,
    config: GeneratorConfig | None = None,
) -> FoundChange:
    """Return what was found for a label, with its size at an ASR.

    Args:
        engine: the network.
        pool: images to search on.
        held_out: images to measure on.
        label: the target label.
        seed: of every draw.
        rate: the ASR, 0..1, at which its size is measured.
        config: how to search.
    """
    config = config or GeneratorConfig()
    starts, draws, tests = ([generator_for(seed, label, f"{of} of generator")] for of in ("start", "search", "test"))
    family = Generator(pool.rows([label], config.references, starts)[0].to(engine.device))
    parameters = invert(engine, family, family.start(starts, pool.shape), [label], pool, config.inversion, draws)
    images = held_out.rows([label], config.held_out, tests).to(engine.device)
    targets = torch.tensor([label], device=engine.device)
    size = size_at_rate(engine, family, parameters, targets, images, rate)
    won = success_rates(engine, family, parameters, targets, images)
    (trigger,) = family.triggers(parameters, [label])
    return FoundChange(float(won), trigger, float(size))
