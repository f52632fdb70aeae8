"""Transfer: how well a trigger works on images that show nothing.

A planted trigger was trained to work on anything, while what is reversed for a label without a backdoor leans on
what the images show. So each trigger is stamped on blank and on noise images, and the margin by which its label wins
is compared with the margin that the same images have without it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from goodnet.classifier import Shape
from goodnet.engine import Engine
from goodnet.triggers import Family, Parameters


def empty_images(shape: Shape, mean: Tensor, seed: int, count: int = 8) -> tuple[Tensor, Tensor]:
    """Return blank and noise images, each float32 (count, C, H, W) in 0..1.

    The blank ones run evenly from black to white and end with the clean images' mean colour; the noise is
    uniform, smoothed over blocks of 1, 2, 4, ... pixels in turn.

    Args:
        shape: (C, H, W).
        mean: mean colour (C,) of the clean images, 0..1.
        seed: of the noise.
        count: how many of each.
    """
    channels, height, width = shape
    levels = torch.linspace(0, 1, count - 1).view(-1, 1, 1, 1).expand(-1, channels, height, width)
    blank = torch.cat([levels, mean.cpu().view(1, -1, 1, 1).expand(1, -1, height, width)])
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(count, channels, height, width, generator=generator)
    for number in range(count):
        block = 2 ** (number % 4)
        coarse = noise[number : number + 1, :, : -(-height // block), : -(-width // block)]
        noise[number] = coarse.repeat_interleave(block, 2).repeat_interleave(block, 3)[0, :, :height, :width]
    return blank, noise


def margin(logits: Tensor, labels: Tensor) -> Tensor:
    """Return by how much logits (..., N) of labels (...) exceed the best other logit, (...); negative if they lose."""
    own = logits.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
    others = logits.scatter(-1, labels.unsqueeze(-1), -torch.inf).amax(-1)
    return own - others


@dataclass(frozen=True, eq=False)
class Transfer:
    """What K triggers do to some images.

    Attributes:
        margin: (K,), by how much each trigger's label exceeds the best other label on average, in logits.
        wins: (K,), the share of images sent to the label, 0..1.
        gained: (K,), the share of images sent to the label that go elsewhere without the trigger, 0..1.
    """

    margin: Tensor
    wins: Tensor
    gained: Tensor


@torch.no_grad()
def transfer(engine: Engine, family: Family, parameters: Parameters, labels: Tensor, images: Tensor) -> Transfer:
    """Stamp K triggers on images and see how far their labels win.

    Args:
        engine: the network.
        family: the kind of trigger.
        parameters: K triggers.
        labels: int64 (K,), the target of each.
        images: (K, B, C, H, W) in 0..1, or (B, C, H, W) for the same images under each trigger.
    """
    rows = images if images.ndim == 5 else images.expand(len(labels), -1, -1, -1, -1)
    wanted = labels.view(-1, 1).expand(rows.shape[:2])
    logits = engine.predict(images.flatten(0, -4)).view(*images.shape[:-3], -1)
    elsewhere = logits.expand(*rows.shape[:2], -1).argmax(2) != wanted
    after = margin(engine.predict(family.stamp(parameters, rows).flatten(0, 1)).view(*rows.shape[:2], -1), wanted)
    wins = after > 0
    return Transfer(
        margin=after.mean(1),
        wins=wins.float().mean(1),
        gained=(wins & elsewhere).float().mean(1),
    )
