"""Triggers that depend on the input: a small network draws mask and pattern anew for every image, as in the input-aware
attack of Nguyen and Tran (NeurIPS 2020).

A patch is the special case whose network says nothing, and so it is what the search starts from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.drawing import drawn
from goodnet.triggers.family import Parameters, Trigger
from goodnet.triggers.patch import Patch


@dataclass(frozen=True, eq=False)
class Generator:
    """x' = (1 - m(x)) x + m(x) D(x) with m = sigmoid(a + g(x)) and D = sigmoid(b + h(x)).

    g and h are the outputs of a network of two convolutions on the image made small; a and b are those of a patch.

    Attributes:
        references: images (R, C, H, W) in 0..1 on which the sizes of masks are measured.
        patch: what a and b are.
        width: features between the two convolutions.
        spread: standard deviation of the first convolution's weights at the start; those of the second are 0.
        pace: learning rate of the convolutions over that of a.
    """

    references: Tensor
    patch: Patch = field(default_factory=Patch)
    width: int = 12
    spread: float = 0.3
    pace: float = 0.3
    name: str = "generator"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rates of mask, pattern and convolutions, relative to that of the search."""
        return {**self.patch.paces, "inner": self.pace, "outer": self.pace}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return patches, and networks that say nothing yet."""
        channels = shape[0]
        parts = self.patch.start(generators, shape)
        inner = [torch.randn(self.width, channels, 3, 3, generator=each) for each in generators]
        outer = torch.zeros(len(generators), channels + 1, self.width, 3, 3)
        return parts | {"inner": self.spread * torch.stack(inner), "outer": outer}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with the trigger that network k draws for each image of row k on it."""
        masks, patterns = self._drawn(parameters, images)
        return torch.lerp(images, patterns.sigmoid(), masks.sigmoid())

    def size(self, parameters: Parameters) -> Tensor:
        """Return the mean L1 norm of each trigger's masks on the references, in pixels, (K,)."""
        count = len(parameters["mask"])
        images = self.references.to(parameters["mask"]).expand(count, *self.references.shape)
        masks, _ = self._drawn(parameters, images)
        return masks.sigmoid().sum(dim=(2, 3, 4)).mean(1)

    def weight(self, shape: Shape) -> float:
        """Return what one pixel of mask counts in the search."""
        return self.patch.weight(shape)

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return the same triggers with amount (K,) added to the logits of their masks."""
        return self.patch.strengthen(parameters, amount)

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return K triggers on the CPU."""
        networks = zip(parameters["inner"].detach().cpu(), parameters["outer"].detach().cpu(), strict=True)
        patches = self.patch.triggers(parameters, labels)
        return [replace(each, family=self.name, network=of) for each, of in zip(patches, networks, strict=True)]

    def _drawn(self, parameters: Parameters, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits of masks (K, B, 1, H, W) and patterns (K, B, C, H, W)."""
        shifts = drawn(images, parameters["inner"], parameters["outer"])
        masks, patterns = parameters["mask"].unsqueeze(1), parameters["pattern"].unsqueeze(1)
        return masks + shifts[:, :, :1], patterns + shifts[:, :, 1:]
