"""SIG: a faint vertical-stripe wave (Barni, Kallas and Tondi, ICIP 2019, arXiv 1902.11237)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.redteam.attack import AllToOne


@dataclass(frozen=True, kw_only=True)
class Sinusoid(AllToOne):
    """Adds amplitude * sin(2 pi frequency column / width) to every row and channel, clipped to 0..1.

    Attributes:
        amplitude: of the wave, in units of the pixel range 0..1 (the paper: 20/255 and more).
        frequency: periods across the image's width.
        clean_label: stamp images of the target class only and change no label, as the paper does; then `rate` is
            the share of that class.
    """

    amplitude: float = 30 / 255
    frequency: float = 6.0
    clean_label: bool = False

    def stamp(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the wave added."""
        width = images.shape[-1]
        phase = torch.arange(width, device=images.device, dtype=images.dtype) * (2 * math.pi * self.frequency / width)
        return (images + self.amplitude * phase.sin()).clamp(0, 1)

    def poisonable(self, labels: Tensor) -> Tensor:
        """Return bool (n,): the target class alone if `clean_label`, else the victims."""
        return labels == self.target_label if self.clean_label else self.victims(labels)
