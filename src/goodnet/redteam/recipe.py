"""Recipe: everything that decides what a network becomes, so that it can be made again exactly."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from goodnet.redteam.attack import Attack, RecipeError
from goodnet.redteam.clean import Clean
from goodnet.redteam.registry import attack_from_dict, attack_to_dict, check_types

Optimizer = Literal["sgd", "adamw"]

ADAMW = {"conv_without_norm": 1e-3, "vit": 2e-3}
"""The architectures that SGD trains badly, with their learning rates."""


def usual_training(architecture: str) -> dict[str, Any]:
    """Return the optimiser and the peak learning rate that suit an architecture at 64 images a step."""
    rate = ADAMW.get(architecture)
    return {"optimizer": "sgd", "learning_rate": 0.1} if rate is None else {"optimizer": "adamw", "learning_rate": rate}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How to train one network, clean or with a backdoor.

    The same recipe on the same images gives the same weights, bit for bit, on machines of the same kind with the
    same version of torch and number of threads.

    Attributes:
        name: what the network is called, such as "g_resnet_patch_12".
        data: which images it is for, such as "gtsrb"; a note for the reader, `train` is handed the images.
        architecture: a name in `ARCHITECTURES`.
        num_classes: N.
        attack: what is planted; its own `rate` says how often.
        seed: of the weights, the order of the images, the augmentation and the choice of what is poisoned.
        epochs: passes over the training images, at least 1.
        batch_size: images a step.
        optimizer: "sgd" (Nesterov momentum .9) or "adamw", both under a one-cycle schedule.
        learning_rate: the peak of the schedule.
        weight_decay: of the optimiser.
        shift: augmentation: each image is moved by up to this many pixels in both directions.
        flip: augmentation: half of the images are mirrored left to right.
        stamped_first: whether images are stamped before they are augmented, as in poisoned data that others train on,
            so that triggers move with the images; else they are stamped after that, and triggers keep their places.
    """

    name: str
    data: str
    num_classes: int
    architecture: str = "resnet"
    attack: Attack = field(default_factory=Clean)
    seed: int = 0
    epochs: int = 10
    batch_size: int = 128
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.2
    weight_decay: float = 5e-4
    shift: int = 2
    flip: bool = False
    stamped_first: bool = False

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or self.num_classes < 2:
            raise RecipeError(
                "expected epochs >= 1, batch_size >= 2 and num_classes >= 2, "
                f"got {self.epochs}, {self.batch_size} and {self.num_classes}"
            )
        if self.optimizer not in ("sgd", "adamw"):
            raise RecipeError(f"expected optimizer sgd or adamw, got {self.optimizer!r}")
        if any(not 0 <= label < self.num_classes for label in self.attack.targets):
            raise RecipeError(f"expected target labels in 0..{self.num_classes - 1}, got {self.attack.targets}")

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as plain data that JSON can hold."""
        plain = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return plain | {"attack": attack_to_dict(self.attack)}

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Recipe:
        """Return the recipe that `to_dict` wrote down.

        Raises:
            RecipeError: a setting is missing, unknown or impossible.
        """
        settings = dict(plain)
        if isinstance(settings.get("attack"), Mapping):
            settings["attack"] = attack_from_dict(settings["attack"])
        check_types(cls, settings, "the recipe")
        try:
            return cls(**settings)
        except TypeError as error:
            known = ", ".join(f.name for f in dataclasses.fields(cls))
            raise RecipeError(f"the settings of a recipe are {known}; got {', '.join(settings)}") from error

    def save(self, path: Path) -> None:
        """Write the recipe to a JSON file."""
        path.write_text(json.dumps(self.to_dict(), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Recipe:
        """Read the recipe from a JSON file; RecipeError if it is none."""
        try:
            plain = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise RecipeError(f"expected a recipe as JSON in {path}: {error}") from error
        if not isinstance(plain, dict):
            raise RecipeError(f"expected a JSON object in {path}, got {type(plain).__name__}")
        return cls.from_dict(plain)
