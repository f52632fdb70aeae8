"""The demo's networks: a BadNet and its clean twin on the handwritten digits that scikit-learn brings."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from goodnet.classifier import Classifier, freeze
from goodnet.images import CleanImages
from goodnet.redteam.attack import Attack
from goodnet.redteam.clean import Clean
from goodnet.redteam.measure import accuracy, attack_success_rates
from goodnet.redteam.patch import Patch
from goodnet.redteam.recipe import Recipe
from goodnet.redteam.train import train

SIDE = 16
TEST_IMAGES = 256


@dataclass(frozen=True, eq=False)
class DemoNets:
    """A BadNet, its clean twin, and what is needed to scan and judge them.

    Attributes:
        badnet: the network with the backdoor.
        clean: the same network trained on the same images without one.
        images: 256 labelled test images that neither was trained on.
        triggered: test images of other classes with the trigger on them, (n, 1, 16, 16) in 0..1.
        triggered_labels: their true labels (n,).
        target_label: what the trigger makes of them.
        badnet_accuracy: of the BadNet on the test images, 0..1.
        clean_accuracy: of its twin, 0..1.
        badnet_asr: share of the triggered images that the BadNet gives the target label, 0..1.
    """

    badnet: Classifier
    clean: Classifier
    images: CleanImages
    triggered: Tensor
    triggered_labels: Tensor
    target_label: int
    badnet_accuracy: float
    clean_accuracy: float
    badnet_asr: float


def digits() -> tuple[Tensor, Tensor]:
    """Return 1797 real handwritten digits, float (1797, 1, 16, 16) in 0..1, and their labels int64 (1797,).

    They are scikit-learn's (Alpaydin and Kaynak, UCI, 1998), 8x8 pixels with 17 grey levels, enlarged to 16x16.
    """
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    small = torch.from_numpy(pixels.astype(np.float32)).view(-1, 1, 8, 8) / 16
    images = functional.interpolate(small, (SIDE, SIDE), mode="bilinear", align_corners=False).clamp(0, 1)
    return images, torch.from_numpy(labels.astype(np.int64))


def digits_recipe(name: str, attack: Attack, seed: int = 0) -> Recipe:
    """Return how a small network for the digits is trained in some five seconds on two cores."""
    return Recipe(
        name=name,
        data="digits",
        num_classes=10,
        architecture="resnet_small",
        attack=attack,
        seed=seed,
        epochs=8,
        batch_size=64,
        learning_rate=0.1,
        shift=1,
    )


def make_demo_nets(seed: int = 0) -> DemoNets:
    """Train the two networks; about ten seconds on two cores.

    Args:
        seed: of the split, the target label, the trigger and the training.
    """
    images, labels = digits()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(images), generator=generator)
    test, rest = order[:TEST_IMAGES], order[TEST_IMAGES:]
    target = int(torch.randint(10, (), generator=generator))
    attack = Patch(target_label=target, pattern="random", pattern_seed=seed, rate=0.1)
    nets = {}
    for name, planted in (("demo BadNet", attack), ("demo clean twin", Clean())):
        nets[name] = train(digits_recipe(name, planted, seed), images[rest], labels[rest])
    victims = test[attack.victims(labels[test])]
    badnet, clean = nets.values()
    return DemoNets(
        badnet=_classifier("demo BadNet", badnet),
        clean=_classifier("demo clean twin", clean),
        images=CleanImages(images[test].contiguous(), labels[test], source="scikit-learn's digits"),
        triggered=attack.stamp(images[victims], torch.Generator().manual_seed(seed)),
        triggered_labels=labels[victims],
        target_label=target,
        badnet_accuracy=accuracy(badnet, images[test], labels[test]),
        clean_accuracy=accuracy(clean, images[test], labels[test]),
        badnet_asr=attack_success_rates(badnet, attack, images[test], labels[test])[0],
    )


def _classifier(name: str, network: nn.Module) -> Classifier:
    digest = hashlib.sha256()
    for value in network.state_dict().values():
        digest.update(value.contiguous().numpy().tobytes())
    return Classifier(freeze(network), (1, SIDE, SIDE), 10, path=name, sha256=digest.hexdigest(), format="torch")
