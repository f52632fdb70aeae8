"""What every trigger family offers the optimiser, and Trigger, one reversed trigger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.drawing import drawn, shifted
from goodnet.triggers.flow import displaced
from goodnet.triggers.kernel import filtered

Parameters = Mapping[str, Tensor]
"""The parameters of K triggers of one family: float32 tensors (K, ...)."""


def stacked(parameters: Sequence[Parameters]) -> dict[str, Tensor]:
    """Return as those of K triggers the parameters of K single ones, (...) each."""
    return {name: torch.stack([each[name] for each in parameters]) for name in parameters[0]}


@dataclass(frozen=True, eq=False)
class Trigger:
    """One reversed trigger: x' = (1 - m) * x + m * D (Wang et al., IEEE S&P 2019, eq. 2), then a change, if any.

    Attributes:
        label: the label that it pushes inputs to.
        mask: m, float32 (1, H, W) or, where it differs by channel, (C, H, W), in 0..1.
        pattern: D, float32 (C, H, W) in 0..1.
        family: name of the trigger family.
        flow: where each pixel comes from after that, float32 (2, H, W) in pixels to the right and down; None where
            nothing moves.
        kernel: what mixes colours and neighbours after that, float32 (C, C + 1, 3, 3), see `triggers.kernel`; None
            where nothing does.
        victim: the only class that it works on; None for all but the label's own.
        change: what is added to every pixel before flow and kernel, float32 (C, H, W); None where nothing is.
        network: what draws mask and pattern anew for every image, two convolutions float32 (F, C, 3, 3) and
            (C + 1, F, 3, 3), see `triggers.drawing`, by which their logits change; None where they are always the same.
    """

    label: int
    mask: Tensor
    pattern: Tensor
    family: str = "patch"
    flow: Tensor | None = None
    kernel: Tensor | None = None
    victim: int | None = None
    change: Tensor | None = None
    network: tuple[Tensor, Tensor] | None = None

    def stamp(self, images: Tensor) -> Tensor:
        """Return images (n, C, H, W) in 0..1 with the trigger on each of them."""
        mask, pattern = self.drawn_for(images)
        stamped = (1 - mask) * images + mask * pattern
        if self.change is not None:
            stamped = (stamped + self.change.to(images)).clamp(0, 1)
        if self.flow is not None:
            stamped = displaced(stamped[None], self.flow.to(images)[None])[0]
        return stamped if self.kernel is None else filtered(stamped[None], self.kernel.to(images)[None])[0]

    def drawn_for(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mask and pattern as they are stamped on images (n, C, H, W), or those of each image."""
        mask, pattern = self.mask.to(images), self.pattern.to(images)
        if self.network is None:
            return mask, pattern
        inner, outer = (weights.to(images)[None] for weights in self.network)
        shifts = drawn(images[None], inner, outer)[0]
        return shifted(mask, shifts[:, :1]), shifted(pattern, shifts[:, 1:])

    @property
    def size(self) -> float:
        """The L1 norm of the mask, in pixels, or in channels of pixels where it differs by channel."""
        return float(self.mask.sum())


class Searched(Protocol):
    """What the optimiser needs of K triggers of one kind. What happens to one of the K never depends on the others."""

    @property
    def name(self) -> str:
        """The name of the family in reports."""

    @property
    def paces(self) -> Mapping[str, float]:
        """The learning rate of each parameter, relative to that of the search."""

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return the parameters that the search starts from, one trigger for each of K generators."""

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) in 0..1 with the k-th trigger on the k-th row of them."""

    def size(self, parameters: Parameters) -> Tensor:
        """Return how big each trigger is, (K,), in the family's own unit; differentiable."""

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search, on images of a shape (C, H, W)."""

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return the triggers made stronger (amount > 0) or weaker by amount (K,), monotonically."""


class Family(Searched, Protocol):
    """One kind of trigger that can be compared by its size at equal ASR, and shown."""

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return the K triggers for their labels."""


class Slight(Searched, Protocol):
    """A change of the whole image, whose ASR is compared at equal, slight sizes."""

    @property
    def pixels(self) -> float:
        """The pixels of a patch that one unit of size counts as much as."""

    def limited(self, parameters: Parameters, size: float) -> dict[str, Tensor]:
        """Return the same changes, those that are larger than a size scaled down to it."""

    def triggers(self, parameters: Parameters, labels: Sequence[int], shape: Shape) -> list[Trigger]:
        """Return K triggers for images of a shape (C, H, W), on the CPU, with empty masks."""
