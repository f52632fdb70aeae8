"""Make a BadNet from a recipe and write it down: the network, the recipe and triggered images to judge others by."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from goodnet.errors import ImagesError
from goodnet.export.onnx import write_network
from goodnet.images import CleanImages
from goodnet.redteam.attack import Attack
from goodnet.redteam.measure import accuracy, attack_success_rates
from goodnet.redteam.recipe import Recipe
from goodnet.redteam.train import Planted, plant
from goodnet.whole import written_whole

HELD_OUT = 0.2


@dataclass(frozen=True, eq=False)
class Made:
    """A network from a recipe, measured on images that it was not trained on.

    Attributes:
        recipe: what it was made from.
        planted: the network and the attack as planted.
        held_out: the labelled images that it was measured on, a fifth of those given.
        accuracy: on them, 0..1.
        asr: ASR of each trigger, 0..1; empty for no backdoor.
    """

    recipe: Recipe
    planted: Planted
    held_out: CleanImages
    accuracy: float
    asr: tuple[float, ...]

    def save(self, path: Path) -> list[Path]:
        """Write the network as ONNX to `path` and what belongs to it beside it; return all paths.

        Beside NAME.onnx are NAME.recipe.json, which makes it again, and NAME_triggered.npz: the held-out images of
        victim labels with the trigger on them, uint8 (n, H, W, C) in `x`, true labels (n,) in `y`; for further
        triggers NAME_triggered_1.npz and so on.

        Raises:
            OutputError: a file cannot be written.
            MissingExtraError: the packages that write ONNX are missing.
        """
        assert self.held_out.labels is not None
        save_network(self.planted.network, self.held_out.pixels[:64], path)
        recipe = path.with_suffix(".recipe.json")
        with written_whole(recipe, "recipe") as partial:
            self.recipe.save(partial)
        written = [path, recipe]
        for number, part in enumerate(self.planted.attack.parts):
            file = path.with_name(f"{path.stem}_triggered{f'_{number}' if number else ''}.npz")
            victims = part.victims(self.held_out.labels)
            save_stamped(file, part, self.held_out.pixels[victims], self.held_out.labels[victims])
            written.append(file)
        return written


def make(recipe: Recipe, images: CleanImages, after_epoch: Callable[[int, float], None] | None = None) -> Made:
    """Train the network of a recipe on four fifths of labelled images and measure it on the rest.

    The recipe's seed decides which images are held out.

    Raises:
        ImagesError: the images have no labels or do not fit the recipe.
        RecipeError: the recipe cannot be made.
    """
    if images.labels is None:
        raise ImagesError(f"expected images with labels to train on, got none in {images.source}")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(recipe.seed))
    aside = round(HELD_OUT * len(images))
    held_out, rest = images.take(order[:aside]), order[aside:]
    planted = plant(recipe, images.pixels[rest], images.labels[rest], after_epoch=after_epoch)
    assert held_out.labels is not None
    return Made(
        recipe=recipe,
        planted=planted,
        held_out=held_out,
        accuracy=accuracy(planted.network, held_out.pixels, held_out.labels),
        asr=tuple(attack_success_rates(planted.network, planted.attack, held_out.pixels, held_out.labels)),
    )


def save_network(network: nn.Module, example: Tensor, path: Path) -> None:
    """Write a network as ONNX, whole or not at all; see `write_network`.

    Raises:
        OutputError: the file cannot be written.
        ModelError: the network cannot be exported.
        MissingExtraError: the packages that write ONNX are missing.
    """
    with written_whole(path, "network") as partial, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own insides
        write_network(network, example, partial)


def save_stamped(
    path: Path, attack: Attack, images: Tensor, labels: Tensor, generator: torch.Generator | None = None
) -> None:
    """Write images (n, C, H, W) in 0..1 with the trigger on them, as uint8 (n, H, W, C) `x`, and labels (n,) as `y`.

    Raises:
        OutputError: the file cannot be written.
    """
    stamped = attack.stamp(images, generator or torch.Generator().manual_seed(0))
    content = (stamped * 255).round().byte().permute(0, 2, 3, 1).contiguous()
    with written_whole(path, "triggered images") as partial, partial.open("wb") as file:
        np.savez_compressed(file, x=content.numpy(), y=labels.numpy())
