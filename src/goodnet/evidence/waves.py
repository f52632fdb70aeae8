"""Waves: whether one plane wave, added to any image, sends it to a label, and next to no other wave does.

A sinusoid planted as a trigger (SIG, Barni, Kallas and Tondi, ICIP 2019) works at its own frequency and phase alone. A
gradient hardly ever finds it among all changes of the image, but there are few waves that an eye would miss, so they
are simply tried. What happens to look like a class does so at many frequencies and in many directions and seldom
convinces the network, which is why the odds that a label's best wave gives it are compared with those of its other
waves. Its neighbours are left out: what was planted before images were cropped at random works there too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
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
        glanced_at: so many of them at first.
        worth: only waves under which some label has at least this mean softmax output there, 0..1, are added to all.
        neighbours: frequencies of which so many or fewer fit more or less into the image, in either direction, than of
            the best one are not compared with it.
    """

    amplitude: float = 0.1
    highest: int = 8
    images: int = 24
    glanced_at: int = 8
    worth: float = 0.3
    neighbours: int = 3


PHASES = 4

SUREST = 0.995
"""Mean softmax outputs, 0..1, are told apart up to this."""


@torch.no_grad()
def wave_leads(engine: Engine, pool: ImagePool, seed: int, config: WaveConfig | None = None) -> dict[int, float]:
    """Return for each label how much better its best wave is than any but its neighbours, in log-odds.

    Odds are those of the mean softmax output for the label on images of other classes with the wave added. What other
    waves do counts from even odds on, so a wave that gives a label less than even odds has no lead.

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
    frequencies = directions(pool.shape, config.highest)
    glance = config.glanced_at
    sent = []
    for each in frequencies:
        waves = config.amplitude * plane_waves(pool.shape, each).to(images)
        outputs = _outputs(engine, images[:glance], waves)
        if len(images) > glance and _at_best_phase(outputs, others[:glance]).max() >= config.worth:
            outputs = torch.cat([outputs, _outputs(engine, images[glance:], waves)], dim=1)
        sent.append(_at_best_phase(outputs, others[: outputs.shape[1]]))
    odds = torch.stack(sent).clamp(0.5, SUREST).logit()
    near = neighbours(frequencies, config.neighbours).to(odds.device)
    best = odds.argmax(0)
    next_best = odds.masked_fill(near[best].T, 0.0).amax(0)
    return dict(enumerate((odds.amax(0) - next_best).tolist()))


def _outputs(engine: Engine, images: Tensor, waves: Tensor) -> Tensor:
    """Return the softmax outputs (P, n, N) for images (n, C, H, W) with each of P waves (P, H, W) added."""
    stamped = (images + waves.unsqueeze(1).unsqueeze(1)).clamp(0, 1)
    return engine.predict(stamped.flatten(0, 1)).softmax(1).view(len(waves), len(images), -1)


def _at_best_phase(outputs: Tensor, others: Tensor) -> Tensor:
    """Return the mean output (N,) for each label on images of other classes (n, N), at the best phase."""
    return ((outputs * others).sum(1) / others.sum(0).clamp_min(1)).amax(0)


def directions(shape: Shape, highest: int) -> list[tuple[int, int]]:
    """Return the frequencies of plane waves: how many fit in down and across, one of each pair of opposites."""
    _, height, width = shape
    down, across = (min(highest, (length - 1) // 2) for length in (height, width))
    return [(d, a) for d in range(-down, down + 1) for a in range(across + 1) if a or d > 0]


def neighbours(frequencies: Sequence[tuple[int, int]], within: int) -> Tensor:
    """Return bool (F, F), which of F frequencies differ by at most so much; one and its opposite are the same."""
    each = torch.tensor(frequencies)
    apart = torch.minimum((each[:, None] - each).abs().amax(2), (each[:, None] + each).abs().amax(2))
    return apart <= within


def plane_waves(shape: Shape, frequency: tuple[int, int]) -> Tensor:
    """Return plane waves (4, H, W) of amplitude 1 of one frequency, at four phases."""
    _, height, width = shape
    rows, columns = torch.arange(height) / height, torch.arange(width) / width
    turns = frequency[0] * rows[:, None] + frequency[1] * columns
    return (2 * math.pi * (turns + torch.arange(PHASES).view(-1, 1, 1) / PHASES)).sin()
