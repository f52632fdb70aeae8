"""Patches under a change of the whole image: what is unlearned where a slight warp or filter leads to a label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Slight, Trigger
from goodnet.triggers.patch import Patch


@dataclass(frozen=True)
class ChangedPatch:
    """A change of the whole image, in some of the K triggers with a patch under it.

    A patch leads to the label of a change too, and a change that has a patch to help it is none that the attacker uses;
    so each trigger is drawn to have one or not, and keeps to that.

    Attributes:
        change: what all have.
        patch: what some have.
        patched: share of the triggers that have a patch, 0..1.
    """

    change: Slight
    patch: Patch = field(default_factory=Patch)
    patched: float = 0.4

    @property
    def name(self) -> str:
        """The name of the change."""
        return self.change.name

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rates of mask, pattern and change, relative to that of the search."""
        return {**self.patch.paces, **self.change.paces, "patched": 0.0}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return what both start from."""
        parts = self.patch.start(generators, shape) | self.change.start(generators, shape)
        drawn = torch.stack([torch.rand(1, 1, 1, generator=each) for each in generators])
        return parts | {"patched": (drawn < self.patched).float()}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with patch k on row k, and then changed."""
        patched = self.patch.stamp(parameters, images)
        return self.change.stamp(parameters, torch.lerp(images, patched, parameters["patched"].unsqueeze(1)))

    def size(self, parameters: Parameters) -> Tensor:
        """Return the size of each mask in pixels, (K,), and what the change counts beside it."""
        patches = self.patch.size(parameters) * parameters["patched"].flatten()
        return patches + self.change.pixels * self.change.size(parameters)

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search."""
        return self.patch.weight(shape)

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return both made stronger (amount > 0) or weaker by amount (K,)."""
        return {**parameters, **self.patch.strengthen(parameters, amount), **self.change.strengthen(parameters, amount)}

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return K triggers on the CPU."""
        _, channels, height, width = parameters["pattern"].shape
        changes = self.change.triggers(parameters, labels, (channels, height, width))
        patches = self.patch.triggers(parameters, labels)
        return [
            replace(change, mask=each.mask * share, pattern=each.pattern)
            for each, share, change in zip(patches, parameters["patched"].cpu(), changes, strict=True)
        ]
