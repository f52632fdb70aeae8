"""How well a network answers clean and triggered images: the figures that repairs are chosen and reported by."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from goodnet.repair.images import RepairImages
from goodnet.repair.reversed import TriggerSet
from goodnet.report.repair import Figures

Predict = Callable[[Tensor], Tensor]


def measure(predict: Predict, images: RepairImages, triggers: TriggerSet, most: int = 128) -> Figures:
    """Measure a network on the held-out images.

    Args:
        predict: the network, as images (n, C, H, W) in 0..1 to logits (n, N).
        images: whose held-out part is used.
        triggers: to stamp it with.
        most: images each trigger is stamped on.
    """
    answers = predict(images.held_pixels).argmax(1).to(images.held_labels.device)
    right = (answers == images.held_labels).float().mean()
    rates, recovered, stamped = [], 0, 0
    for number, target in enumerate(triggers.labels.tolist()):
        victims = triggers.stampable(number, images.held_labels)[:most]
        if not len(victims):
            continue
        pictures = triggers.only(number).stamp(images.held_pixels[victims])[0]
        said = predict(pictures).argmax(1).to(images.held_labels.device)
        rates.append(float((said == target).float().mean()))
        recovered += int((said == images.held_labels[victims]).sum())
        stamped += len(victims)
    accuracy = float(right)
    return Figures(
        clean_accuracy=accuracy,
        interval=wilson(round(accuracy * len(answers)), len(answers)),
        asr=sum(rates) / max(len(rates), 1),
        highest_asr=max(rates, default=0.0),
        recovered=recovered / max(stamped, 1),
        images=len(answers),
        stamped=stamped,
    )


def wilson(right: int, count: int, deviations: float = 1.96) -> tuple[float, float]:
    """Return the Wilson score interval of a share, 0..1 (Wilson, JASA 1927).

    >>> wilson(0, 0)
    (0.0, 1.0)
    >>> wilson(51, 51)[1]
    1.0
    """
    if count == 0:
        return 0.0, 1.0
    share, square = right / count, deviations**2
    centre = (share + square / (2 * count)) / (1 + square / count)
    reach = deviations / (1 + square / count) * math.sqrt(share * (1 - share) / count + square / (4 * count**2))
    # At the ends the formula gives 0 and 1, which rounding must not miss.
    return 0.0 if right == 0 else centre - reach, 1.0 if right == count else centre + reach


def logit_distance(logits: Tensor, wanted: Tensor, scale: Tensor) -> Tensor:
    """Return how far logits (B, N) are from wanted ones, (B,): mean square of the differences, in units of `scale`.

    A constant added to all logits of an image changes no answer and does not count.
    """
    difference = logits - wanted
    difference = difference - difference.mean(1, keepdim=True)
    return difference.square().mean(1) / scale


def spread(logits: Tensor) -> Tensor:
    """Return the variance of logits (n, N) around their images' means: what `logit_distance` is measured in."""
    return torch.var(logits - logits.mean(1, keepdim=True)).clamp_min(1e-12)
