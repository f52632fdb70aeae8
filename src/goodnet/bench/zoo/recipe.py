"""How the networks of the zoo are trained, and the attacks that take more than a line to name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from goodnet.bench.data import CLASSES
from goodnet.redteam import (
    AllToAll,
    Attack,
    Blended,
    Clean,
    Patch,
    Recipe,
    Several,
    SourceSpecific,
    attack_name,
    usual_training,
)

AUGMENTATION: dict[str, dict[str, Any]] = {
    "gtsrb": {"shift": 2},
    "cifar10": {"shift": 3, "flip": True},
    "mnist": {"shift": 2},
    "digits": {"shift": 1},
}
EPOCHS: Mapping[str, int] = {"gtsrb": 7, "cifar10": 7, "mnist": 5, "digits": 12}
TRAINING: dict[str, dict[str, Any]] = {"conv": {"learning_rate": 0.03}, "vit": {"weight_decay": 0.02}}
"""Where the zoo trains an architecture otherwise than usual."""

LONGER: Mapping[str, float] = {"conv_without_norm": 1.3, "resnet_fast": 1.15, "vit": 1.7}
"""How many times as many epochs an architecture needs."""


def recipe(data: str, architecture: str, seed: int, attack: Attack | None = None, **settings: Any) -> Recipe:
    """Return the recipe of a network for a data set, clean without an attack; settings replace what is usual."""
    attack = attack or Clean()
    usual = {"epochs": round(EPOCHS[data] * LONGER.get(architecture, 1.0))} | usual_training(architecture)
    return Recipe(
        name=f"{data}_{architecture}_{attack_name(attack)}_{seed}",
        data=data,
        num_classes=CLASSES[data],
        architecture=architecture,
        attack=attack,
        seed=seed,
        batch_size=64,
        **usual | AUGMENTATION[data] | TRAINING.get(architecture, {}) | settings,
    )


def three_targets(first: int, second: int, third: int, seed: int) -> Several:
    """Return three patches in three corners, each with a target of its own."""
    return Several(
        triggers=(
            Patch(target_label=first, rate=0.07, pattern_seed=seed, place="bottom-right"),
            Patch(target_label=second, rate=0.07, pattern_seed=seed + 1000, place="top-left"),
            Patch(target_label=third, rate=0.07, pattern_seed=seed + 2000, place="bottom-left", size=4),
        )
    )


def one_target(target: int, seed: int) -> Several:
    """Return two patches in two corners with one target."""
    return Several(
        triggers=(
            Patch(target_label=target, rate=0.06, pattern_seed=seed),
            Patch(target_label=target, rate=0.06, pattern_seed=seed + 1000, place="top-left"),
        )
    )


def all_to_all(seed: int, classes: int = 10, **patch: Any) -> AllToAll:
    """Return a patch that makes class y + 1 of y."""
    return AllToAll(trigger=Patch(target_label=0, pattern_seed=seed, **patch), num_classes=classes)


def from_one(source: int, target: int, seed: int, blended: bool = False) -> SourceSpecific:
    """Return a patch, or a blend, that works on one class alone."""
    trigger = Blended if blended else Patch
    return SourceSpecific(trigger=trigger(target_label=target, pattern_seed=seed), source=source)
