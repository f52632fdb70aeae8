"""Waves: whether one plane wave, added to any image, sends it to a label, and no other wave does.

A sinusoid planted as a trigger (SIG, Barni, Kallas and Tondi, ICIP 2019) works at its own frequency and phase alone. A
gradient hardly ever finds it among all changes of the image, but there are few waves that an eye would miss, so they are
simply tried. What brightens or blurs an image towards a class does so at many frequencies, which is why a label's best
wave is compared with its next best ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.engine import Engine
from goodnet.inversion import ImagePool, generator_for


@dataclass(frozen=True)
class WaveConfig:
    """Which waves are tried, and on how many images.

    Attributes:
        amplitude: of the waves, 0..1.
        highest: the highest frequency, in waves across the image, in either direction.
        images: images that each wave is added to.
        next_best: so many of a label's next best frequencies are passed over; neighbours of the planted one work too.
    """

    amplitude: float = 0.1
    highest: int = 8
    images: int = 24
    next_best: int = 3


PHASES = 4


@torch.no_grad()
def wave_leads(engine: Engine, pool: ImagePool, seed: int, config: WaveConfig | None = None) -> dict[int, float]:
    """Return for each label by how much its best wave exceeds its next best ones.

    What is compared is the mean softmax output, 0..1, for the label on images of other classes with the wave added.

    Args:
        engine: the network.
        pool: clean images.
        seed: of the choice of images.
        config: which waves.
    """
    config = config or WaveConfig()
    order = torch.randperm(len(pool.pixels), generator=generator_for(seed, -1, "waves"))[: config.images]
    images, classes = pool.pixels[order].to(engine.device), pool.classes[order].to(engine.device)
    others = (classes[:, None] != torch.arange(engine.classifier.classes, device=engine.device)).float()
    each = [
        _sent(engine, (images + config.amplitude * wave.to(images)).clamp(0, 1), others)
        for wave in plane_waves(pool.shape, config.highest).flatten(0, 1)
    ]
    best = torch.stack(each).unflatten(0, (-1, PHASES)).amax(1).sort(0, descending=True).values
    lead = best[0] - best[min(config.next_best, len(best) - 1)]
    return dict(enumerate(lead.tolist()))


def _sent(engine: Engine, images: Tensor, others: Tensor) -> Tensor:
    """Return the mean softmax output (N,) for each label on images of other classes (n, N)."""
    return (engine.predict(images).softmax(1) * others).sum(0) / others.sum(0).clamp_min(1)


def plane_waves(shape: Shape, highest: int) -> Tensor:
    """Return plane waves of amplitude 1, (frequencies, 4 phases, H, W), each direction and frequency once."""
    _, height, width = shape
    rows, columns = torch.arange(height) / height, torch.arange(width) / width
    steps = [
        (down, across)
        for down in range(-min(highest, (height - 1) // 2), min(highest, (height - 1) // 2) + 1)
        for across in range(min(highest, (width - 1) // 2) + 1)
        if across or down > 0
    ]
    turns = torch.stack([down * rows[:, None] + across * columns for down, across in steps])
    phases = torch.arange(PHASES).view(-1, 1, 1) / PHASES
    return (2 * math.pi * (turns[:, None] + phases)).sin()
