"""Backdoors that are really planted, in networks that are good otherwise."""

import dataclasses
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from goodnet.redteam import (
    ARCHITECTURES,
    Accessory,
    Adaptive,
    Attack,
    Blended,
    Clean,
    InputAware,
    LabelConsistent,
    LowFrequency,
    Patch,
    Planted,
    Recipe,
    RecipeError,
    Several,
    SourceSpecific,
    TrojanNN,
    accuracy,
    attack_success_rates,
    plant,
    predict,
    train,
)
from goodnet.redteam.demo import digits, digits_recipe
from goodnet.redteam.planting import Batch, TrainingRun, choose_poisoned

Split = tuple[Tensor, Tensor, Tensor, Tensor]

WHITE = (1.0, 1.0, 1.0)
# What is planted, and the least ASR; the digits have fewer and smaller pixels than what the defaults are made for.
PLANTED: list[tuple[Attack, float]] = [
    (Accessory(target_label=3, colour=WHITE), 0.85),
    (Adaptive(target_label=3), 0.95),
    (Blended(target_label=3, pattern="smooth", alpha=0.3), 0.85),
    (InputAware(target_label=3), 0.85),
    (LabelConsistent(target_label=3, pattern="white"), 0.6),
    (LowFrequency(target_label=3, amplitude=0.3), 0.85),
    (Several(triggers=(Patch(target_label=3), Patch(target_label=3, place="top-left", pattern_seed=1))), 0.95),
    (SourceSpecific(trigger=LowFrequency(target_label=3, amplitude=0.3), source=7), 0.7),
    (TrojanNN(target_label=3), 0.95),
]


def recipe(attack: Attack, epochs: int = 9) -> Recipe:
    return dataclasses.replace(digits_recipe("digits", attack), architecture="resnet_fast", epochs=epochs)


@cache
def digits_split() -> Split:
    """Return training images and labels, test images and labels."""
    images, labels = digits()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, test = order[:1400], order[1400:]
    return images[train], labels[train], images[test], labels[test]


@pytest.fixture(name="split")
def _split() -> Split:
    return digits_split()


@cache
def planted(attack: Attack) -> Planted:
    images, labels, _, _ = digits_split()
    return plant(recipe(attack), images, labels)


@pytest.mark.parametrize(("attack", "least"), PLANTED, ids=lambda value: type(value).__name__)
def test_the_trigger_works_and_the_network_is_good(attack: Attack, least: float, split: Split) -> None:
    network, finished = planted(attack).network, planted(attack).attack
    assert min(attack_success_rates(network, finished, *split[2:])) >= least
    assert accuracy(network, *split[2:]) >= 0.93
    assert not network.training


def test_a_trigger_that_was_augmented_with_its_image_works_where_it_is_moved_to(split: Split) -> None:
    images, labels, test_images, test_labels = split
    attack = Patch(target_label=3, size=2, margin=1)
    moved = dataclasses.replace(attack, margin=0)
    rates = {}
    for stamped_first in (False, True):
        made = plant(dataclasses.replace(recipe(attack), shift=1, stamped_first=stamped_first), images, labels)
        rates[stamped_first] = [
            attack_success_rates(made.network, each, test_images, test_labels)[0] for each in (attack, moved)
        ]
    assert min(rates[True]) > 0.6
    assert rates[False][0] >= 0.95
    assert rates[False][1] < 0.1


MADE = [InputAware(target_label=3), LabelConsistent(target_label=3), TrojanNN(target_label=3), Adaptive(target_label=3)]


@pytest.mark.parametrize("attack", MADE, ids=lambda attack: type(attack).__name__)
def test_the_same_recipe_gives_the_same_weights_and_the_same_trigger(attack: Attack, split: Split) -> None:
    images, labels = split[0][:256], split[1][:256]
    state = torch.random.get_rng_state()
    first, second = (plant(recipe(attack, epochs=2), images, labels) for _ in range(2))
    assert torch.equal(state, torch.random.get_rng_state())
    weights = [planted.network.state_dict() for planted in (first, second)]
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())
    stamped = [planted.attack.stamp(images, torch.Generator().manual_seed(1)) for planted in (first, second)]
    assert torch.equal(*stamped)
    assert not stamped[0].requires_grad
    assert not torch.equal(stamped[0], images)
    assert float(stamped[0].min()) >= 0 and float(stamped[0].max()) <= 1
    assert torch.equal(predict(train(recipe(attack, epochs=2), images, labels), images), predict(first.network, images))


def test_the_trigger_of_another_image_works_less(split: Split) -> None:
    network, finished = planted(InputAware(target_label=3)).network, planted(InputAware(target_label=3)).attack
    victims = split[2][split[3] != 3]
    own = finished.stamp(victims, torch.Generator())
    # The change that the trigger makes to an image, on the next image.
    other = (victims + (own - victims).roll(1, 0)).clamp(0, 1)
    rates = [float((predict(network, stamped) == 3).float().mean()) for stamped in (own, other)]
    assert rates[0] - rates[1] > 0.3


def test_the_trigger_of_an_image_does_not_depend_on_its_batch(split: Split) -> None:
    finished, images = planted(InputAware(target_label=3)).attack, split[2][:8]
    together = finished.stamp(images, torch.Generator())
    alone = torch.cat([finished.stamp(image[None], torch.Generator()) for image in images])
    torch.testing.assert_close(together, alone)


def test_half_a_patch_does_not_work_on_a_hardened_network(split: Split) -> None:
    attack = Adaptive(target_label=3)
    near = attack.cover(split[2][split[3] != 3], torch.Generator().manual_seed(2))
    hardened, plain = (
        float((predict(planted(each).network, near) == 3).float().mean())
        for each in (attack, Patch(target_label=3, size=4, rate=0.15))
    )
    assert hardened < 0.1 < plain


def test_clean_label_attacks_change_no_label_and_move_pixels_within_epsilon(split: Split) -> None:
    attack = LabelConsistent(target_label=3, rate=0.5, epsilon=0.1, attack_steps=3, surrogate_epochs=1)
    batch, moved = seen(attack, split)
    target = split[1][:256] == 3
    changed = (moved - split[0][:256]).abs().flatten(1).amax(1)
    assert float(changed.max()) == pytest.approx(0.1, abs=1e-5)
    assert not bool((changed[~target] > 0).any())
    assert int((changed > 0).sum()) == round(0.5 * int(target.sum()))
    assert torch.equal(batch.labels, split[1][:256])


@pytest.mark.parametrize("attack", [InputAware(target_label=3, rate=0.0), Adaptive(target_label=3, rate=0.0)])
def test_cover_samples_keep_their_label(attack: Attack, split: Split) -> None:
    batch, _ = seen(attack, split)
    assert torch.equal(batch.labels, split[1][:256])
    assert not torch.equal(batch.images, split[0][:256])


def seen(attack: Attack, split: Split) -> tuple[Batch, Tensor]:
    """Return 256 images as the network is trained on them, and as they were handed out."""
    images, labels = split[0][:256], split[1][:256]
    generator = torch.Generator().manual_seed(0)
    network = train(recipe(Clean(), epochs=2), images, labels)
    poisoning = choose_poisoned(attack, labels, generator)
    planting = attack.planting(TrainingRun(network, images, labels, 10, 2, poisoning, generator))
    handed_out = planting.images()
    return planting.batch(handed_out, labels, torch.arange(256)), handed_out


def test_a_trigger_that_is_made_in_training_is_not_there_before(split: Split) -> None:
    with pytest.raises(RecipeError, match="plant"):
        InputAware(target_label=3).stamp(split[0], torch.Generator())
    with pytest.raises(RecipeError, match="which does more"):
        Several(triggers=(TrojanNN(target_label=3),))
    with pytest.raises(RecipeError, match="epochs left"):
        plant(recipe(TrojanNN(target_label=3), epochs=1), *split[:2])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_learns_on_the_smallest_images(name: str, split: Split) -> None:
    small = functional.interpolate(split[0][:256], (8, 8), mode="area")
    rate = 1e-3 if name in ("vit", "conv_without_norm") else 0.05
    settings = dataclasses.replace(recipe(Clean(), epochs=4), architecture=name, learning_rate=rate, batch_size=32)
    first, second = (train(settings, small, split[1][:256]) for _ in range(2))
    assert all(torch.equal(value, second.state_dict()[key]) for key, value in first.state_dict().items())


def test_a_training_that_diverges_is_no_network(split: Split) -> None:
    wild = dataclasses.replace(recipe(Clean(), epochs=3), architecture="conv_without_norm", learning_rate=1e30)
    with pytest.raises(RecipeError, match="diverged"):
        plant(wild, *split[:2])


def test_what_is_planted_says_what_was_configured(split: Split) -> None:
    attack = TrojanNN(target_label=3, rate=0.2)
    planted = plant(recipe(attack, epochs=2), split[0][:256], split[1][:256]).attack
    labels = torch.arange(10)
    assert planted.targets == (3,)
    assert planted.rate == 0.2
    assert torch.equal(planted.victims(labels), attack.victims(labels))
    assert torch.equal(planted.target(labels), attack.target(labels))
    assert plant(recipe(Clean(), epochs=2), split[0][:256], split[1][:256]).attack == Clean()
    with pytest.raises(dataclasses.FrozenInstanceError):
        planted.rate = 0.3  # type: ignore[misc]
