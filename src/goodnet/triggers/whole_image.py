"""What all changes of the whole image have in common: one tensor a trigger, and the nearer to 0 the slighter."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger


@dataclass(frozen=True)
class WholeImage(ABC):
    """A change of the whole image, given by one tensor that is 0 where nothing changes.

    Attributes:
        start_spread: standard deviation of the tensor at the start.
        pixels: the pixels of a patch that one unit of a change's size counts as much as.
        pace: learning rate of the tensor over that of a mask.
        name: of the family.
        part: name of the tensor among the parameters, and of what a `Trigger` holds of it.
    """

    start_spread: float
    pixels: float
    pace: float
    name: str
    part: ClassVar[str]

    @abstractmethod
    def part_shape(self, shape: Shape) -> tuple[int, ...]:
        """Return the shape of the tensor for images of a shape (C, H, W)."""

    @abstractmethod
    def held(self, parameters: Parameters, shape: Shape) -> Tensor:
        """Return what a `Trigger` holds of each change (K, ...), for images of a shape (C, H, W)."""

    @abstractmethod
    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) in 0..1 with change k on row k."""

    @abstractmethod
    def size(self, parameters: Parameters) -> Tensor:
        """Return how big each change is, (K,); proportional to its tensor."""

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rate of the tensor, relative to that of the search."""
        return {self.part: self.pace}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return almost no change, drawn anew for each of K generators."""
        wanted = self.part_shape(shape)
        return {
            self.part: self.start_spread * torch.stack([torch.randn(wanted, generator=each) for each in generators])
        }

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search, for images of any size."""
        return self.pixels

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return changes that are larger (amount > 0) or smaller by amount (K,)."""
        return self._scaled(parameters, (amount / 2).exp())

    def limited(self, parameters: Parameters, size: float) -> dict[str, Tensor]:
        """Return the same changes, those that are larger than a size scaled down to it."""
        return self._scaled(parameters, (size / self.size(parameters)).clamp(max=1))

    def triggers(self, parameters: Parameters, labels: Sequence[int], shape: Shape) -> list[Trigger]:
        """Return K triggers for images of a shape (C, H, W), on the CPU, with empty masks."""
        channels, height, width = shape
        mask, pattern = torch.zeros(1, height, width), torch.zeros(channels, height, width)
        held = self.held(parameters, shape).detach().cpu()
        return [
            Trigger(label, mask, pattern, self.name, **{self.part: each})
            for label, each in zip(labels, held, strict=True)
        ]

    def _scaled(self, parameters: Parameters, factors: Tensor) -> dict[str, Tensor]:
        part = parameters[self.part]
        return {self.part: part * factors.view(-1, *[1] * (part.ndim - 1))}
