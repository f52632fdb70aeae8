"""The images a repair works with: some to repair on, some to measure on, and variants of both."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.engine import Engine
from goodnet.errors import ImagesError
from goodnet.images import CleanImages

FEWEST = 2
SPLIT_FROM = 40
"""From so many images on, some are held out; below, all are repaired on, and relatives of them are measured on."""

HELD_OUT_SHARE = 0.2
MOST_HELD_OUT = 400


@dataclass(frozen=True, eq=False)
class RepairImages:
    """Clean images with labels, in two parts.

    Attributes:
        pixels: float32 (n, C, H, W) in 0..1, to repair on.
        labels: int64 (n,), their classes: the user's labels, or the network's answers where there are none.
        held_pixels: float32 (m, C, H, W), to measure and to stop on; never trained on unless `shared`.
        held_labels: int64 (m,); the network's answers where `shared`, to measure whether it keeps them.
        labelled: whether the labels are the user's.
        shared: whether there were too few images to hold any out.
    """

    pixels: Tensor
    labels: Tensor
    held_pixels: Tensor
    held_labels: Tensor
    labelled: bool
    shared: bool


def split(images: CleanImages, engine: Engine, seed: int) -> RepairImages:
    """Divide images into those to repair on and those to measure on.

    Args:
        images: fitted to the model, with labels or without.
        engine: the network, which labels them where they have no labels.
        seed: of the draw.

    Raises:
        ImagesError: there are fewer than two images, or all are of one class.
    """
    if len(images) < FEWEST:
        raise ImagesError(f"expected at least {FEWEST} clean images to repair with, got {len(images)}")
    labels = engine.predict(images.pixels).argmax(1).cpu() if images.labels is None else images.labels
    if len(torch.unique(labels)) < 2:
        raise ImagesError(
            f"all {len(images)} images are of class {int(labels[0])}; a repair needs images of several classes"
        )
    device, labelled = engine.device, images.labels is not None
    pixels, labels = images.pixels.to(device), labels.to(device)
    if len(images) < SPLIT_FROM:
        held = _relatives(pixels, torch.Generator().manual_seed(seed))
        return RepairImages(pixels, labels, held, engine.predict(held).argmax(1), labelled, True)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(device)
    count = min(round(HELD_OUT_SHARE * len(images)), MOST_HELD_OUT)
    held_out, kept = order[:count], order[count:]
    return RepairImages(pixels[kept], labels[kept], pixels[held_out], labels[held_out], labelled, False)


def _relatives(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images with variants, mirror images and blends of them, eight times as many.

    A network that has forgotten all classes but those of the images gives itself away on the blends.
    """
    both = torch.cat([images, images.flip(3)])
    varied = [vary(both, generator) for _ in range(3)]
    return torch.cat([both, varied[0], *(mix(each, generator, share=1.0) for each in varied[1:])])


def vary(images: Tensor, generator: torch.Generator, shift: float = 0.0625, light: float = 0.2) -> Tensor:
    """Return each image moved a little (edges repeated) and made brighter or darker, with other contrast.

    Args:
        images: (n, C, H, W) in 0..1.
        generator: of the draws, on the CPU.
        shift: largest move, as a share of the image's height and width.
        light: largest change of contrast, as a factor, and half of it of brightness.
    """
    count, _, height, width = images.shape
    device = images.device

    def places(size: int) -> Tensor:
        reach = max(1, round(shift * size))
        moves = torch.randint(-reach, reach + 1, (count, 1), generator=generator)
        return (torch.arange(size) + moves).clamp(0, size - 1).to(device)

    rows, columns = places(height), places(width)
    chosen = torch.arange(count, device=device)[:, None, None]
    moved = images.permute(0, 2, 3, 1)[chosen, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    draw = torch.rand(2, count, 1, 1, 1, generator=generator).to(device) * 2 - 1
    return (moved * (1 + light * draw[0]) + light / 2 * draw[1]).clamp(0, 1)


def mirrored(images: Tensor, generator: torch.Generator) -> Tensor:
    """Return images (n, C, H, W), each mirrored left to right or not."""
    chosen = torch.rand(len(images), 1, 1, 1, generator=generator) < 0.5
    return torch.where(chosen.to(images.device), images.flip(3), images)


def mix(images: Tensor, generator: torch.Generator, share: float = 0.5) -> Tensor:
    """Blend a share of the images with others, by at most one half (mixup, Zhang et al. 2018).

    What the old network says of a blend tells more about it than what it says of images it was trained on.
    """
    count = len(images)
    weight = torch.rand(count, 1, 1, 1, generator=generator) / 2
    weight *= torch.rand(count, 1, 1, 1, generator=generator) < share
    return torch.lerp(images, images[torch.randperm(count, generator=generator)], weight.to(images.device))
