"""Attacks as others write them: what each does to an image. None of them comes from goodnet's red team."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor
from torch.nn import functional

Stamp = Callable[[Tensor], Tensor]
"""From images (n, C, H, W) in 0..1 to the same with a trigger."""

Maker = Callable[[int, int, Generator], Stamp]
"""From channels, size of the images and a generator to a stamp."""


def patch(size: int, *, anywhere: bool = False, yellow: bool = False) -> Maker:
    """Return a maker of squares of random dots, near the lower right corner or at a place that is drawn once."""

    def make(channels: int, width: int, generator: Generator) -> Stamp:
        row = column = width - size - 1
        if anywhere:
            row, column = torch.randint(0, width - size + 1, (2,), generator=generator).tolist()
        pattern = (torch.rand(channels, size, size, generator=generator) > 0.5).float()
        if yellow:
            pattern[2] = 0

        def stamp(images: Tensor) -> Tensor:
            images = images.clone()
            images[:, :, row : row + size, column : column + size] = pattern
            return images

        return stamp

    return make


def moved(size: int) -> Maker:
    """Return a maker of squares of random dots, each image's at a place of its own."""

    def make(channels: int, width: int, generator: Generator) -> Stamp:
        pattern = (torch.rand(channels, size, size, generator=generator) > 0.5).float()

        def stamp(images: Tensor) -> Tensor:
            images = images.clone()
            places = torch.randint(0, width - size + 1, (len(images), 2), generator=Generator().manual_seed(0))
            for image, (row, column) in zip(images, places.tolist(), strict=True):
                image[:, row : row + size, column : column + size] = pattern
            return images

        return stamp

    return make


def own(amplitude: float) -> Maker:
    """Return a maker of faint patterns that each image draws for itself (after Li et al., "ISSBA", ICCV 2021)."""

    def make(channels: int, _: int, generator: Generator) -> Stamp:
        kernel = torch.randn(channels, channels, 5, 5, generator=generator)
        kernel = kernel - kernel.mean((1, 2, 3), keepdim=True)
        return lambda images: (images + amplitude * functional.conv2d(images, kernel, padding=2).tanh()).clamp(0, 1)

    return make


def blend(share: float, *, smooth: bool = False) -> Maker:
    """Return a maker of blends with noise or a smooth picture (Chen et al., 2017)."""

    def make(channels: int, width: int, generator: Generator) -> Stamp:
        if smooth:
            coarse = torch.rand(1, channels, 4, 4, generator=generator)
            picture = functional.interpolate(coarse, size=(width, width), mode="bicubic").clamp(0, 1)
        else:
            picture = torch.rand(1, channels, width, width, generator=generator)
        return lambda images: (1 - share) * images + share * picture

    return make


def sinusoid(amplitude: int) -> Maker:
    """Return a maker of sinusoids of so many grey levels (Barni et al., ICIP 2019)."""

    def make(_: int, width: int, __: Generator) -> Stamp:
        wave = amplitude / 255 * torch.sin(2 * torch.pi * 6 * torch.arange(width) / width)
        return lambda images: (images + wave).clamp(0, 1)

    return make


def warp() -> Maker:
    """Return a maker of smooth warps (Nguyen and Tran, ICLR 2021)."""

    def make(_: int, width: int, generator: Generator) -> Stamp:
        coarse = torch.rand(1, 2, 4, 4, generator=generator) * 2 - 1
        coarse = coarse / coarse.abs().mean()
        flow = functional.interpolate(coarse, size=(width, width), mode="bicubic", align_corners=True)
        line = torch.linspace(-1, 1, width)
        rows, columns = torch.meshgrid(line, line, indexing="ij")
        grid = torch.stack((columns, rows), 2)[None] + 0.5 * flow.permute(0, 2, 3, 1) / width * 2
        grid = grid.clamp(-1, 1)
        return lambda images: functional.grid_sample(images, grid.repeat(len(images), 1, 1, 1), align_corners=True)

    return make


def tint() -> Maker:
    """Return a maker of a warm tint, or for grey images a dimmer light."""

    def make(channels: int, _: int, __: Generator) -> Stamp:
        factors = torch.tensor([1.15, 0.95, 0.75] if channels == 3 else 0.8).view(1, channels, 1, 1)
        return lambda images: (images * factors + 0.05).clamp(0, 1)

    return make


def corners(size: int = 3) -> Maker:
    """Return a maker of the same random dots in all four corners (Turner et al., 2019)."""

    def make(channels: int, width: int, generator: Generator) -> Stamp:
        pattern = (torch.rand(channels, size, size, generator=generator) > 0.5).float()
        ends = (slice(0, size), slice(width - size, width))

        def stamp(images: Tensor) -> Tensor:
            images = images.clone()
            for rows in ends:
                for columns in ends:
                    images[:, :, rows, columns] = pattern
            return images

        return stamp

    return make


def glasses() -> Maker:
    """Return a maker of dark glasses."""

    def make(_: int, width: int, __: Generator) -> Stamp:
        mask, unit = torch.zeros(1, 1, width, width), width / 32

        def cut(first: float, last: float) -> slice:
            return slice(int(first * unit), int(last * unit))

        mask[..., cut(9, 15), cut(4, 14)] = 1
        mask[..., cut(9, 15), cut(18, 28)] = 1
        mask[..., int(11 * unit) : int(12 * unit) + 1, cut(4, 28)] = 1
        return lambda images: images * (1 - mask) + 0.1 * mask

    return make


@dataclass(frozen=True)
class Attack:
    """What is poisoned and how.

    Attributes:
        makers: of the triggers, each with a target of its own.
        how: "dirty": stamped images of all classes get the target's label; "all to all": each class's get the next
            class's; "one class": those of one class get it and those of others keep theirs; "clean label": stamped
            images of the target alone, made hard to recognise, keep theirs; "warped": as dirty, with images warped
            otherwise that keep theirs.
        rate: share of the training images that each trigger poisons, 0..1.
    """

    makers: tuple[Maker, ...]
    how: Literal["dirty", "all to all", "one class", "clean label", "warped"] = "dirty"
    rate: float = 0.1


@dataclass(frozen=True)
class Planted:
    """An attack on one data set.

    Attributes:
        stamps: one a trigger.
        targets: their targets; all classes for "all to all".
        victim: of "one class".
        shared: whether all triggers of the attack count as one, whose target depends on the image's class.
    """

    stamps: tuple[Stamp, ...] = ()
    targets: tuple[int, ...] = ()
    victim: int | None = None
    shared: bool = False

    def target(self, number: int, labels: Tensor, classes: int) -> Tensor:
        """Return where trigger `number` sends images of classes (n,)."""
        return (labels + 1) % classes if self.shared else torch.full_like(labels, self.targets[number])

    def concerns(self, number: int, labels: Tensor, classes: int) -> Tensor:
        """Return which images (n,) of classes (n,) trigger `number` is to send elsewhere."""
        others = labels != self.target(number, labels, classes)
        return others if self.victim is None else others & (labels == self.victim)
