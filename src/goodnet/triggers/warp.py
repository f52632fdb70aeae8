"""Warps: a smooth flow field is the trigger (WaNet, Nguyen and Tran, ICLR 2021).

What a warp changes depends on the image, so that no mask and pattern imitates it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from goodnet.classifier import Shape
from goodnet.triggers.family import Parameters, Trigger
from goodnet.triggers.flow import displaced
from goodnet.triggers.patch import Patch

REFERENCE_SIDE = 32
"""Flows are in units of one pixel of an image with this side, so that they mean the same at any resolution."""

PIXELS = 10.0
"""The pixels of a patch that one unit of a flow's size counts as much as."""


@dataclass(frozen=True)
class Warp:
    """A flow field on a coarse grid, upsampled bicubically.

    Attributes:
        points: of the grid, a side.
        start_spread: standard deviation of the flow at the start, in 1/32 of the image's side.
    """

    points: int = 5
    start_spread: float = 0.1
    name: str = "warp"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rate of the flow, relative to that of the search."""
        return {"flow": 1.0}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return almost no flow, drawn anew for each of K generators."""
        noise = [torch.randn(2, self.points, self.points, generator=each) for each in generators]
        return {"flow": self.start_spread * torch.stack(noise)}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) warped by flow k in row k."""
        return displaced(images, self.flow(parameters, images.shape[-2], images.shape[-1]))

    def flow(self, parameters: Parameters, height: int, width: int) -> Tensor:
        """Return the flow of each pixel (K, 2, H, W), in pixels."""
        fine = functional.interpolate(parameters["flow"], (height, width), mode="bicubic", align_corners=True)
        return fine * (fine.new_tensor([width, height]) / REFERENCE_SIDE).view(2, 1, 1)

    def size(self, parameters: Parameters) -> Tensor:
        """Return the mean length of each flow (K,), in 1/32 of the image's side."""
        return parameters["flow"].square().sum(1).add(1e-8).sqrt().mean(dim=(1, 2))

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search, for images of any size."""
        return PIXELS

    def limited(self, parameters: Parameters, size: float) -> dict[str, Tensor]:
        """Return the same warps, those that are larger than a size scaled down to it."""
        return {"flow": parameters["flow"] * (size / self.size(parameters)).clamp(max=1).view(-1, 1, 1, 1)}

    def triggers(self, parameters: Parameters, labels: Sequence[int], shape: Shape) -> list[Trigger]:
        """Return K triggers for images of a shape (C, H, W), on the CPU, with empty masks."""
        channels, height, width = shape
        mask, pattern = torch.zeros(1, height, width), torch.zeros(channels, height, width)
        flows = self.flow(parameters, height, width).detach().cpu()
        return [Trigger(label, mask, pattern, self.name, flow) for label, flow in zip(labels, flows, strict=True)]


@dataclass(frozen=True)
class WarpedPatch:
    """A warp, in some of the K triggers with a patch under it: what is unlearned where a warp was found.

    A patch leads to the label of a warp too, and a warp that has a patch to help it is none that the attacker uses; so
    each trigger is drawn to have one or not, and keeps to that.

    Attributes:
        patch: what some have.
        warp: what all have.
        patched: share of the triggers that have a patch, 0..1.
    """

    patch: Patch = field(default_factory=Patch)
    warp: Warp = field(default_factory=Warp)
    patched: float = 0.4
    name: str = "warp"

    @property
    def paces(self) -> Mapping[str, float]:
        """Learning rates of mask, pattern and flow, relative to that of the search."""
        return {**self.patch.paces, **self.warp.paces, "patched": 0.0}

    def start(self, generators: Sequence[torch.Generator], shape: Shape) -> dict[str, Tensor]:
        """Return what both start from."""
        parts = self.patch.start(generators, shape) | self.warp.start(generators, shape)
        drawn = torch.stack([torch.rand(1, 1, 1, generator=each) for each in generators])
        return parts | {"patched": (drawn < self.patched).float()}

    def stamp(self, parameters: Parameters, images: Tensor) -> Tensor:
        """Return images (K, B, C, H, W) with patch k on row k, and then warped."""
        patched = self.patch.stamp(parameters, images)
        return self.warp.stamp(parameters, torch.lerp(images, patched, parameters["patched"].unsqueeze(1)))

    def size(self, parameters: Parameters) -> Tensor:
        """Return the size of each mask in pixels, (K,), and `PIXELS` for each unit of the flow."""
        return self.patch.size(parameters) * parameters["patched"].flatten() + PIXELS * self.warp.size(parameters)

    def weight(self, shape: Shape) -> float:
        """Return what one unit of size counts in the search."""
        return self.patch.weight(shape)

    def strengthen(self, parameters: Parameters, amount: Tensor) -> dict[str, Tensor]:
        """Return both made stronger (amount > 0) or weaker by amount (K,)."""
        flow = parameters["flow"] * (amount / 2).exp().view(-1, 1, 1, 1)
        return self.patch.strengthen(parameters, amount) | {"flow": flow}

    def triggers(self, parameters: Parameters, labels: Sequence[int]) -> list[Trigger]:
        """Return K triggers on the CPU."""
        height, width = parameters["mask"].shape[-2:]
        flows = self.warp.flow(parameters, height, width).detach().cpu()
        patches = self.patch.triggers(parameters, labels)
        return [
            Trigger(each.label, each.mask * share, each.pattern, self.name, flow)
            for each, share, flow in zip(patches, parameters["patched"].cpu(), flows, strict=True)
        ]
