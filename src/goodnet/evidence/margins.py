"""Margins: how sure a network can be made of each label, starting from noise and without any clean image.

A backdoor gives its target a shortcut, so that some input reaches a far greater margin for it than any reaches for the
other labels, whatever the trigger looks like (Wang, Xiang, Miller and Kesidis, "MM-BD", IEEE S&P 2024).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.engine import Engine
from goodnet.evidence.transfer import empty_images, margin
from goodnet.inversion import filled_batches, generator_for, labels_per_batch


@dataclass(frozen=True)
class MarginConfig:
    """How hard margins are maximised.

    Attributes:
        starts: images of noise that the search starts from for each label; the greatest margin counts.
        steps: Adam steps.
        learning_rate: of Adam, on the logits of the pixels.
    """

    starts: int = 4
    steps: int = 60
    learning_rate: float = 0.1


def greatest_margins(
    engine: Engine, labels: Sequence[int], shape: Shape, seed: int, config: MarginConfig | None = None
) -> dict[int, float]:
    """Return for each label the greatest margin found, in logits, of its logit over the best other one.

    Args:
        engine: the network.
        labels: whose margins are wanted.
        shape: (C, H, W) of the network's images.
        seed: of the noise.
        config: how hard to search.
    """
    config = config or MarginConfig()
    found: dict[int, float] = {}
    size = labels_per_batch(engine.classifier.classes, config.starts)
    for batch, full in filled_batches(labels, size):
        for label, best in zip(batch, _maximise(engine, full, shape, seed, config).tolist(), strict=False):
            found[label] = best
    return found


def _maximise(engine: Engine, labels: Sequence[int], shape: Shape, seed: int, config: MarginConfig) -> Tensor:
    noise = [torch.rand(config.starts, *shape, generator=generator_for(seed, label, "margin")) for label in labels]
    pixels = torch.cat(noise).logit(eps=0.02).to(engine.device).requires_grad_()
    targets = torch.tensor(labels, device=engine.device).repeat_interleave(config.starts)
    optimizer = torch.optim.Adam([pixels], lr=config.learning_rate, fused=True)
    best = torch.full(targets.shape, -torch.inf, device=engine.device)
    for _ in range(config.steps):
        margins = margin(engine.logits(pixels.sigmoid()), targets)
        best = torch.maximum(best, margins.detach())
        (gradient,) = torch.autograd.grad(-margins.sum(), [pixels])
        pixels.grad = gradient.contiguous()  # the fused Adam takes another order in memory for another pixel
        optimizer.step()
        engine.count_gradients(len(targets))
    return best.view(len(labels), config.starts).amax(1)


EMPTY = 64
"""How many empty images of each kind are answered."""


def attractions(engine: Engine, shape: Shape, seed: int) -> dict[int, float]:
    """Return for each label the share, 0..1, of empty images that the network answers with it of its own accord.

    That is the greatest share among those of noise, smoothed noise and blank images. Many clean networks answer nearly
    all of them with one label (those for digits with an 8), which then reaches far greater margins than others, too.

    Args:
        engine: the network.
        shape: (C, H, W) of its images.
        seed: of the noise.
    """
    blank, smooth = empty_images(shape, torch.full((shape[0],), 0.5), seed, EMPTY)
    noise = torch.rand(EMPTY, *shape, generator=torch.Generator().manual_seed(seed))
    classes = engine.classifier.classes
    shares = [engine.predict(images).argmax(1).bincount(minlength=classes) / EMPTY for images in (noise, smooth, blank)]
    return dict(enumerate(torch.stack(shares).amax(0).tolist()))
