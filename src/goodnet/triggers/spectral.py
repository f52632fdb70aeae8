"""A faint change of the whole image that consists of few spatial frequencies.

Blended pictures, waves, smooth patterns and small warps are spread over all pixels, so a mask has no small place to
close in on. In the frequency domain many of them are sparse: what Zeng et al. ("Rethinking the backdoor attacks'
triggers: a frequency perspective", ICCV 2021) use to recognise stamped images serves here to reverse the triggers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger

REFERENCE_SIDE = 32


@lru_cache(maxsize=8)
def cosines(length: int) -> Tensor:
    """Return the orthonormal matrix (length, length) of the discrete cosine transform, one frequency a row."""
    frequency, place = torch.arange(length)[:, None], torch.arange(length) + 0.5
    matrix = torch.cos(math.pi / length * frequency * place) * math.sqrt(2 / length)
    matrix[0] /= math.sqrt(2)
    return matrix


@dataclass(frozen=True)
class Spectral:
    """x' = x + relu(d) * (1 - x) - relu(-d) * x, where d (C, H, W) in -1..1 is a sum of cosines.

    This lightens pixels where d > 0 and darkens them where d < 0, and never leaves 0..1. It is the blend of a pattern
    of zeros and ones under the mask |d|, so that a `Trigger` can hold it.

    Attributes:
        start_spread: standard deviation of the coefficients at the start.
        pace: learning rate of the coefficients, relative to that of the search.
    """

    start_spread: float = 0.01
    pace: float = 0.2
    name: str = "spectral"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rate of the coefficients, relative to that of the search."""
        return {"coefficients": self.pace}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return almost no change, drawn anew for each of K generators."""
        noise = torch.stack([torch.randn(shape, generator=each) for each in generators])
        return {"coefficients": self.start_spread * noise}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with change k on row k."""
        change = self._change(parameters).unsqueeze(1)
        return images + change.clamp(0, 1) * (1 - images) + change.clamp(-1, 0) * images

    def size(self, parameters: Parameters) -> Tensor:
        """Return the L1 norm of each change's coefficients, (K,), over that of an even change by 1 of one channel.

        So it does not depend on the resolution, and one wave of amplitude a in one channel is a * sqrt(2) / 2.
        """
        coefficients = parameters["coefficients"]
        height, width = coefficients.shape[-2:]
        return coefficients.abs().sum(dim=(1, 2, 3)) / math.sqrt(height * width)

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search: the same for images of any size."""
        return REFERENCE_SIDE

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return the same changes, each times the square root of e to the power of amount (K,)."""
        return {"coefficients": parameters["coefficients"] * (amount / 2).exp().view(-1, 1, 1, 1)}

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return K triggers on the CPU, with a mask (C, H, W) and a pattern of zeros and ones."""
        changes = self._change(parameters).detach().clamp(-1, 1).cpu()
        return [
            Trigger(label, change.abs(), (change > 0).to(change), self.name)
            for label, change in zip(labels, changes, strict=True)
        ]

    def _change(self, parameters: Parameters) -> Tensor:
        coefficients = parameters["coefficients"]
        rows, columns = (cosines(length).to(coefficients) for length in coefficients.shape[-2:])
        return rows.T @ coefficients @ columns
