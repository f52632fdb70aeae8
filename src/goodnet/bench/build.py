"""Train the networks of a zoo, each once."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from goodnet.bench.data import Split
from goodnet.bench.parallel import Failure, Task, run_all
from goodnet.bench.sample import read_once
from goodnet.errors import ImagesError
from goodnet.redteam import (
    Attack,
    Recipe,
    RecipeError,
    SourceSpecific,
    accuracy,
    attack_name,
    attack_success_rates,
    plant,
)
from goodnet.redteam.make import save_network, save_stamped
from goodnet.whole import written_whole

TRIGGERED = 500
"""Stamped test images, at most, that are kept of each trigger."""


@dataclass(frozen=True)
class Net:
    """One network of a zoo, as it lies in its folder.

    Attributes:
        name: of the network and its folder.
        data: the data set.
        architecture: of the network.
        kind: the attack's name; "clean" for none.
        targets: the target labels; empty for none.
        source: the victim label, where there is just one.
        accuracy: share of the test images that it gets right, 0..1.
        asr: of each trigger, 0..1.
        seconds: that its training took.
    """

    name: str
    data: str
    architecture: str
    kind: str
    targets: tuple[int, ...]
    source: int | None
    accuracy: float
    asr: tuple[float, ...]
    seconds: float

    @property
    def infected(self) -> bool:
        """Whether it has a backdoor."""
        return bool(self.targets)

    @property
    def line(self) -> str:
        """What it is, in one line."""
        rates = "".join(f", ASR {rate:.1%}" for rate in self.asr)
        return f"build {self.name}: accuracy {self.accuracy:.1%}{rates}, {self.seconds:.0f} s"

    @classmethod
    def load(cls, folder: Path) -> Net:
        """Read what `build` wrote into the network's folder."""
        plain = json.loads((folder / "facts.json").read_text())
        return cls(**plain | {"targets": tuple(plain["targets"]), "asr": tuple(plain["asr"])})


@dataclass(frozen=True, eq=False)
class Triggered:
    """Test images with one of the attacker's triggers on them.

    Attributes:
        pixels: float32 (n, C, H, W) in 0..1.
        labels: their true labels, int64 (n,).
        targets: the label that the attack pushes each to, int64 (n,).
        index: which of the data set's test images they were, int64 (n,).
    """

    pixels: Tensor
    labels: Tensor
    targets: Tensor
    index: Tensor

    def take(self, which: Tensor) -> Triggered:
        """Return those of the images that `which`, bool (n,), chooses."""
        return Triggered(self.pixels[which], self.labels[which], self.targets[which], self.index[which])


@dataclass(frozen=True, kw_only=True)
class BuildTask(Task[Net]):
    """Train one network and fill its folder.

    Attributes:
        recipe: of the network.
        folder: of the network.
        data_folder: of the image sets.
    """

    stage: ClassVar[str] = "build"
    recipe: Recipe
    folder: Path
    data_folder: Path | None

    def run(self) -> Net:
        """Train it."""
        return make(self.recipe, self.folder, self.data_folder)


def build(recipes: Sequence[Recipe], zoo: Path, data: Path | None, jobs: int = 1) -> Iterator[Net | Failure]:
    """Train what is missing from a zoo and yield every network as soon as it is there.

    In the folder of each lie model.onnx (input (n, C, size, size) in 0..1, logits out), recipe.json, facts.json and
    for each trigger triggered_K.npz: up to 500 stamped test images (uint8 NHWC) as `x`, their true labels as `y`. A
    network is made again if its recipe has changed.

    Args:
        recipes: of the networks.
        zoo: folder of the zoo.
        data: folder of the image sets.
        jobs: networks trained at the same time, one thread each.
    """
    missing = []
    for recipe in recipes:
        if is_built(recipe, zoo / recipe.name):
            yield Net.load(zoo / recipe.name)
        else:
            missing.append(BuildTask(net=recipe.name, recipe=recipe, folder=zoo / recipe.name, data_folder=data))
    yield from run_all(missing, jobs)


def make(recipe: Recipe, folder: Path, data: Path | None) -> Net:
    """Train one network and write its folder; facts.json comes last, so a folder that has one is complete."""
    torch.set_num_threads(1)
    split = read_once(recipe.data, data)
    started = time.monotonic()
    planted = plant(recipe, split.train_x, split.train_y)
    network, attack = planted.network, planted.attack
    net = Net(
        name=recipe.name,
        data=recipe.data,
        architecture=recipe.architecture,
        kind=attack_name(recipe.attack),
        targets=attack.targets,
        source=recipe.attack.source if isinstance(recipe.attack, SourceSpecific) else None,
        accuracy=round(accuracy(network, split.test_x, split.test_y), 4),
        asr=tuple(round(rate, 4) for rate in attack_success_rates(network, attack, split.test_x, split.test_y)),
        seconds=round(time.monotonic() - started, 1),
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "facts.json").unlink(missing_ok=True)
    save_network(network, split.test_x[:64], folder / "model.onnx")
    for number, part in enumerate(attack.parts):
        generator = torch.Generator().manual_seed(0)
        chosen = _draw_victims(part, split, generator)
        save_stamped(folder / f"triggered_{number}.npz", part, split.test_x[chosen], split.test_y[chosen], generator)
    recipe.save(folder / "recipe.json")
    with written_whole(folder / "facts.json", "facts of a network") as partial:
        partial.write_text(json.dumps(asdict(net), indent=1) + "\n")
    return net


def is_built(recipe: Recipe, folder: Path) -> bool:
    """Whether a folder has the network of a recipe."""
    if not (folder / "facts.json").exists():
        return False
    try:
        return Recipe.load(folder / "recipe.json") == recipe
    except RecipeError:  # of another version of goodnet
        return False


def load_triggered(folder: Path, split: Split) -> list[Triggered]:
    """Return the stamped test images of each trigger of the network in a folder.

    Raises:
        ImagesError: they were made from other test images.
    """
    attack = Recipe.load(folder / "recipe.json").attack
    found = []
    for number, part in enumerate(attack.parts):
        with np.load(folder / f"triggered_{number}.npz", allow_pickle=False) as file:
            pixels, labels = torch.from_numpy(file["x"]), torch.from_numpy(file["y"])
        index = _draw_victims(part, split, torch.Generator().manual_seed(0))
        if not torch.equal(split.test_y[index], labels):
            raise ImagesError(f"the triggered images in {folder} are of another data set than the one given")
        found.append(Triggered(pixels.permute(0, 3, 1, 2).float() / 255, labels, part.target(labels), index))
    return found


def _draw_victims(part: Attack, split: Split, generator: torch.Generator) -> Tensor:
    """Return which test images a trigger is stamped on, int64 (n,)."""
    victims = part.victims(split.test_y).nonzero().flatten()
    return victims[torch.randperm(len(victims), generator=generator)[:TRIGGERED]]
