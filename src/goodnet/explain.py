"""Why an input is called backdoored: which part of it the verdict hangs on.

Parts of the image are covered with a blurred version of itself, as in occlusion maps (Zeiler and Fergus, ECCV 2014);
where that makes the score of class N fall, the trigger is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from PIL.Image import Image

    from goodnet.goodnet import GoodNet

FRACTIONS = (0.15, 0.25, 0.4)
"""Sides of the covered squares, as shares of the image's shorter side."""

NEGLIGIBLE = 0.05
"""Share of the highest fall below which a pixel counts as no part of the trigger."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """Why one input was called what it was called.

    Attributes:
        answer: its class, N for backdoored.
        without_filter: the class it gets with the filter off.
        probability: of class N, 0..1.
        box: (top, left, height, width) in pixels of the square whose covering lets the probability of N fall most;
            None for an input that is not called backdoored, or where no such square lets it fall.
        heat: float32 (H, W) in 0..1, how much of that fall each pixel has part in.
        text: the above in one sentence.
        pixels: the image, (C, H, W) in 0..1.
    """

    answer: int
    without_filter: int
    probability: float
    box: tuple[int, int, int, int] | None
    heat: Tensor
    text: str
    pixels: Tensor

    def picture(self) -> Image:
        """Return the image, and beside it the image with the trigger's place lit and framed."""
        from goodnet.report.explanation import draw

        return draw(self)


def explain(good: GoodNet, pixels: Tensor) -> Explanation:
    """Explain what a GoodNet says of an image (C, H, W) in 0..1."""
    scores = good.scores(pixels)[0]
    answer, without = int(scores.argmax()), int(scores[:-1].argmax())
    probability = float(scores.softmax(0)[-1])
    heat = torch.zeros(pixels.shape[1:])
    if answer != good.num_classes:
        text = f"class {answer}; not called backdoored (probability {probability:.2f})"
        return Explanation(answer, without, probability, None, heat, text, pixels)
    blurred = _blurred(pixels)
    base = float(scores[-1] - scores[:-1].amax())
    best, box = 0.0, None
    for size in sorted({max(2, round(share * min(pixels.shape[1:]))) for share in FRACTIONS}):
        places = list(_places(pixels.shape[1], pixels.shape[2], size))
        covered = pixels.expand(len(places), -1, -1, -1).clone()
        for number, (top, left) in enumerate(places):
            area = (slice(None), slice(top, top + size), slice(left, left + size))
            covered[number][area] = blurred[area]
        now = good.scores(covered)
        falls = (base - (now[:, -1] - now[:, :-1].amax(1))).clamp_min(0)
        for (top, left), fall in zip(places, falls.tolist(), strict=True):
            heat[top : top + size, left : left + size] += fall / size
            # A larger square has to be clearly better than a smaller one inside it.
            if fall > 1.2 * best:
                best, box = fall, (top, left, size, size)
    heat = heat / heat.amax().clamp_min(1e-9)
    heat[heat < NEGLIGIBLE] = 0
    where = (
        "no part of the image alone carries it"
        if box is None
        else f"it hangs most on the {box[2]}x{box[3]} pixels at row {box[0]}, column {box[1]}"
    )
    text = f"backdoored (probability {probability:.2f}); {where}; with the filter off it would be class {without}"
    return Explanation(answer, without, probability, box, heat, text, pixels)


def _places(height: int, width: int, size: int) -> Iterator[tuple[int, int]]:
    step = max(1, size // 2)
    for top in sorted({*range(0, height - size + 1, step), height - size}):
        for left in sorted({*range(0, width - size + 1, step), width - size}):
            yield top, left


def _blurred(pixels: Tensor) -> Tensor:
    size = max(3, min(pixels.shape[1:]) // 3) | 1
    padded = functional.pad(pixels.unsqueeze(0), [size // 2] * 4, mode="replicate")
    return functional.avg_pool2d(padded, size, stride=1)[0]
